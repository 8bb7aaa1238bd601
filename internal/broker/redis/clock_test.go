package redis

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"
)

// When Redis's clock is set back, ids stand still in their ms until it has caught up. What is renewed by their digits must be
// renewed all the same: a topic with events lost its history as if it were quiet, and what was written next never expired.
func TestPublish_RenewsExpiriesWhileIDsStandStill(t *testing.T) {
	url, client := redistest.Start(t)
	store, err := New(Options{URL: url, Replica: "r", Retention: broker.Retention{Size: 1000, Events: 2 * time.Second, LastID: 3 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	sp := &store.spaces[0]
	// As after a step back by a day: the last id that was given out is a day ahead.
	ahead := fmt.Sprintf("%d-0", time.Now().Add(24*time.Hour).UnixMilli())
	if err := client.Do(t.Context(), "XADD", sp.clock, ahead, "i", "").Err(); err != nil {
		t.Fatal(err)
	}
	began, published := time.Now(), 0
	testkit.Eventually(t, time.Minute, func() error {
		results := store.Publish(t.Context(), 0, []broker.Op{{Topic: "t", Block: []byte("data: 1\n")}})
		if results[0].Err != nil {
			t.Fatal(results[0].Err)
		}
		published++
		if time.Since(began) < 5*time.Second {
			return errors.New("the events have not gone on for longer than anything is kept")
		}
		return nil
	})
	kept, err := client.XLen(t.Context(), sp.stream("t")).Result()
	if err != nil || int(kept) != published {
		t.Errorf("%d of %d events are kept, %v", kept, published, err)
	}
	for _, key := range []string{sp.stream("t"), sp.last("t")} {
		left, err := client.PTTL(t.Context(), key).Result()
		if err != nil || left <= 0 || left > 4*time.Second {
			t.Errorf("%s expires in %s, %v", key, left, err)
		}
	}
}
