package memory

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sse-gateway/internal/broker"
)

// flood publishes one event into each of n topics that nobody has used before.
func flood(t *testing.T, m *Broker, name string, n int) {
	t.Helper()
	for i := range n {
		if err := publish(t.Context(), m, broker.Op{Topic: fmt.Sprint(name, i)}); err != nil {
			t.Fatalf("topic %d: %v", i, err)
		}
	}
}

func tailOf(t *testing.T, m *Broker, topic string) broker.Tail {
	t.Helper()
	tails, err := m.Read(t.Context(), 0, []broker.Read{{Topic: topic, Limit: 10}})
	if err != nil {
		t.Fatal(err)
	}
	return tails[0]
}

// One publisher must not shut the broker for everybody by filling it with topics.
func TestMemory_TopicsUsedLongestAgoGoFirst(t *testing.T) {
	for _, size := range []int{0, 10} {
		t.Run(fmt.Sprint("history ", size), func(t *testing.T) {
			const room = 256 << 10
			m := New(Options{Retention: broker.Retention{Size: size}, MaxBytes: room})
			if err := publish(t.Context(), m, broker.Op{Topic: "bystander"}); err != nil {
				t.Fatal(err)
			}
			flood(t, m, "a", 10_000)
			if m.bytes > room {
				t.Errorf("%d bytes are kept, more than %d", m.bytes, room)
			}
			if got := len(m.topics); got == 0 || got > room/memoryOverhead || m.fresh.Len()+m.stale.Len() != got {
				t.Errorf("%d topics, %d fresh and %d stale", got, m.fresh.Len(), m.stale.Len())
			}
			if m.topics["a9999"] == nil || m.topics["a0"] != nil || m.topics["bystander"] != nil {
				t.Error("it is not the oldest topics that have gone")
			}
			flood(t, m, "bystander", 1)
			if err := m.Refused(0); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

// A last id that has been forgotten must not hide a gap: for every topic that was published to, what the broker tells of it
// is at least its true last id.
func TestMemory_ForgottenTopicsHideNoLoss(t *testing.T) {
	m := New(Options{Retention: broker.Retention{Size: 10}, MaxBytes: 64 << 10})
	last := map[string]broker.ID{}
	for i := range 2000 {
		topic := fmt.Sprint("t", i)
		result := m.Publish(t.Context(), 0, []broker.Op{{Topic: topic, Block: []byte("data: 1\n")}})[0]
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		last[topic] = result.ID
	}
	forgotten := 0
	for topic, want := range last {
		if m.topics[topic] == nil {
			forgotten++
		}
		tail := tailOf(t, m, topic)
		if tail.Last.Less(want) || m.last.Less(tail.Last) {
			t.Fatalf("%s: last id %s, and it was %s", topic, tail.Last, want)
		}
		// A stop makes the topic known again, without an event.
		if err := publish(t.Context(), m, broker.Op{Topic: topic, Stop: true}); err != nil {
			t.Fatal(err)
		}
		if tail := tailOf(t, m, topic); tail.Last.Less(want) {
			t.Fatalf("%s, stopped: last id %s, and it was %s", topic, tail.Last, want)
		}
	}
	if forgotten < 1000 {
		t.Errorf("only %d topics were forgotten", forgotten)
	}
	for topic, want := range last {
		op := broker.Op{Topic: topic, Block: []byte("data: 2\n"), Close: true}
		if err := m.Publish(t.Context(), 0, []broker.Op{op})[0].Err; err != nil {
			t.Fatal(err)
		}
		entries := tailOf(t, m, topic).Entries
		if len(entries) == 0 {
			t.Fatalf("%s: its close has been dropped at once", topic)
		}
		if closed := entries[len(entries)-1]; closed.Prev.Less(want) || !closed.Prev.Less(closed.ID) {
			t.Fatalf("%s: %v after %s", topic, entries, want)
		}
	}
}

// A topic that somebody follows is not forgotten; and one without events that somebody follows does not seem to have had
// some, whatever else is forgotten: its followers would be told gaps again and again.
func TestMemory_FollowedTopicsStay(t *testing.T) {
	m := New(Options{Retention: broker.Retention{Size: 10}, MaxBytes: 64 << 10})
	followed := broker.Op{Topic: "followed", Block: []byte("data: 1\n")}
	id := m.Publish(t.Context(), 0, []broker.Op{followed})[0].ID
	flood(t, m, "before", 2000)
	feed, err := m.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := publish(t.Context(), m, followed); err != nil {
		t.Fatal(err)
	}
	if err := feed.Subscribe(t.Context(), []string{"followed", "quiet"}); err != nil {
		t.Fatal(err)
	}
	id = broker.Later(id, tailOf(t, m, "followed").Last)
	quiet := tailOf(t, m, "quiet").Last
	flood(t, m, "after", 2000)
	if got := tailOf(t, m, "followed").Last; got != id || m.topics["followed"] == nil {
		t.Errorf("followed: last id %s, want %s", got, id)
	}
	if got := tailOf(t, m, "quiet").Last; got != quiet {
		t.Errorf("quiet: last id %s, want %s as when it was subscribed to", got, quiet)
	}
	if err := publish(t.Context(), m, broker.Op{Topic: "quiet"}); err != nil {
		t.Fatal(err)
	}
	if entries := tailOf(t, m, "quiet").Entries; len(entries) != 1 || quiet != (broker.ID{}) && entries[0].Prev != quiet {
		t.Errorf("quiet: %v, want an event after %s", entries, quiet)
	}
}

// What has been forgotten for longer than last ids are kept is judged as a topic whose last id has lapsed.
func TestMemory_ForgottenTopicsLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Options{Retention: broker.Retention{Size: 10}, MaxBytes: 64 << 10})
		flood(t, m, "t", 2000)
		if tailOf(t, m, "t0").Last.IsZero() {
			t.Fatal("nothing is known of the first topic")
		}
		time.Sleep(m.opts.Retention.LastIDKept())
		flood(t, m, "later", 1)
		if got := tailOf(t, m, "t0").Last; !got.IsZero() {
			t.Errorf("last id %s, want none", got)
		}
	})
}

// Keys cannot be dropped before their time. They have their half, so that only publishes with a key are refused for them.
func TestMemory_KeysLeaveRoom(t *testing.T) {
	m := New(Options{Retention: broker.Retention{Size: 1}, MaxBytes: 64 << 10})
	var err error
	for n := 0; err == nil && n < 1000; n++ {
		err = publish(t.Context(), m, broker.Op{Topic: "t", Key: fmt.Sprintf("%032d", n)})
	}
	if !errors.Is(err, broker.ErrFull) {
		t.Errorf("got %v, want that keys have no room", err)
	}
	flood(t, m, "t", 1000)
	if err := m.Refused(0); err != nil {
		t.Errorf("refused: %v", err)
	}
}

// What cannot be let go at all is told: nobody should be sent here.
func TestMemory_TellsThatItIsFull(t *testing.T) {
	m := New(Options{MaxBytes: 64 << 10})
	now := time.Now()
	for i := range 300 {
		if err := m.RememberCut(t.Context(), strings.Repeat("x", i), now, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := publish(t.Context(), m, broker.Op{Topic: "t"}); !errors.Is(err, broker.ErrFull) {
		t.Errorf("publish: %v, want that it is full", err)
	}
	if err := m.Refused(0); !errors.Is(err, broker.ErrFull) {
		t.Errorf("refused: %v, want that it is full", err)
	}
}
