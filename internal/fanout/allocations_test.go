package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

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
	url, _ := startRedis(t)
	broker, err := NewRedis(RedisOptions{URL: url, Replica: "a", HistorySize: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	h := &Hub{broker: broker, partitions: []*partition{newPartition(0, broker, quick.withDefaults(), nil)}}
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

// Redis → hub: a Pub/Sub message, from what go-redis hands over to the last of 100 subscriptions. The number of
// subscriptions costs nothing.
func TestRedis_ReceiveAllocates(t *testing.T) {
	const streams, budget = 100, 3
	feed := &redisFeed{topics: "t:"}
	p := newPartition(0, nil, quick.withDefaults(), nil)
	p.state, p.generation = live, 1
	h := &Hub{partitions: []*partition{p}, opts: p.opts}
	for range streams {
		s := h.subscribe(JoinRequest{Topics: []string{"a"}})
		s.sink, s.parts[0].live = discard{}, true
	}
	p.topics["a"].start(ID{})
	block := sse.AppendBlock(nil, "message", 0, []byte(`{"topic":"a","data":"hello"}`))
	payloads := make([]string, 2000)
	prev := ID{}
	for i := range payloads {
		id := ID{MS: 1_700_000_000_000 + uint64(i)}
		payloads[i] = fmt.Sprintf("e%s %s %s", id, prev, block)
		prev = id
	}
	next := 0
	perRun := testing.AllocsPerRun(1000, func() {
		m, err := feed.message(&redis.Message{Channel: "t:a", Payload: payloads[next]})
		if err != nil {
			t.Fatal(err)
		}
		next++
		p.receive(1, []Message{m})
	})
	t.Logf("%.1f allocations per event", perRun)
	if perRun > budget {
		t.Errorf("an event allocates %.1f times for %d subscriptions, want at most %d", perRun, streams, budget)
	}
	if p.watermark.IsZero() {
		t.Error("nothing was dispatched")
	}
}
