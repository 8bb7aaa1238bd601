package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/broker/redis"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/sse"
)

// publishLarge publishes an event whose data is a number with so many digits.
func publishLarge(t *testing.T, h *Hub, topic string, n, size int) broker.ID {
	t.Helper()
	result := h.Publish(t.Context(), []Publication{{Topic: topic, Data: json.RawMessage(fmt.Sprintf("%0*d", size, n))}})[0]
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	return result.ID
}

func TestHub_BoundsPagesInBytes(t *testing.T) {
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		h := w.hub(t, "a")
		for i := range 20 {
			publishLarge(t, h, "t", i, 60<<10)
		}
		pages, events := 0, 0
		for req := (PageRequest{Topic: "t", Limit: 1000}); ; pages++ {
			page := readPage(t, h, req)
			size := 0
			for _, e := range decoded(t, page) {
				size += len(e.Data)
			}
			if events += len(page.Events); size > h.opts.QueueBytes || len(page.Events) == 0 {
				t.Fatalf("page %d holds %d events of %d bytes", pages, len(page.Events), size)
			}
			if req.After = page.Next; !page.More {
				break
			}
		}
		if events != 20 || pages != 4 {
			t.Errorf("got %d events in %d full pages and one more, want 20 in 4", events, pages)
		}
	})
}

// eachBroker runs a test on a broker of each kind, where t has events of the given sizes.
func eachBroker(t *testing.T, sizes []int, test func(t *testing.T, b broker.Broker, ids []broker.ID)) {
	run := func(name string, open func(t *testing.T) broker.Broker) {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			defer func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}()
			var ids []broker.ID
			for _, size := range sizes {
				result := b.Publish(t.Context(), 0, []broker.Op{{Topic: "t", Block: []byte("data: " + strings.Repeat("x", size) + "\n")}})[0]
				if result.Err != nil {
					t.Fatal(result.Err)
				}
				ids = append(ids, result.ID)
			}
			test(t, b, ids)
		})
	}
	kept := broker.Retention{Size: 1000}
	run("memory", func(*testing.T) broker.Broker { return memory.New(memory.Options{Retention: kept}) })
	run("redis", func(t *testing.T) broker.Broker {
		url, _ := redistest.Start(t)
		b, err := redis.New(redis.Options{URL: url, Replica: "a", Retention: kept})
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

func TestBroker_ReadsUpToABoundInBytes(t *testing.T) {
	sizes := []int{1000, 1000, 10000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000}
	eachBroker(t, sizes, func(t *testing.T, b broker.Broker, ids []broker.ID) {
		last := ids[len(ids)-1]
		for _, tt := range []struct {
			name        string
			read        broker.Read
			first, last int // of ids; last before first: none
			full        bool
		}{
			{"nothing bounds it", broker.Read{Limit: 100, Bytes: 1 << 20}, 0, 11, false},
			{"the limit", broker.Read{Limit: 4, Bytes: 1 << 20}, 0, 3, true},
			{"less than two", broker.Read{Limit: 100, Bytes: 1900}, 0, 0, true},
			{"less than one", broker.Read{Limit: 100, Bytes: 1}, 0, 0, true},
			{"less than a large one", broker.Read{Limit: 100, Bytes: 9000}, 0, 1, true},
			{"a large one first", broker.Read{Limit: 100, Bytes: 9000, After: ids[1]}, 2, 2, true},
			{"many", broker.Read{Limit: 100, Bytes: 8000, After: ids[2]}, 3, 9, true},
			{"just all", broker.Read{Limit: 100, Bytes: 9600, After: ids[2]}, 3, 11, false},
			{"the end", broker.Read{Limit: 100, Bytes: 8000, After: last}, 12, 11, false},
			{"newest first", broker.Read{Limit: 100, Bytes: 5500, Before: last}, 7, 11, true},
			{"newest, less than one", broker.Read{Limit: 100, Bytes: 1, Before: last}, 11, 11, true},
			{"newest, a large one", broker.Read{Limit: 100, Bytes: 9000, Before: ids[2]}, 2, 2, true},
			{"newest, all", broker.Read{Limit: 100, Bytes: 1 << 20, Before: ids[4], After: ids[0]}, 1, 4, false},
			{"newest, the limit", broker.Read{Limit: 2, Bytes: 1 << 20, Before: ids[4]}, 3, 4, true},
		} {
			tt.read.Topic = "t"
			tails, err := b.Read(t.Context(), 0, []broker.Read{tt.read})
			if err != nil {
				t.Fatal(err)
			}
			var got []broker.ID
			for _, e := range tails[0].Entries {
				got = append(got, e.ID)
			}
			if want := ids[tt.first : tt.last+1]; fmt.Sprint(got) != fmt.Sprint(want) || tails[0].Full != tt.full {
				t.Errorf("%s: got %v, full %t, want %v, %t", tt.name, got, tails[0].Full, want, tt.full)
			}
		}
	})
}

// A merge of many topics with large events hands out, and keeps, no more than it may, and reads hardly anything twice.
func TestMerge_HoldsNoMoreThanItsBytes(t *testing.T) {
	const topics, rounds, size, bound = 300, 4, 6000, 20000
	m := memory.New(memory.Options{Retention: broker.Retention{Size: 1000}})
	counting := &countingBroker{Broker: m}
	var want []broker.ID
	for round := range rounds {
		for i := range topics {
			// In the order of the names, and in the other.
			topic := fmt.Sprint("t", (i*(1+round*6))%topics)
			result := m.Publish(t.Context(), 0, []broker.Op{{Topic: topic, Block: []byte("data: " + strings.Repeat("x", size) + "\n")}})[0]
			want = append(want, result.ID)
		}
	}
	merge := &merge{broker: counting, end: want[len(want)-1], forgotten: func() broker.ID { return broker.ID{} }, limit: 100, bytes: bound}
	for i := range topics {
		merge.readers = append(merge.readers, newReader(fmt.Sprint("t", i), broker.ID{}, broker.ID{MS: 1<<64 - 1}))
	}
	var got []broker.ID
	for at := (broker.ID{}); at != merge.end; {
		var items []item
		var err error
		if items, at, err = merge.next(t.Context()); err != nil {
			t.Fatal(err)
		}
		handed, held := 0, 0
		for i := range items {
			handed += items[i].size()
			got = append(got, items[i].id)
		}
		for _, r := range merge.readers {
			for i := range r.items {
				held += r.items[i].size()
			}
		}
		if handed > bound || held > bound {
			t.Fatalf("%d bytes handed out at once, %d held", handed, held)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %d events, want %d, in order", len(got), len(want))
	}
	if counting.entries > 3*len(want) {
		t.Errorf("%d events were read for %d", counting.entries, len(want))
	}
}

// countingBroker counts the entries that are read.
type countingBroker struct {
	broker.Broker
	entries int
}

func (b *countingBroker) Read(ctx context.Context, part int, reads []broker.Read) ([]broker.Tail, error) {
	tails, err := b.Broker.Read(ctx, part, reads)
	for _, tail := range tails {
		b.entries += len(tail.Entries)
	}
	return tails, err
}

// A stream that reads nothing holds its queue; the rest of its replay is read when there is room.
func TestHub_ReadsNoMoreThanAStreamTakes(t *testing.T) {
	eachWorld(t, settings{history: 1000}, func(t *testing.T, w world) {
		h := w.hub(t, "a")
		for i := range 100 {
			publishLarge(t, h, "t", i, 30<<10)
		}
		s, err := h.Join(t.Context(), JoinRequest{Topics: []string{"t"}, Start: since(t, "all")})
		if err != nil {
			t.Fatal(err)
		}
		stalled := &stalledSink{recorder: newRecorder(), waiting: make(chan struct{})}
		ended := make(chan error, 1)
		go func() { ended <- s.Deliver(t.Context(), stalled) }()
		<-stalled.waiting
		if stalled.bytes > h.opts.QueueBytes {
			t.Errorf("%d bytes were pushed", stalled.bytes)
		}
		// Nor does anything go on when the stream is gone, though its request's context is not done.
		s.Leave()
		if err := <-ended; err == nil {
			t.Error("the delivery has ended well")
		}
		if h.reads.running != 0 || len(h.reads.keys) != 0 {
			t.Errorf("a turn is left: %+v", h.reads)
		}
	})
}

// stalledSink has room once.
type stalledSink struct {
	*recorder
	bytes   int
	waiting chan struct{}
}

func (s *stalledSink) Push(frame *sse.Frame) bool {
	s.bytes += len(bytes.TrimSpace(frame.Bytes()))
	return s.recorder.Push(frame)
}

func (s *stalledSink) WaitRoom(ctx context.Context) error {
	if s.bytes == 0 {
		return nil
	}
	close(s.waiting)
	<-ctx.Done()
	return ctx.Err()
}
