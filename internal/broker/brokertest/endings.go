package brokertest

import (
	"errors"
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

func stopOp(topic string) broker.Op { return broker.Op{Topic: topic, Stop: true} }

// stop stops a topic on the last replica.
func (w *world) stop(topic string) broker.Result {
	return w.Replicas[len(w.Replicas)-1].Publish(w.t.Context(), part, []broker.Op{stopOp(topic)})[0]
}

// stops: whether there have been events or not, and however often it is asked for.
func stops(t *testing.T, w *world) {
	first := w.publish("t")
	for _, topic := range []string{"t", "new"} {
		f := w.open(w.a, topic)
		before := w.read(broker.Read{Topic: topic})
		for range 2 {
			if result := w.stop(topic); result != (broker.Result{}) {
				t.Errorf("%s: a stop got %+v", topic, result)
			}
			keyed := op(topic, "late")
			keyed.Key = "k"
			for i, result := range w.a.Publish(t.Context(), part, []broker.Op{op(topic, "late"), op("other", "x"), keyed}) {
				if stopped := i != 1; stopped != errors.Is(result.Err, broker.ErrTopicStopped) || (!stopped && result.Err != nil) {
					t.Errorf("%s: publish %d after the stop got %+v", topic, i, result)
				}
			}
		}
		if after := w.read(broker.Read{Topic: topic}); after.Last != before.Last || !after.Closed.IsZero() {
			t.Errorf("%s: got %+v after the stop, want %+v", topic, after, before)
		}
		id := w.run(lastOp(topic, "one", "two"))
		checkEnding(t, w, f, topic, before.Last, id)
		if result := w.a.Publish(t.Context(), part, []broker.Op{op(topic, "late")})[0]; !errors.Is(result.Err, broker.ErrTopicClosed) {
			t.Errorf("%s: a publish after the close got %+v", topic, result)
		}
	}
	if !first.Less(w.publish("other")) {
		t.Error("another topic stands still")
	}
}

func stopsAfterTheClose(t *testing.T, w *world) {
	id := w.run(closeOp("t"))
	if result := w.stop("t"); !errors.Is(result.Err, broker.ErrTopicClosed) {
		t.Errorf("a stop after the close got %+v", result)
	}
	if tail := w.read(broker.Read{Topic: "t"}); tail.Closed != id {
		t.Errorf("got %+v, want the close %s", tail, id)
	}
	w.pass(lapsed(w.Keep.Close))
	w.publish("t")
}

// stopsLapse: a producer that is gone for good does not leave its topic stopped for ever.
func stopsLapse(t *testing.T, w *world) {
	first := w.publish("t")
	for _, topic := range []string{"t", "new"} {
		if result := w.stop(topic); result.Err != nil {
			t.Fatalf("%s: a stop got %+v", topic, result)
		}
	}
	w.pass(lapsed(w.Keep.Close))
	for _, topic := range []string{"t", "new"} {
		second := w.publish(topic)
		third := w.publish(topic)
		tail := w.read(broker.Read{Topic: topic, Limit: 10})
		if tail.Last != third || len(tail.Entries) != 2 || tail.Entries[0].ID != second || tail.Entries[1].Prev != second {
			t.Errorf("%s: got %+v, want two events", topic, tail)
		}
		if topic == "t" && tail.Entries[0].Prev != first {
			t.Errorf("got an event after %s, want it after %s", tail.Entries[0].Prev, first)
		}
	}
}
