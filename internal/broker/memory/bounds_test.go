package memory

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sse-gateway/internal/broker"
)

func publish(ctx context.Context, m *Broker, op broker.Op) error {
	op.Block = []byte("data: 1\n")
	return m.Publish(ctx, 0, []broker.Op{op})[0].Err
}

func TestMemory_KeysTakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 64 << 10
		m := New(Options{Retention: broker.Retention{Size: 1}, MaxBytes: room})
		if err := publish(t.Context(), m, broker.Op{Topic: "t"}); err != nil {
			t.Fatal(err)
		}
		before := m.bytes
		n := 0
		var err error
		for ; err == nil && n < room; n++ {
			err = publish(t.Context(), m, broker.Op{Topic: "t", Key: fmt.Sprintf("%032d", n)})
		}
		if !errors.Is(err, broker.ErrFull) {
			t.Errorf("got %v after %d keys in %d bytes, want that it is full", err, n, room)
		}
		time.Sleep(m.opts.Retention.Key)
		if err := publish(t.Context(), m, broker.Op{Topic: "t"}); err != nil {
			t.Errorf("publish after the keys have lapsed: %v", err)
		}
		if m.bytes != before {
			t.Errorf("%d bytes are counted after the keys have lapsed, and %d were before", m.bytes, before)
		}
	})
}

func TestMemory_CutsTakeRoom(t *testing.T) {
	m := New(Options{})
	before, now := m.bytes, time.Now()
	for _, at := range []time.Time{now, now.Add(time.Second)} { // the second of one owner takes no more
		if err := m.RememberCut(t.Context(), "jack", at, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	one := m.bytes - before
	if one <= 0 {
		t.Errorf("a cut counts %d bytes", one)
	}
	if err := m.RememberCut(t.Context(), "jill", now.Add(time.Hour), time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := m.bytes - before; got != one {
		t.Errorf("%d bytes are counted after the first cut has lapsed, want %d", got, one)
	}
}

// congest fills the queue of a feed that nobody reads.
func congest(t *testing.T, m *Broker) broker.Feed {
	t.Helper()
	feed, err := m.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.Subscribe(t.Context(), []string{"t"}); err != nil {
		t.Fatal(err)
	}
	ops := make([]broker.Op, memoryQueue)
	for i := range ops {
		ops[i] = broker.Op{Topic: "t", Block: []byte("data: 1\n")}
	}
	for _, result := range m.Publish(t.Context(), 0, ops) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
	}
	return feed
}

func TestMemory_PublishWaitsForRoomNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Options{Retention: broker.Retention{Size: 1}})
		congest(t, m)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := publish(ctx, m, broker.Op{Topic: "t"}); !errors.Is(err, broker.ErrNotSent) || !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("got %v, want that nothing was sent", err)
		}
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("it took %s, want 100ms", took)
		}
	})
}

func TestMemory_PublishWaitsForRoomNoLongerThanTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Options{Retention: broker.Retention{Size: 1}, Timeout: time.Second})
		feed := congest(t, m)
		began := time.Now()
		if err := publish(t.Context(), m, broker.Op{Topic: "t"}); !errors.Is(err, broker.ErrNotSent) {
			t.Errorf("got %v, want that nothing was sent", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s, want 1s", took)
		}
		done := make(chan error, 1)
		go func() { done <- publish(t.Context(), m, broker.Op{Topic: "t"}) }()
		synctest.Wait()
		if _, err := feed.Receive(nil); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("a publish that waited until there was room: %v", err)
		}
	})
}
