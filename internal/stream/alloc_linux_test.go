// Under the race detector sync.Pool drops things at random.

//go:build !race

package stream

import (
	"io"
	"runtime"
	"testing"
)

func TestEngine_DeliveryAllocatesNothing(t *testing.T) {
	const subscribers = 20
	g := newGate(t, byEngine, defaults())
	var streams []opened
	for range subscribers {
		c, st := g.subscribe(t)
		go func() { _, _ = io.Copy(io.Discard, c.Conn) }()
		streams = append(streams, st)
	}
	one, large := frame(0, 100), frame(1, 3000)
	got := testing.AllocsPerRun(300, func() {
		want := g.counters.delivered.Load() + 3*subscribers
		for _, st := range streams {
			st.Push(one)
			st.Push(large)
			st.Push(one)
		}
		for g.counters.delivered.Load() < want {
			runtime.Gosched()
		}
	})
	if got != 0 {
		t.Errorf("%v allocations for %d deliveries, want none", got, 3*subscribers)
	}
}
