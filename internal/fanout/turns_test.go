package fanout

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
)

// begin asks for a turn in a goroutine of its own, and notes that it has begun.
func (l *turnLog) begin(ctx context.Context, key string, bytes int) {
	go func() {
		end, err := l.turns.take(ctx, key, bytes)
		if err != nil {
			l.refused = append(l.refused, key)
			return
		}
		l.begun = append(l.begun, key)
		l.ends = append(l.ends, end)
	}()
	synctest.Wait()
}

// turnLog is what a test saw of turns. Its bubble runs one goroutine at a time that touches it.
type turnLog struct {
	turns          *turns
	begun, refused []string
	ends           []func()
}

func (l *turnLog) end() {
	end := l.ends[0]
	l.ends = l.ends[1:]
	end()
	synctest.Wait()
}

func (l *turnLog) check(t *testing.T, want ...string) {
	t.Helper()
	if got := fmt.Sprint(l.begun); got != fmt.Sprint(want) {
		t.Fatalf("begun: %s, want %s", got, fmt.Sprint(want))
	}
}

func TestTurns_GoRoundAmongKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &turnLog{turns: newTurns(1, 100, 0)}
		for _, key := range []string{"a", "a", "a", "b", "c", "b"} {
			l.begin(t.Context(), key, 1)
		}
		l.check(t, "a")
		for range 5 {
			l.end()
		}
		l.check(t, "a", "a", "b", "c", "a", "b")
		l.end()
		if l.turns.running != 0 || l.turns.bytes != 0 || len(l.turns.keys) != 0 || len(l.turns.order) != 0 {
			t.Errorf("something is left: %+v", l.turns)
		}
	})
}

func TestTurns_CountBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &turnLog{turns: newTurns(10, 100, 0)}
		l.begin(t.Context(), "a", 60)
		l.begin(t.Context(), "b", 1000) // as much as there is
		l.begin(t.Context(), "c", 1)    // which does not overtake
		l.check(t, "a")
		l.end()
		l.check(t, "a", "b")
		l.end()
		l.check(t, "a", "b", "c")
	})
}

func TestTurns_LeaveEveryKeyAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &turnLog{turns: newTurns(3, 100, 2)}
		for _, key := range []string{"a", "a", "a", "b"} {
			l.begin(t.Context(), key, 1)
		}
		l.check(t, "a", "a", "b")
		l.end()
		l.check(t, "a", "a", "b", "a")
	})
}

func TestTurns_AreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &turnLog{turns: newTurns(5, 100, 0)}
		l.begin(t.Context(), "a", 100)
		ctx, cancel := context.WithCancel(t.Context())
		l.begin(ctx, "b", 100)
		l.begin(t.Context(), "c", 1)
		cancel()
		synctest.Wait()
		if fmt.Sprint(l.refused) != "[b]" {
			t.Errorf("refused: %v", l.refused)
		}
		l.end()
		l.check(t, "a", "c")
		if _, err := l.turns.take(ctx, "d", 100); !errors.Is(err, ErrBusy) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
