package fanout

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/testkit"
)

// A watchedBroker knows its last feed, and what was subscribed to and let go on it.
type watchedBroker struct {
	broker.Broker

	mu                       sync.Mutex
	feed                     broker.Feed
	opened                   int
	subscribed, unsubscribed []string
}

type watchedFeed struct {
	broker.Feed
	of *watchedBroker
}

func (b *watchedBroker) Open(ctx context.Context, part int) (broker.Feed, error) {
	feed, err := b.Broker.Open(ctx, part)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.feed, b.subscribed, b.unsubscribed = feed, nil, nil
	b.opened++
	return watchedFeed{feed, b}, nil
}

func (f watchedFeed) Subscribe(ctx context.Context, topics []string) error {
	f.of.mu.Lock()
	f.of.subscribed = append(f.of.subscribed, topics...)
	f.of.mu.Unlock()
	return f.Feed.Subscribe(ctx, topics)
}

func (f watchedFeed) Unsubscribe(ctx context.Context, topics []string) error {
	f.of.mu.Lock()
	f.of.unsubscribed = append(f.of.unsubscribed, topics...)
	f.of.mu.Unlock()
	return f.Feed.Unsubscribe(ctx, topics)
}

func (b *watchedBroker) state() (opened int, subscribed, unsubscribed []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened, slices.Clone(b.subscribed), slices.Clone(b.unsubscribed)
}

// topicsHere is how many topics a hub of one partition has.
func topicsHere(h *Hub) int {
	p := h.partitions[0]
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.topics)
}

// visit joins a topic for a moment.
func visit(t *testing.T, h *Hub, topics ...string) {
	t.Helper()
	s, err := h.Join(t.Context(), JoinRequest{Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	s.Leave()
}

// Topics are let go of as fast as they lapse: 1,000 in each beat would take 30 beats.
func TestHub_LetsGoOfManyTopics(t *testing.T) {
	const visits, each = 300, 100
	store := &watchedBroker{Broker: memory.New(memory.Options{})}
	h := NewHub(store, Options{Canary: time.Second, Linger: 100 * time.Millisecond})
	defer closeHub(t, h)
	join(t, h, newRecorder(), JoinRequest{Topics: []string{"kept"}})
	for i := range visits {
		topics := make([]string, each)
		for j := range topics {
			topics[j] = fmt.Sprintf("t%d.%d", i, j)
		}
		visit(t, h, topics...)
	}
	testkit.Eventually(t, 10*time.Second, func() error {
		if left := topicsHere(h); left != 1 {
			return fmt.Errorf("%d topics are left", left)
		}
		return nil
	})
	if _, _, unsubscribed := store.state(); len(unsubscribed) != visits*each {
		t.Errorf("%d topics were let go of at the broker, want %d", len(unsubscribed), visits*each)
	}
}

// Not by the clock of a busy machine: a connection that is silent for three canaries is replaced, and the new one knows nothing of topics
// that nobody follows.
func TestHub_KeepsATopicThatIsJoinedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &watchedBroker{Broker: memory.New(memory.Options{})}
		h := NewHub(store, Options{Canary: 20 * time.Millisecond, Linger: 300 * time.Millisecond})
		defer closeHub(t, h)
		visit(t, h, "t", "gone")
		visit(t, h, "t")
		r := newRecorder()
		s, err := h.Join(t.Context(), JoinRequest{Topics: []string{"t"}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Leave()
		if err := s.Deliver(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if opened, _, unsubscribed := store.state(); fmt.Sprint(unsubscribed) != "[gone]" || opened != 1 {
			t.Errorf("let go of %v, on connection %d", unsubscribed, opened)
		}
		publish(t, h, "t", 1)
		wantData(t, r.wait(t, 1), "1")
	})
}

// A new connection subscribes to what somebody follows, not to what is lingering.
func TestHub_ForgetsUnusedTopicsWithTheConnection(t *testing.T) {
	store := &watchedBroker{Broker: memory.New(memory.Options{Retention: broker.Retention{Size: 10}})}
	h := NewHub(store, Options{Canary: 50 * time.Millisecond, Linger: time.Hour})
	defer closeHub(t, h)
	r := newRecorder()
	join(t, h, r, JoinRequest{Topics: []string{"kept"}})
	for i := range 20 {
		visit(t, h, fmt.Sprint("t", i))
	}
	opened, _, _ := store.state()
	store.mu.Lock()
	feed := store.feed
	store.mu.Unlock()
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 10*time.Second, func() error {
		if now, subscribed, _ := store.state(); now == opened || len(subscribed) == 0 {
			return fmt.Errorf("there is no new connection")
		}
		return h.Ready()
	})
	if _, subscribed, _ := store.state(); fmt.Sprint(subscribed) != "[kept]" {
		t.Errorf("subscribed to %v", subscribed)
	}
	publish(t, h, "kept", 1)
	visit(t, h, "t1") // as if it had never been there
	wantData(t, r.wait(t, 1), "1")
}
