package stream

import (
	"errors"
	"io"
	"testing"
)

func TestStream_DeliversInOrder(t *testing.T) {
	forPaths(t, func(t *testing.T, engine bool) {
		g := newGate(t, defaults(engine))
		c, st := g.subscribe(t)
		for i := range 1000 {
			if !st.Push(frame(i, 20)) {
				t.Fatalf("event %d refused", i)
			}
		}
		c.expectNumbers(t, 0, 1000)
		st.Push(frame(1000, 100_000))
		st.End(ReasonClosed)
		if st.Push(frame(1001, 1)) {
			t.Error("pushed after the end")
		}
		c.expectNumbers(t, 1000, 1001)
		if event, err := c.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("got %+v, %v after the end, want EOF", event, err)
		}
		g.expectGone(t, st, ReasonClosed)
		if got := g.Stats(); got.Delivered != 1001 || got.Open != 0 || got.Writes > got.Delivered {
			t.Errorf("got %+v, want 1001 delivered", got)
		}
	})
}

func TestStream_ClientGone(t *testing.T) {
	forPaths(t, func(t *testing.T, engine bool) {
		g := newGate(t, defaults(engine))
		c, st := g.subscribe(t)
		_ = c.Close()
		g.expectGone(t, st, ReasonClient)
	})
}
