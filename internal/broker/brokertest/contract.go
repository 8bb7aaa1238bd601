package brokertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sse-gateway/internal/broker"
)

func idsRise(t *testing.T, w *world) {
	var last broker.ID
	for i := range 50 {
		id := w.publish(fmt.Sprint("t", i%3))
		if !last.Less(id) {
			t.Fatalf("got id %s after %s", id, last)
		}
		last = id
	}
}

func idsAreAboveTheirFloor(t *testing.T, w *world) {
	floor := far(w.publish("t"))
	o := op("t", "x")
	o.Floor = floor
	if id := w.run(o); !floor.Less(id) {
		t.Errorf("got id %s, want one above its floor %s", id, floor)
	}
	if id := w.publish("u"); !floor.Less(id) {
		t.Errorf("got id %s, want the clock to stay above %s", id, floor)
	}
}

func eventsNameThePrevious(t *testing.T, w *world) {
	f := w.open(w.a, "t")
	first := w.publish("t")
	w.publish("u")
	second := w.publish("t")
	if got := f.next(broker.MessageEvent).Entry.ID; got != first {
		t.Fatalf("got event %s, want %s", got, first)
	}
	live := f.next(broker.MessageEvent).Entry
	stored := w.read(broker.Read{Topic: "t", Limit: 10}).Entries
	if len(stored) != 2 {
		t.Fatalf("got %d events stored, want 2", len(stored))
	}
	for _, e := range []broker.Entry{live, stored[1]} {
		if e.ID != second || e.Prev != first {
			t.Errorf("got event %s after %s, want %s after %s", e.ID, e.Prev, second, first)
		}
	}
}

// firstEventsNameAnID: what a topic's first event names is below it, and not below the birth, where the store's
// knowledge begins.
func firstEventsNameAnID(t *testing.T, w *world) {
	f := w.open(w.a)
	born := w.mark(f, broker.ID{}, broker.ID{}).Born
	id := w.publish("t")
	e := w.read(broker.Read{Topic: "t", Limit: 1}).Entries[0]
	if e.ID != id || !e.Prev.Less(id) || e.Prev.Less(born) {
		t.Errorf("got event %s after %s, want it after an id from the birth %s on", e.ID, e.Prev, born)
	}
}

func feedsDeliver(t *testing.T, w *world) {
	for _, b := range w.Replicas {
		f := w.open(b, "t", "u")
		first, second := w.publish("t"), w.publish("u")
		w.publish("other")
		for _, want := range []broker.Message{
			{Topic: "t", Entry: broker.Entry{ID: first}}, {Topic: "u", Entry: broker.Entry{ID: second}},
		} {
			if got := f.next(broker.MessageEvent); got.Topic != want.Topic || got.Entry.ID != want.Entry.ID {
				t.Errorf("got event %s of %q, want %s of %q", got.Entry.ID, got.Topic, want.Entry.ID, want.Topic)
			}
		}
		if err := f.Unsubscribe(t.Context(), []string{"t"}); err != nil {
			t.Fatal(err)
		}
		// An UNSUBSCRIBE is not answered. A SUBSCRIBE after it is.
		if err := f.Subscribe(t.Context(), []string{"v"}); err != nil {
			t.Fatal(err)
		}
		f.next(broker.MessageAck)
		w.publish("t")
		third := w.publish("u")
		if got := f.next(broker.MessageEvent); got.Entry.ID != third {
			t.Errorf("got event %s of %q after it was let go of", got.Entry.ID, got.Topic)
		}
		f.close()
	}
}

func marksFollowEvents(t *testing.T, w *world) {
	f := w.open(w.a, "t")
	var last broker.ID
	for range 20 {
		last = w.publish("t")
	}
	w.seq++
	if err := w.a.Mark(t.Context(), part, w.seq, broker.ID{}, broker.ID{}); err != nil {
		t.Fatal(err)
	}
	var got broker.ID
	for {
		m := f.any()
		if m.Kind == broker.MessageEvent {
			got = m.Entry.ID
		}
		if m.Kind == broker.MessageMark {
			if got != last || m.Mark.Head.Less(last) || m.Mark.Seq != w.seq {
				t.Errorf("got mark %+v after event %s, want it after %s", m.Mark, got, last)
			}
			break
		}
	}
	if id := w.publish("t"); !last.Less(id) {
		t.Errorf("got id %s after a mark", id)
	}
}

func marksAreOnesOwn(t *testing.T, w *world) {
	feeds := make([]*feed, len(w.Replicas))
	for i, b := range w.Replicas {
		feeds[i] = w.open(b)
	}
	for i, b := range w.Replicas {
		if err := b.Mark(t.Context(), part, uint64(100+i), broker.ID{}, broker.ID{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range feeds {
		if got := f.next(broker.MessageMark).Mark.Seq; got != uint64(100+i) {
			t.Errorf("replica %d got mark %d", i, got)
		}
	}
}

func floorsGiveBirth(t *testing.T, w *world) {
	f := w.open(w.a)
	before := w.mark(f, broker.ID{}, broker.ID{})
	if again := w.mark(f, before.Head, broker.ID{}); again.Born != before.Born {
		t.Errorf("got a birth at %s with a floor that the clock %s has reached", again.Born, before.Head)
	}
	floor := far(before.Head)
	w.seq++
	if err := w.a.Mark(t.Context(), part, w.seq, floor, broker.ID{}); err != nil {
		t.Fatal(err)
	}
	birth := f.any()
	if birth.Kind != broker.MessageBirth || !floor.Less(birth.Mark.Born) {
		t.Fatalf("got %+v, want a birth above %s", birth, floor)
	}
	mark := f.next(broker.MessageMark).Mark
	if mark.Born != birth.Mark.Born || mark.Head.Less(mark.Born) {
		t.Errorf("got mark %+v after a birth at %s", mark, birth.Mark.Born)
	}
	if id := w.publish("t"); !mark.Born.Less(id) {
		t.Errorf("got id %s, want one above the birth %s", id, mark.Born)
	}
}

// publishesGiveBirth: the store has lost what the floor tells of. Whoever reads the event must know before.
func publishesGiveBirth(t *testing.T, w *world) {
	f := w.open(w.a, "t")
	first := w.publish("t")
	f.next(broker.MessageEvent)
	o := op("t", "x")
	o.Floor = far(first)
	id := w.run(o)
	birth := f.any()
	if birth.Kind != broker.MessageBirth || !o.Floor.Less(birth.Mark.Born) || !birth.Mark.Born.Less(id) {
		t.Fatalf("got %+v, want a birth between %s and %s", birth, o.Floor, id)
	}
	if got := f.next(broker.MessageEvent).Entry.ID; got != id {
		t.Errorf("got event %s, want %s", got, id)
	}
	if mark := w.mark(f, id, broker.ID{}); mark.Born != birth.Mark.Born {
		t.Errorf("got the birth %s, want %s", mark.Born, birth.Mark.Born)
	}
}

// refusedPublishesGiveBirth: whatever the answer to a publish is, its floor has been looked at.
func refusedPublishesGiveBirth(t *testing.T, w *world) {
	f := w.open(w.a)
	last := w.run(closeOp("t"))
	o := op("t", "x")
	o.Floor = far(last)
	if result := w.a.Publish(t.Context(), part, []broker.Op{o})[0]; !errors.Is(result.Err, broker.ErrTopicClosed) {
		t.Errorf("got %+v, want that the topic is closed", result)
	}
	if mark := w.mark(f, broker.ID{}, broker.ID{}); !o.Floor.Less(mark.Born) {
		t.Errorf("got the birth %s, want one above %s", mark.Born, o.Floor)
	}
}

// rebirths: who knows of a birth that the store does not know, or that is no longer true, has proved a loss.
func rebirths(t *testing.T, w *world) {
	f := w.open(w.a)
	first := w.mark(f, broker.ID{}, broker.ID{})
	second := w.mark(f, broker.ID{}, first.Born)
	if !first.Born.Less(second.Born) {
		t.Fatalf("got the birth %s, want one above %s", second.Born, first.Born)
	}
	if again := w.mark(f, broker.ID{}, first.Born); again.Born != second.Born {
		t.Errorf("got another birth at %s for one that has happened at %s", again.Born, second.Born)
	}
	if third := w.mark(f, broker.ID{}, second.Born.Next()); !second.Born.Less(third.Born) {
		t.Errorf("got the birth %s from a store that has come back from the past, want one above %s", third.Born, second.Born)
	}
}

func closeOp(topic string) broker.Op {
	o := op(topic, "end")
	o.Close = true
	return o
}

func closes(t *testing.T, w *world) {
	f := w.open(w.a, "t")
	w.publish("t")
	f.next(broker.MessageEvent)
	id := w.run(closeOp("t"))
	if e := f.next(broker.MessageEvent).Entry; e.ID != id || !e.Close {
		t.Errorf("got %+v, want the close %s", e, id)
	}
	if again := w.run(closeOp("t")); again != id {
		t.Errorf("a second close got id %s, want %s", again, id)
	}
	if result := w.a.Publish(t.Context(), part, []broker.Op{op("t", "late")})[0]; !errors.Is(result.Err, broker.ErrTopicClosed) {
		t.Errorf("a publish after the close got %+v", result)
	}
	tail := w.read(broker.Read{Topic: "t", Limit: 10})
	if tail.Closed != id || tail.Last != id || len(tail.Entries) != 2 || !tail.Entries[1].Close || tail.Entries[0].Close {
		t.Errorf("got %+v, want an event and the close %s", tail, id)
	}
	if tail := w.read(broker.Read{Topic: "u"}); !tail.Closed.IsZero() {
		t.Errorf("another topic is closed: %+v", tail)
	}
}

// closesLapse: a close holds for as long as any of its topic's history, and lets a new life begin later.
func closesLapse(t *testing.T, w *world) {
	id := w.run(closeOp("t"))
	w.pass(lapsed(w.Keep.Close))
	next := w.publish("t")
	tail := w.read(broker.Read{Topic: "t", Limit: 10})
	if !id.Less(next) || !tail.Closed.IsZero() || tail.Last != next {
		t.Errorf("got %+v, want the topic open with its last event %s", tail, next)
	}
}

func keys(t *testing.T, w *world) {
	o := op("t", "x")
	o.Key = "k"
	first := w.run(o)
	if again := w.run(o); again != first {
		t.Errorf("got id %s for a known key, want %s", again, first)
	}
	if n := len(w.read(broker.Read{Topic: "t", Limit: 10}).Entries); n != 1 {
		t.Errorf("got %d events, want 1", n)
	}
	o.Key = "l"
	if other := w.run(o); !first.Less(other) {
		t.Errorf("got id %s for another key", other)
	}
}

func keysLapse(t *testing.T, w *world) {
	o := op("t", "x")
	o.Key = "k"
	first := w.run(o)
	w.pass(lapsed(w.Keep.Key))
	if later := w.run(o); !first.Less(later) {
		t.Errorf("got id %s for a key that has lapsed, want one above %s", later, first)
	}
}

func readsAreBounded(t *testing.T, w *world) {
	var all []broker.ID
	for range Size {
		all = append(all, w.publish("t"))
	}
	first := w.read(broker.Read{Topic: "t", Limit: 3})
	wantIDs(t, "the first page", first.Entries, all[:3]...)
	wantIDs(t, "the next", w.read(broker.Read{Topic: "t", After: all[2], Limit: 3}).Entries, all[3:6]...)
	wantIDs(t, "the end", w.read(broker.Read{Topic: "t", After: all[5], Limit: 30}).Entries, all[6:]...)
	wantIDs(t, "beyond the end", w.read(broker.Read{Topic: "t", After: all[Size-1], Limit: 3}).Entries)
	last := w.read(broker.Read{Topic: "t", Count: true})
	if len(last.Entries) > 0 || last.Last != all[Size-1] || last.Kept != Size {
		t.Errorf("got %+v, want no events, the last id %s, and %d kept", last, all[Size-1], Size)
	}
	if unknown := w.read(broker.Read{Topic: "unknown", Limit: 3, Count: true}); !unknown.Last.IsZero() || len(unknown.Entries) > 0 || unknown.Kept != 0 {
		t.Errorf("got %+v of an unknown topic", unknown)
	}
}

func readsBackwards(t *testing.T, w *world) {
	var all []broker.ID
	for range Size {
		all = append(all, w.publish("t"))
	}
	for _, c := range []struct {
		what          string
		after, before broker.ID
		limit         int
		want          []broker.ID
		beyond        broker.ID
	}{
		{"the newest two up to an event", broker.ID{}, all[4], 2, all[3:5], all[5]},
		{"all up to an event", broker.ID{}, all[2], 10, all[:3], all[3]},
		{"what lies between two", all[0], all[2], 10, all[1:3], all[3]},
		{"nothing between neighbours", all[2], all[2], 10, nil, all[3]},
		{"up to the last", all[5], all[Size-1], 10, all[6:], broker.ID{}},
		{"up to far beyond the last", all[6], far(all[Size-1]), 10, all[7:], broker.ID{}},
	} {
		tail := w.read(broker.Read{Topic: "t", After: c.after, Before: c.before, Limit: c.limit})
		wantIDs(t, c.what, tail.Entries, c.want...)
		var beyond broker.ID
		if tail.Beyond != nil {
			beyond = tail.Beyond.ID
		}
		if beyond != c.beyond {
			t.Errorf("%s: got %s beyond, want %s", c.what, beyond, c.beyond)
		}
	}
}

// sizes: at least Size of the latest events are kept, and not for ever more.
func sizes(t *testing.T, w *world) {
	var all []broker.ID
	const published = 400
	for range published {
		all = append(all, w.publish("t"))
	}
	tail := w.read(broker.Read{Topic: "t", Limit: published, Count: true})
	if len(tail.Entries) < w.Keep.Size || len(tail.Entries) == published || tail.Kept != len(tail.Entries) {
		t.Fatalf("%d events are kept, Kept says %d, of %d with a size of %d", len(tail.Entries), tail.Kept, published, w.Keep.Size)
	}
	wantIDs(t, "what is kept", tail.Entries, all[published-len(tail.Entries):]...)
	if got, want := tail.Entries[0].Prev, all[published-len(tail.Entries)-1]; got != want {
		t.Errorf("the oldest event kept names %s, want the trimmed %s", got, want)
	}
}

func expiries(t *testing.T, w *world) {
	first := w.publish("t")
	w.pass(lapsed(w.Keep.Events))
	tail := w.read(broker.Read{Topic: "t", Limit: 10, Count: true})
	if len(tail.Entries) > 0 || tail.Kept > 0 || tail.Last != first {
		t.Fatalf("got %+v, want no events and the last id %s", tail, first)
	}
	second := w.publish("t")
	if e := w.read(broker.Read{Topic: "t", Limit: 10}).Entries; len(e) != 1 || e[0].ID != second || e[0].Prev != first {
		t.Errorf("got %+v, want event %s after %s", e, second, first)
	}
}

// quietPartitions: marks move a quiet partition's clock on, so that a last id that is no longer kept is older by the clock
// than any position that must be told apart from it (Retention.LastID).
func quietPartitions(t *testing.T, w *world) {
	f := w.open(w.a)
	first := w.publish("t")
	born := w.mark(f, broker.ID{}, broker.ID{}).Born
	beat := w.Keep.LastID / 32
	var mark broker.Mark
	moved := false
	for waited := time.Duration(0); waited < lapsed(w.Keep.LastIDKept()); waited += beat {
		w.pass(beat)
		mark = w.mark(f, first, broker.ID{})
		if mark.Born != born {
			t.Fatalf("got a birth at %s in a quiet partition", mark.Born)
		}
		if !moved && first.Less(mark.Head) {
			moved = true
			if quiet := time.Duration(mark.Head.MS-first.MS) * time.Millisecond; quiet < w.Keep.QuietLag() {
				t.Errorf("the clock was moved on after %s, before it was %s behind", quiet, w.Keep.QuietLag())
			}
		}
		// The mark came first: the clock may be as far behind the time as one that is not moved on yet.
		if w.read(broker.Read{Topic: "t"}).Last.IsZero() && !first.Less(mark.Head.Minus(w.Keep.LastID)) {
			t.Fatalf("the last id %s is forgotten while the clock stands at %s", first, mark.Head)
		}
	}
	if last := w.read(broker.Read{Topic: "t"}).Last; !last.IsZero() {
		t.Errorf("the last id %s is kept for ever", last)
	}
	second := w.publish("t")
	if !mark.Head.Less(second) {
		t.Errorf("got id %s, want one above the mark %s", second, mark.Head)
	}
	e := w.read(broker.Read{Topic: "t", Limit: 1}).Entries[0]
	if e.Prev.Less(born) || mark.Head.Less(e.Prev) {
		t.Errorf("got event %s after %s, want it after an id between %s and %s", e.ID, e.Prev, born, mark.Head)
	}
}

func controls(t *testing.T, w *world) {
	feeds := make([]*feed, len(w.Replicas))
	for i, b := range w.Replicas {
		feeds[i] = w.open(b)
	}
	n, err := w.a.Send(t.Context(), "", []byte("all"))
	if err != nil || n != len(feeds) {
		t.Errorf("a message to all reached %d replicas, %v; want %d", n, err, len(feeds))
	}
	for i, f := range feeds {
		if got := string(f.next(broker.MessageControl).Payload); got != "all" {
			t.Errorf("replica %d got %q", i, got)
		}
	}
	last := len(feeds) - 1
	if n, err := w.a.Send(t.Context(), w.Replicas[last].Replica(), []byte("one")); err != nil || n != 1 {
		t.Errorf("a message to one reached %d replicas, %v", n, err)
	}
	if got := string(feeds[last].next(broker.MessageControl).Payload); got != "one" {
		t.Errorf("the replica got %q", got)
	}
	if last > 0 {
		w.mark(feeds[0], broker.ID{}, broker.ID{})
		if !feeds[0].isEmpty() {
			t.Errorf("a message to another replica came to the first: %+v", feeds[0].any())
		}
	}
}

func closedFeeds(t *testing.T, w *world) {
	f := w.open(w.a, "t")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-f.ended:
		if err == nil {
			t.Error("Receive ended without an error")
		}
	case <-time.After(patience):
		t.Fatal("Receive was not woken")
	}
	w.publish("t") // nobody waits for the feed any more
}

// contexts: a publish whose caller is gone does not wait; whether it was executed is its own business.
func contexts(t *testing.T, w *world) {
	bounded(t, "a publish", func(ctx context.Context) {
		if results := w.a.Publish(ctx, part, []broker.Op{op("t", "x")}); len(results) != 1 {
			t.Errorf("got %d results, want one", len(results))
		}
	})
}
