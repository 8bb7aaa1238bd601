package fanout

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/broker/redis"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"
)

// Nothing is published for longer than last ids are kept: nobody is told a gap, neither meanwhile nor by the next event.
func TestHub_TellsNoGapAfterALongQuiet(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := NewHub(memory.New(memory.Options{Retention: broker.Retention{Size: 10}}), Options{Canary: time.Minute})
			defer closeHub(t, h)
			r := newRecorder()
			s, err := h.Join(t.Context(), JoinRequest{Topics: []string{"t", "u"}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Leave()
			if err := s.Deliver(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			publish(t, h, "t", 1)
			time.Sleep(72 * time.Hour)
			publish(t, h, "t", 2)
			publish(t, h, "u", 3)
			synctest.Wait()
			wantData(t, r.wait(t, 3), "1 2 3")
		})
	})
	t.Run("redis", func(t *testing.T) {
		const retention = 6 * time.Second
		url, client := redistest.Start(t)
		keep := broker.Retention{Size: 10, Events: time.Second, LastID: retention}
		store, err := redis.New(redis.Options{URL: url, Replica: "a", Retention: keep})
		if err != nil {
			t.Fatal(err)
		}
		h := NewHub(store, quick)
		defer closeHub(t, h)
		r := newRecorder()
		join(t, h, r, JoinRequest{Topics: []string{"t", "u"}})
		publish(t, h, "t", 1)
		testkit.Eventually(t, 5*retention, func() error {
			if client.Exists(t.Context(), "gw{p0}l:t").Val() > 0 {
				return errors.New("the last id is known still")
			}
			return nil
		})
		seen := audits(t, client)
		testkit.Eventually(t, 10*time.Second, func() error {
			if audits(t, client) < seen+3 {
				return errors.New("no audit has seen that the last id is gone")
			}
			return nil
		})
		publish(t, h, "t", 2)
		publish(t, h, "u", 3)
		wantData(t, r.wait(t, 3), "1 2 3")
	})
}

// audits is how often the server has been asked for last ids.
func audits(t *testing.T, client *goredis.Client) int {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, calls, _ := strings.Cut(info, "cmdstat_mget:calls=")
	calls, _, _ = strings.Cut(calls, ",")
	n, _ := strconv.Atoi(calls)
	return n
}

// A replica that is away misses an event, and so long that the broker forgets the topic's last id meanwhile.
func TestHub_TellsAGapForWhatWasForgottenWhileTheReplicaWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &awayBroker{Broker: memory.New(memory.Options{Retention: broker.Retention{Size: 10}}), back: make(chan struct{})}
		close(store.back)
		h := NewHub(store, Options{Canary: time.Minute})
		defer closeHub(t, h)
		r := newRecorder()
		s, err := h.Join(t.Context(), JoinRequest{Topics: []string{"t"}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Leave()
		if err := s.Deliver(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		publish(t, h, "t", 1)
		synctest.Wait()
		store.away(t)
		publish(t, h, "t", 2)
		time.Sleep(72 * time.Hour)
		close(store.back)
		time.Sleep(time.Minute)
		publish(t, h, "t", 3)
		wantData(t, r.wait(t, 3), "1 gap 3")
	})
}

// awayBroker is a memory broker whose connection can be lost for a while.
type awayBroker struct {
	*memory.Broker
	mu   sync.Mutex
	feed broker.Feed
	back chan struct{} // closed: connections can be opened
}

func (b *awayBroker) Open(ctx context.Context, part int) (broker.Feed, error) {
	b.mu.Lock()
	back := b.back
	b.mu.Unlock()
	select {
	case <-back:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	feed, err := b.Broker.Open(ctx, part)
	b.mu.Lock()
	b.feed = feed
	b.mu.Unlock()
	return feed, err
}

func (b *awayBroker) away(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.back = make(chan struct{})
	if err := b.feed.Close(); err != nil {
		t.Error(err)
	}
}
