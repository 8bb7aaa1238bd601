package redis

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/brokertest"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"
)

func TestBroker_KeepsTheContract(t *testing.T) {
	for name, start := range map[string]func(t testing.TB) string{
		"alone":   func(t testing.TB) string { url, _ := redistest.Start(t); return url },
		"cluster": redistest.StartCluster,
	} {
		t.Run(name, func(t *testing.T) {
			url := start(t)
			brokertest.Run(t, func(t *testing.T, test func(*testing.T, brokertest.Store)) {
				// A prefix of its own is an empty store.
				keep := broker.Retention{
					Size: brokertest.Size, Events: 800 * time.Millisecond, LastID: 3 * time.Second,
					Close: 900 * time.Millisecond, Key: 400 * time.Millisecond,
				}
				prefix := rand.Text()
				var replicas []broker.Broker
				for _, name := range []string{"a", "b"} {
					b, err := New(Options{URL: url, Prefix: prefix, Replica: name, Retention: keep, Partitions: 2})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = b.Close() })
					replicas = append(replicas, b)
				}
				test(t, brokertest.Store{Replicas: replicas, Keep: keep})
			})
		})
	}
}

// A full Redis refuses the write that moves a quiet clock on: marks go on with the old head until there is room.
func TestBroker_MarksWhileRedisIsFull(t *testing.T) {
	url, client := redistest.Start(t)
	b, err := New(Options{URL: url, Replica: "a", Retention: broker.Retention{Size: 10, LastID: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	feed, err := b.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	mark := func() broker.ID {
		t.Helper()
		if err := b.Mark(t.Context(), 0, 1, broker.ID{}, broker.ID{}); err != nil {
			t.Fatal(err)
		}
		for {
			messages, err := feed.Receive(nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				if m.Kind == broker.MessageMark {
					return m.Mark.Head
				}
			}
		}
	}
	id := mark()
	if err := client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	deadline := id.MS + uint64(2*b.Retention().QuietLag().Milliseconds())
	testkit.Eventually(t, 20*time.Second, func() error {
		if head := mark(); head != id {
			t.Fatalf("the head is %s, want %s", head, id)
		}
		if now := client.Time(t.Context()).Val(); uint64(now.UnixMilli()) <= deadline {
			return errors.New("not quiet for long enough")
		}
		return nil
	})
	if err := client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if head := mark(); head == id {
		t.Error("the clock stands still though there is room again")
	}
}
