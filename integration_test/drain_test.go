package integration_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

func TestDrain_EndsEveryStreamInItsTimeAndLosesNothing(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		const streams, drain = 1000, 3 * time.Second
		gateway := start(t, engine, lab.StartRedis(t).Env(), "GATEWAY_DRAIN="+drain.String())
		var subscribers []*lab.Subscriber
		for range streams {
			subscribers = append(subscribers, lab.Subscribe(t, lab.SubscribeOptions{
				Bases: []string{gateway.URL}, Topics: []string{"t"}, Once: true,
			}))
		}
		for _, subscriber := range subscribers {
			subscriber.WaitReady(t)
		}
		later := lab.Listen(t, gateway.URL, "later")
		var published []string
		for n := range 20 {
			published = append(published, lab.Publish(t, gateway.URL, "t", n))
		}
		// Events are queued one after the other: once a later one has arrived, these are queued for all.
		lab.Publish(t, gateway.URL, "later", 0)
		later.WaitFired(t, 1)
		begun := time.Now()
		gateway.Terminate(t)
		lab.Eventually(t, time.Second, func() error {
			if status := gateway.Status("/readyz"); status != http.StatusServiceUnavailable {
				return fmt.Errorf("/readyz answers %d", status)
			}
			return nil
		})
		late := lab.Subscribe(t, lab.SubscribeOptions{Bases: []string{gateway.URL}, Topics: []string{"t"}, Once: true})
		_ = late.WaitEnd(t, wait)
		if state := late.State(); state.Connects != 1 || state.Readies != 0 || len(state.Events) == 0 {
			t.Errorf("a new stream got %d answers 200, %d ready, events %+v, error %v", state.Connects, state.Readies, state.Events, state.LastErr)
		}
		var ends []time.Duration
		for _, subscriber := range subscribers {
			if err := subscriber.WaitEnd(t, drain+wait); !errors.Is(err, io.ErrUnexpectedEOF) { // who comes back must not take it for the end
				t.Fatalf("a stream ended with %v", err)
			}
			ends = append(ends, time.Since(begun))
			if got := ids(subscriber.State().Fired()); !slices.Equal(got, published) {
				t.Fatalf("a stream got %d of %d events before its end", len(got), len(published))
			}
		}
		if code := gateway.WaitExit(t, drain+wait); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if took := time.Since(begun); took > drain+2*time.Second {
			t.Errorf("the drain took %v, want %v", took, drain)
		}
		if last := slices.Max(ends); last < drain/2 {
			t.Errorf("all streams ended within %v: not spread over %v", last, drain)
		}
	})
}

func TestDrain_ASecondSignalEndsItAtOnce(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		gateway := start(t, engine, "GATEWAY_DRAIN=1m")
		for range 10 {
			lab.Listen(t, gateway.URL, "t")
		}
		gateway.Terminate(t)
		lab.Eventually(t, wait, func() error {
			if status := gateway.Status("/readyz"); status != http.StatusServiceUnavailable {
				return fmt.Errorf("/readyz answers %d", status)
			}
			return nil
		})
		gateway.Terminate(t)
		gateway.WaitExit(t, 3*time.Second)
	})
}

func TestDrain_AnIdleReplicaStopsAtOnce(t *testing.T) {
	gateway := start(t, lab.StartRedis(t).Env(), "GATEWAY_DRAIN=1m")
	gateway.Terminate(t)
	if code := gateway.WaitExit(t, 5*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
