package fanout

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/brokertest"
)

// TestModelStore_KeepsTheContract: the store that exactness is proved over is one that the products' stores are like.
func TestModelStore_KeepsTheContract(t *testing.T) {
	brokertest.Run(t, func(t *testing.T, test func(*testing.T, brokertest.Store)) {
		synctest.Test(t, func(t *testing.T) {
			keep := broker.Retention{Size: brokertest.Size}.WithDefaults()
			w := &modelWorld{rng: rand.New(rand.NewPCG(1, 1)), keep: keep, timeout: time.Minute, byNumber: make(map[int]*modelEvent)}
			w.stores = []*modelStore{{w: w, data: newModelData(), unchecked: true}}
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				w.obey(stop)
			}()
			a, b := &modelReplica{w: w, name: "A1"}, &modelReplica{w: w, name: "B2"}
			test(t, brokertest.Store{Replicas: []broker.Broker{a, b}, Keep: keep})
			close(stop)
			<-stopped
			if w.failure != "" {
				t.Error(w.failure)
			}
		})
	})
}

// obey is a driver without faults: it lets happen what waits, at once, until it is stopped.
func (w *modelWorld) obey(stop chan struct{}) {
	for {
		synctest.Wait()
		for _, call := range w.gate.waiting() {
			for !w.gate.step(call) {
			}
		}
		for _, f := range w.feeds() {
			for f.pending() > 0 {
				f.execute()
			}
			if len(f.flight) > 0 && len(f.out) == 0 {
				w.deliver(f, len(f.flight))
			}
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Second):
		}
	}
}
