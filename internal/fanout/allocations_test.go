package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/broker/redis"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/sse"
)

// discard is a Sink that takes everything and keeps nothing.
type discard struct{}

func (discard) Push(*sse.Frame) bool               { return true }
func (discard) WaitRoom(ctx context.Context) error { return ctx.Err() }
func (discard) End(string)                         {}

// Publish → Redis: the event's encoding, its command and its answer, in a pipeline of 64.
func TestRedis_PublishAllocates(t *testing.T) {
	const batch, budget = 64, 24
	url, _ := redistest.Start(t)
	store, err := redis.New(redis.Options{URL: url, Replica: "a", Retention: broker.Retention{Size: 100}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h := &Hub{broker: store, partitions: []*partition{newPartition(0, store.Retention(), quick.withDefaults())}}
	pubs := make([]Publication, batch)
	for i := range pubs {
		pubs[i] = Publication{Topic: fmt.Sprint("t", i), Data: json.RawMessage(`{"text":"hello"}`)}
	}
	perRun := testing.AllocsPerRun(50, func() {
		for _, result := range h.Publish(t.Context(), pubs) {
			if result.Err != nil {
				t.Fatal(result.Err)
			}
		}
	})
	t.Logf("%.1f allocations per event", perRun/batch)
	if perRun/batch > budget {
		t.Errorf("a publish allocates %.1f times, want at most %d", perRun/batch, budget)
	}
}

// Feed → hub: a message's dispatch to 100 subscriptions costs nothing but the log's growth.
func TestPartition_DispatchAllocates(t *testing.T) {
	const streams, budget = 100, 1
	p := newPartition(0, memory.New(memory.Options{}).Retention(), quick.withDefaults())
	p.state, p.generation = live, 1
	h := &Hub{partitions: []*partition{p}, opts: p.opts}
	for range streams {
		s := h.subscribe(JoinRequest{Topics: []string{"a"}})
		s.sink, s.shares[0].live = discard{}, true
	}
	p.topics["a"].start(broker.ID{})
	frame := sse.NewFrame(sse.AppendBlock(nil, "message", 0, []byte(`{"topic":"a","data":"hello"}`)), "1700000000000-0")
	messages := make([][]broker.Message, 2000)
	prev := broker.ID{}
	for i := range messages {
		id := broker.ID{MS: 1_700_000_000_000 + uint64(i)}
		messages[i] = []broker.Message{{Kind: broker.MessageEvent, Topic: "a", Entry: broker.Entry{ID: id, Prev: prev, Frame: frame}}}
		prev = id
	}
	next := 0
	perRun := testing.AllocsPerRun(1000, func() {
		p.receive(1, messages[next])
		next++
	})
	t.Logf("%.1f allocations per event", perRun)
	if perRun > budget {
		t.Errorf("an event allocates %.1f times for %d subscriptions, want at most %d", perRun, streams, budget)
	}
	if p.evidence.watermark.IsZero() {
		t.Error("nothing was dispatched")
	}
}
