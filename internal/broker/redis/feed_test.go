package redis

import (
	"fmt"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// A Pub/Sub message, from what go-redis hands over to what the replica dispatches.
func TestFeed_MessageAllocates(t *testing.T) {
	const budget = 3
	feed := &feed{topics: "t:"}
	block := sse.AppendBlock(nil, "message", 0, []byte(`{"topic":"a","data":"hello"}`))
	payload := fmt.Sprintf("e1700000000001-0 1700000000000-0 %s", block)
	var message broker.Message
	perRun := testing.AllocsPerRun(1000, func() {
		var err error
		if message, err = feed.message(&goredis.Message{Channel: "t:a", Payload: payload}); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%.1f allocations per event", perRun)
	if perRun > budget {
		t.Errorf("an event allocates %.1f times, want at most %d", perRun, budget)
	}
	if message.Topic != "a" || message.Entry.ID.Seq != 0 {
		t.Errorf("got %+v", message)
	}
}
