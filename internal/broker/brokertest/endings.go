package brokertest

import (
	"slices"
	"strings"
	"testing"

	"sse-gateway/internal/broker"
)

// lastOp closes a topic after its last events.
func lastOp(topic string, last ...string) broker.Op {
	o := closeOp(topic)
	for _, data := range last {
		o.Last = append(o.Last, op(topic, data).Block)
	}
	return o
}

// closesWithLastEvents: the events come with the close or not at all, each after the one before it.
func closesWithLastEvents(t *testing.T, w *world) {
	f := w.open(w.a, "t", "new")
	first := w.publish("t")
	f.next(broker.MessageEvent)
	id := w.run(lastOp("t", "one", "two"))
	checkEnding(t, w, f, "t", first, id)
	if again := w.run(lastOp("t", "three")); again != id {
		t.Errorf("a second close got id %s, want %s", again, id)
	}
	if n := len(w.read(broker.Read{Topic: "t", Limit: 10}).Entries); n != 4 {
		t.Errorf("a second close left %d events, want 4", n)
	}

	id = w.run(lastOp("new", "one", "two")) // the topic begins and ends in one step
	checkEnding(t, w, f, "new", broker.ID{}, id)
}

// checkEnding looks at the last two events and the close of a topic, as the feed brings them and as they are kept.
func checkEnding(t *testing.T, w *world, f *feed, topic string, before, closed broker.ID) {
	t.Helper()
	var live []broker.Entry
	for range 3 {
		live = append(live, f.next(broker.MessageEvent).Entry)
	}
	tail := w.read(broker.Read{Topic: topic, Limit: 10})
	if tail.Closed != closed || tail.Last != closed {
		t.Errorf("%s: got %+v, want it closed by %s", topic, tail, closed)
	}
	stored := tail.Entries[max(len(tail.Entries)-3, 0):]
	if got, want := ids(stored), ids(live); !slices.Equal(got, want) {
		t.Fatalf("%s: %v are kept, want %v", topic, got, want)
	}
	for i, words := range []string{"one", "two", "end"} {
		for _, e := range []broker.Entry{live[i], stored[i]} {
			if e.Close != (i == 2) || !strings.Contains(string(e.Frame.Bytes()), words) {
				t.Errorf("%s: event %d is %+v %q, want %q", topic, i, e, e.Frame.Bytes(), words)
			}
			if !e.Prev.Less(e.ID) || (i > 0 && e.Prev != live[i-1].ID) || (i == 0 && !before.IsZero() && e.Prev != before) {
				t.Errorf("%s: event %s names %s, want the one before it", topic, e.ID, e.Prev)
			}
		}
	}
}
