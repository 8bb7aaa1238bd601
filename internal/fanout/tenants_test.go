package fanout

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sse-gateway/internal/address"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"
)

// A lockedLog is a log that a test reads while it is written.
type lockedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// openTenant opens a hub, whose log it returns.
func openTenant(t *testing.T, opts redis.Options) (*Hub, *lockedLog) {
	t.Helper()
	log := &lockedLog{}
	opts.Retention.Size = 100
	opts.Log = slog.New(slog.NewTextHandler(log, nil))
	store, err := redis.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	options := quick
	options.Log, options.CutTTL = opts.Log, time.Hour
	h := NewHub(store, options)
	t.Cleanup(func() { closeHub(t, h) })
	return h, log
}

func waitReady(t *testing.T, h *Hub) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, h.Ready)
}

func TestRedis_TenantsDoNotMeet(t *testing.T) {
	for name, pair := range map[string]func(t *testing.T) (one, other redis.Options){
		"two prefixes": func(t *testing.T) (one, other redis.Options) {
			url, _ := redistest.Start(t)
			return redis.Options{URL: url, Prefix: "gw"}, redis.Options{URL: url, Prefix: "gw2"}
		},
		"two databases": func(t *testing.T) (one, other redis.Options) {
			url, _ := redistest.Start(t)
			return redis.Options{URL: url}, redis.Options{URL: url + "/3"}
		},
		"a prefix like a database": func(t *testing.T) (one, other redis.Options) {
			url, _ := redistest.Start(t)
			return redis.Options{URL: url + "/3"}, redis.Options{URL: url, Prefix: "gw.3"}
		},
		"two prefixes on a cluster": func(t *testing.T) (one, other redis.Options) {
			url := redistest.StartCluster(t)
			return redis.Options{URL: url, Partitions: 4}, redis.Options{URL: url, Prefix: "gw2", Partitions: 8}
		},
	} {
		t.Run(name, func(t *testing.T) {
			one, other := pair(t)
			one.Replica, other.Replica = "same", "same"
			a, logA := openTenant(t, one)
			b, logB := openTenant(t, other)
			waitReady(t, a)
			waitReady(t, b)
			topics := []string{"t0", "t1", "t2", "t3", "t4"}
			ra, rb := newRecorder(), newRecorder()
			join(t, a, ra, JoinRequest{Topics: topics, User: "jack", Owner: "jack"})
			join(t, b, rb, JoinRequest{Topics: topics, User: "jack", Owner: "jack"})
			join(t, b, newRecorder(), JoinRequest{Topics: topics})
			for i, topic := range append(topics, address.OfUser("jack").String()) {
				publish(t, a, topic, i)
				publish(t, b, topic, i+10)
			}
			got := values(t, ra.wait(t, 6))
			for i, topic := range append(topics, "jack") {
				if want := fmt.Sprint(i, " "); got[topic] != want {
					t.Errorf("topic %s: got %q, want %q", topic, got[topic], want)
				}
			}
			list, err := a.Topics(t.Context(), "", 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, info := range list.Topics {
				if info.Subscribers != 1 {
					t.Errorf("topic %s has %d subscribers, want 1", info.Topic, info.Subscribers)
				}
			}
			if err := a.Cut(t.Context(), "jack"); err != nil {
				t.Fatal(err)
			}
			ra.waitEnd(t, "cut")
			if cuts, err := b.broker.Cuts(t.Context()); err != nil || len(cuts) > 0 {
				t.Errorf("the other's cuts: %v, %v", cuts, err)
			}
			publish(t, b, "t0", 99) // after whatever could have come across
			got = values(t, rb.wait(t, 7))
			if got["t0"] != "10 99 " || got["jack"] != "15 " {
				t.Errorf("the other got %v", got)
			}
			for _, log := range []*lockedLog{logA, logB} {
				if text := log.String(); strings.Contains(text, "catching up") {
					t.Errorf("a tenant was disturbed:\n%s", text)
				}
			}
		})
	}
}

func TestRedis_RefusesForeignKeys(t *testing.T) {
	url, client := redistest.StartNode(t)
	mine := redis.Options{URL: url, Replica: "a", Partitions: 4, Retention: broker.Retention{Events: time.Hour}}
	a, logA := openTenant(t, mine)
	waitReady(t, a)
	r := newRecorder()
	join(t, a, r, JoinRequest{Topics: []string{"t"}})
	publish(t, a, "t", 1)

	alike := mine
	alike.Replica, alike.Retention.Events = "b", 12*time.Hour // last ids are kept for a day all the same
	b, _ := openTenant(t, alike)
	waitReady(t, b)
	for name, change := range map[string]func(o *redis.Options){
		"partitions":  func(o *redis.Options) { o.Partitions = 8 },
		"history ttl": func(o *redis.Options) { o.Retention.Events = 100 * time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			foreign := mine
			foreign.Replica = "c"
			change(&foreign)
			c, _ := openTenant(t, foreign)
			testkit.Eventually(t, 20*time.Second, func() error {
				if err := c.Ready(); !errors.Is(err, broker.ErrForeign) || !strings.Contains(err.Error(), "partitions 4") {
					return fmt.Errorf("readiness: %w", err)
				}
				return nil
			})
			before := client.DBSize(t.Context()).Val()
			result := c.Publish(t.Context(), []Publication{{Topic: "elsewhere", Data: []byte("1")}})[0]
			if !errors.Is(result.Err, broker.ErrForeign) || !errors.Is(result.Err, broker.ErrNotSent) {
				t.Errorf("publish: got %v", result.Err)
			}
			if err := c.Cut(t.Context(), "jack"); !errors.Is(err, broker.ErrForeign) {
				t.Errorf("cut: got %v", err)
			}
			if got := client.DBSize(t.Context()).Val(); got != before {
				t.Errorf("%d keys, %d before", got, before)
			}
		})
	}
	publish(t, b, "t", 2)
	if got := data(r.wait(t, 2)); got != "1 2" {
		t.Errorf("got %s", got)
	}
	if text := logA.String(); strings.Contains(text, "catching up") {
		t.Errorf("a gateway was disturbed:\n%s", text)
	}
}

func TestRedis_NoticesThatAnEmptiedStoreWasTaken(t *testing.T) {
	url, client := redistest.Start(t)
	a, _ := openTenant(t, redis.Options{URL: url, Replica: "a"})
	waitReady(t, a)
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func() error { return client.Get(t.Context(), "gw:charter").Err() })
	if err := client.Set(t.Context(), "gw:charter", "format 2, by others", 0).Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func() error {
		if err := a.Ready(); !errors.Is(err, broker.ErrForeign) {
			return fmt.Errorf("readiness: %w", err)
		}
		return nil
	})
	if err := client.Del(t.Context(), "gw:charter").Err(); err != nil {
		t.Fatal(err)
	}
	waitReady(t, a)
}

func TestRedis_StartsOnAFullStore(t *testing.T) {
	url, _ := redistest.Start(t, "--maxmemory", "1")
	a, _ := openTenant(t, redis.Options{URL: url, Replica: "a"})
	if result := a.Publish(t.Context(), []Publication{{Topic: "t", Data: []byte("1")}})[0]; !errors.Is(result.Err, broker.ErrFull) {
		t.Errorf("got %v, want that the store is full", result.Err)
	}
}

// TestCluster_TellsGapsAfterAChangeOfPartitions is the documented way: with the number of partitions the prefix changes.
func TestCluster_TellsGapsAfterAChangeOfPartitions(t *testing.T) {
	url, _ := redistest.StartNode(t)
	old, _ := openTenant(t, redis.Options{URL: url, Replica: "a", Partitions: 4})
	topics := []string{"t0", "t1", "t2", "t3"}
	r := newRecorder()
	join(t, old, r, JoinRequest{Topics: topics})
	for _, topic := range topics {
		publish(t, old, topic, 1)
	}
	events := r.wait(t, 4)
	for _, topic := range topics {
		publish(t, old, topic, 2)
	}
	changed, _ := openTenant(t, redis.Options{URL: url, Replica: "b", Prefix: "gw.8", Partitions: 8})
	resumed := newRecorder()
	join(t, changed, resumed, JoinRequest{Topics: topics, Start: after(events[3].ID)})
	if got := data(resumed.wait(t, 4)); got != "gap gap gap gap" {
		t.Errorf("got %s", got)
	}
}

func TestCheckPrefix(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"gw": true, "shop.eu-1:gw_2": true, "7": true,
		"": false, "a b": false, "{gw}": false, "gw/3": false, "gw*": false, "-gw": false, "gw\n": false, strings.Repeat("x", 65): false,
	} {
		if err := redis.CheckPrefix(prefix); (err == nil) != ok {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}
