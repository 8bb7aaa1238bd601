// Package brokertest holds what every broker must do: one suite of the contract, run over each store that there is,
// also over the one of the model test. What holds here is what the hub relies on.
//
// Stores differ in what they do with time. One that takes its time from the process runs in a synctest bubble, where hours
// pass at once; Redis has a clock of its own, and is given a Retention of seconds. The suite itself only waits.
package brokertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// A Store is one store under test.
type Store struct {
	// Replicas are brokers of different replicas on it, at least one. The suite closes none of them.
	Replicas []broker.Broker
	// Keep is the retention that they have.
	Keep broker.Retention
}

// Size is the number of events per topic that the suite wants to be kept at least.
const Size = 8

// patience is how long the suite waits for a message. It is no measure of speed.
const patience = 20 * time.Second

// Run runs the suite. run calls its argument with a store of the subtest's own, empty; inside a bubble if the store's time
// is the process's.
func Run(t *testing.T, run func(t *testing.T, test func(t *testing.T, s Store))) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, w *world)
	}{
		{"ids rise over all topics", idsRise},
		{"an id is above its floor", idsAreAboveTheirFloor},
		{"an event names the one before it", eventsNameThePrevious},
		{"a first event names an id that nothing lies before", firstEventsNameAnID},
		{"a feed delivers what its replica subscribed to", feedsDeliver},
		{"a mark comes after every event up to its head", marksFollowEvents},
		{"a mark goes to its own replica", marksAreOnesOwn},
		{"a floor above the clock is a birth", floorsGiveBirth},
		{"a publish above the clock is a birth before its event", publishesGiveBirth},
		{"a refused publish above the clock is a birth too", refusedPublishesGiveBirth},
		{"a birth that is asked for once happens once", rebirths},
		{"a close ends a topic", closes},
		{"a close lapses", closesLapse},
		{"a close brings the last events with it", closesWithLastEvents},
		{"a stop leaves a topic nothing but its close", stops},
		{"a stop of a topic that is closed changes nothing", stopsAfterTheClose},
		{"a stop lapses", stopsLapse},
		{"a key answers the first id again", keys},
		{"a key lapses", keysLapse},
		{"a read is bounded", readsAreBounded},
		{"a read backwards tells what lies beyond", readsBackwards},
		{"history is kept in its size", sizes},
		{"history expires before last ids do", expiries},
		{"a quiet partition outlives its last ids", quietPartitions},
		{"control messages go to one or to all", controls},
		{"a closed feed wakes its receiver", closedFeeds},
		{"a publish ends with its context", contexts},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(t *testing.T, s Store) {
				w := &world{t: t, Store: s, a: s.Replicas[0]}
				defer w.close()
				c.test(t, w)
			})
		})
	}
}

// A world is a store in one test, with what is open on it.
type world struct {
	Store
	t     *testing.T
	a     broker.Broker // the first replica
	feeds []*feed
	seq   uint64
}

func (w *world) close() {
	for _, f := range w.feeds {
		f.close()
	}
}

// pass lets time go by.
func (w *world) pass(d time.Duration) { <-time.After(d) }

// lapsed is longer than anything that is kept for d: stores may let go a little late.
func lapsed(d time.Duration) time.Duration { return d + d/4 + 50*time.Millisecond }

// part is the partition that the suite works in: the suite's topics need no hash.
const part = 0

func op(topic, data string) broker.Op {
	block := sse.AppendBlock(nil, "message", 0, fmt.Appendf(nil, `{"topic":%q,"data":%q}`, topic, data))
	return broker.Op{Topic: topic, Block: block}
}

// publish publishes one event and returns its id.
func (w *world) publish(topic string) broker.ID {
	w.t.Helper()
	return w.run(op(topic, "x"))
}

// run executes one op that must succeed.
func (w *world) run(o broker.Op) broker.ID {
	w.t.Helper()
	result := w.a.Publish(w.t.Context(), part, []broker.Op{o})[0]
	if result.Err != nil {
		w.t.Fatalf("publish to %q: %v", o.Topic, result.Err)
	}
	return result.ID
}

// read reads one topic.
func (w *world) read(r broker.Read) broker.Tail {
	w.t.Helper()
	tails, err := w.a.Read(w.t.Context(), part, []broker.Read{r})
	if err != nil {
		w.t.Fatalf("read %+v: %v", r, err)
	}
	return tails[0]
}

// mark sends a mark of the first replica, and returns it as it comes back through f.
func (w *world) mark(f *feed, floor, rebirth broker.ID) broker.Mark {
	w.t.Helper()
	w.seq++
	if err := w.a.Mark(w.t.Context(), part, w.seq, floor, rebirth); err != nil {
		w.t.Fatalf("mark: %v", err)
	}
	for {
		if m := f.next(broker.MessageMark); m.Mark.Seq == w.seq {
			return m.Mark
		}
	}
}

// A feed is an open feed whose messages are gathered as they come.
type feed struct {
	broker.Feed
	t        *testing.T
	messages chan broker.Message
	ended    chan error
}

// open opens a feed of a replica, subscribed to topics.
func (w *world) open(b broker.Broker, topics ...string) *feed {
	w.t.Helper()
	opened, err := b.Open(w.t.Context(), part)
	if err != nil {
		w.t.Fatalf("open a feed: %v", err)
	}
	f := &feed{Feed: opened, t: w.t, messages: make(chan broker.Message, 1024), ended: make(chan error, 1)}
	w.feeds = append(w.feeds, f)
	go f.run()
	if len(topics) > 0 {
		if err := f.Subscribe(w.t.Context(), topics); err != nil {
			w.t.Fatalf("subscribe to %q: %v", topics, err)
		}
		for range topics {
			f.next(broker.MessageAck)
		}
	}
	return f
}

func (f *feed) run() {
	defer close(f.messages)
	var buf []broker.Message
	for {
		var err error
		if buf, err = f.Receive(buf[:0]); err != nil {
			f.ended <- err
			return
		}
		for _, m := range buf {
			f.messages <- m
		}
	}
}

func (f *feed) close() {
	_ = f.Close()
	for range f.messages { // until run has ended
	}
}

// next returns the next message of a kind. Those of other kinds before it are passed over, unless they are events:
// none may be missed.
func (f *feed) next(kind broker.MessageKind) broker.Message {
	f.t.Helper()
	for {
		m := f.any()
		switch m.Kind {
		case kind:
			return m
		case broker.MessageEvent:
			f.t.Fatalf("got event %s of %q, want a message of kind %d", m.Entry.ID, m.Topic, kind)
		}
	}
}

// any returns the next message, whatever it is.
func (f *feed) any() broker.Message {
	f.t.Helper()
	select {
	case m, ok := <-f.messages:
		if !ok {
			f.t.Fatal("the feed ended")
		}
		return m
	case <-time.After(patience):
		f.t.Fatal("the feed is silent")
	}
	return broker.Message{}
}

// isEmpty tells whether nothing has come; a mark before it shows that nothing is on its way.
func (f *feed) isEmpty() bool { return len(f.messages) == 0 }

func ids(entries []broker.Entry) (ids []broker.ID) {
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

func wantIDs(t *testing.T, what string, entries []broker.Entry, want ...broker.ID) {
	t.Helper()
	if got := ids(entries); !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// far is an id that no clock reaches during a test.
func far(id broker.ID) broker.ID {
	return broker.ID{MS: id.MS + uint64(time.Hour.Milliseconds()), Seq: 7}
}

// bounded runs what must not wait.
func bounded(t *testing.T, what string, do func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s waits without bound", what)
	}
}
