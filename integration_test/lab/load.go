package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sse-gateway/internal/testkit"
)

// LoadOptions say what a Load does. Zero fields get the defaults in brackets.
type LoadOptions struct {
	Bases       []string      // the replicas
	Topics      int           // [20]
	Users       int           // [4] subscribers' users: each fourth subscriber has one of them
	Subscribers int           // [300] each with up to 6 random topics
	Publishers  int           // [4] half of them publish again under the same key until they get an answer
	Rate        int           // [200] events per second, all together
	DropEvery   time.Duration // [4s] how often a subscriber loses its connection, on average; negative: never
	Retry       time.Duration // [100ms] how long a subscriber waits before it comes back
	Seed        uint64        // [from the clock] it is logged
}

func (o *LoadOptions) defaults() {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.Topics, 20)
	set(&o.Users, 4)
	set(&o.Subscribers, 300)
	set(&o.Publishers, 4)
	set(&o.Rate, 200)
	if o.DropEvery == 0 {
		o.DropEvery = 4 * time.Second
	}
	if o.Retry == 0 {
		o.Retry = 100 * time.Millisecond
	}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
}

// A Load is publishers and subscribers at work, with a record of everything that is published and received.
type Load struct {
	options     LoadOptions
	ledger      ledger
	witnesses   []*witness
	subscribers []*Subscriber
	stop        context.CancelFunc
	publishing  sync.WaitGroup
	begun       time.Time

	mu      sync.Mutex
	refused map[int]int // guarded by mu; answers other than 200, 0: none, by status
	slowest time.Duration
}

// StartLoad starts the subscribers, waits until each is ready, then starts the publishers.
func StartLoad(t testing.TB, options LoadOptions) *Load {
	t.Helper()
	options.defaults()
	t.Logf("load with seed %d", options.Seed)
	random := rand.New(rand.NewPCG(options.Seed, 0))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &Load{options: options, stop: stop, refused: map[int]int{}}
	for range options.Subscribers {
		l.subscribe(t, random)
	}
	for _, subscriber := range l.subscribers {
		subscriber.WaitReady(t)
	}
	l.begun = time.Now()
	for _, w := range l.witnesses {
		w.mu.Lock()
		w.listening, w.heard = true, time.Now()
		w.mu.Unlock()
	}
	for n := range options.Publishers {
		l.publishing.Go(func() { l.publish(ctx, n) })
	}
	if options.DropEvery > 0 {
		l.publishing.Go(func() { l.drop(ctx) })
	}
	t.Cleanup(func() {
		stop()
		l.publishing.Wait()
	})
	return l
}

func (l *Load) topic(n int) string { return fmt.Sprintf("load.%02d", n) }
func (l *Load) user(n int) string  { return fmt.Sprintf("user-%d", n) }

// subscribe adds a subscriber of random topics.
func (l *Load) subscribe(t testing.TB, random *rand.Rand) {
	t.Helper()
	w := &witness{}
	w.final.Store(-1)
	options := SubscribeOptions{Retry: l.options.Retry, OnEvent: w.receive}
	for _, n := range random.Perm(l.options.Topics)[:1+random.IntN(min(6, l.options.Topics))] {
		options.Topics = append(options.Topics, l.topic(n))
	}
	w.names = slices.Clone(options.Topics)
	if l.options.Users > 0 && random.IntN(4) == 0 {
		options.User = l.user(random.IntN(l.options.Users))
		w.names = append(w.names, "@"+options.User)
	}
	for range 16 {
		options.Bases = append(options.Bases, l.options.Bases[random.IntN(len(l.options.Bases))])
	}
	l.witnesses = append(l.witnesses, w)
	l.subscribers = append(l.subscribers, Subscribe(t, options))
}

// publish publishes to random topics at an even pace.
func (l *Load) publish(ctx context.Context, n int) {
	random := rand.New(rand.NewPCG(l.options.Seed, uint64(n)+1))
	ticker := time.NewTicker(time.Second * time.Duration(l.options.Publishers) / time.Duration(l.options.Rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		name := l.topic(random.IntN(l.options.Topics))
		if l.options.Users > 0 && random.IntN(20) == 0 {
			name = "@" + l.user(random.IntN(l.options.Users))
		}
		// Not ctx: an event that is under way when the load ends is still waited for.
		l.publishOne(context.WithoutCancel(ctx), random, name, n%2 == 0)
	}
}

// publishOne publishes one event and, with insist, goes on under the same key for up to a minute.
func (l *Load) publishOne(ctx context.Context, random *rand.Rand, name string, insist bool) {
	serial := l.ledger.add(name)
	event := map[string]any{"data": serial}
	if user, ok := strings.CutPrefix(name, "@"); ok {
		event["user"] = user
	} else {
		event["topic"] = name
	}
	if insist {
		event["key"] = fmt.Sprintf("%d-%d", l.options.Seed, serial)
	}
	body, err := json.Marshal(event)
	if err != nil {
		panic(err) // numbers and strings
	}
	_ = testkit.Poll(time.Minute, func() error {
		begun := time.Now()
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		text, err := TryPublish(attempt, l.options.Bases[random.IntN(len(l.options.Bases))], body)
		l.count(err, time.Since(begun))
		if err != nil {
			if !insist {
				return nil
			}
			return err
		}
		id, err := ParseID(text)
		if err == nil {
			l.ledger.ack(serial, id)
		}
		return err
	})
}

func (l *Load) count(err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	status := http.StatusOK
	if err != nil {
		status = 0
		if answered, ok := errors.AsType[*StatusError](err); ok {
			status = answered.Status
			l.slowest = max(l.slowest, took)
		}
	}
	l.refused[status]++
}

// Refused is how many publishes got which other status than 200 so far (0: no answer), and how long the slowest of
// those that were answered took.
func (l *Load) Refused() (byStatus map[int]int, slowest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	byStatus = map[int]int{}
	for status, count := range l.refused {
		if status != http.StatusOK {
			byStatus[status] = count
		}
	}
	return byStatus, l.slowest
}

// Published is how many publishes were acknowledged so far.
func (l *Load) Published() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused[http.StatusOK]
}

// Subscribers are the load's subscribers of a topic.
func (l *Load) Subscribers(topic string) []*Subscriber {
	var found []*Subscriber
	for n, w := range l.witnesses {
		if slices.Contains(w.names, topic) {
			found = append(found, l.subscribers[n])
		}
	}
	return found
}

func (l *Load) drop(ctx context.Context) {
	random := rand.New(rand.NewPCG(l.options.Seed, 1<<32))
	ticker := time.NewTicker(l.options.DropEvery / time.Duration(l.options.Subscribers))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.subscribers[random.IntN(len(l.subscribers))].Drop()
		}
	}
}

// Finish ends the publishers, publishes a last event everywhere, waits up to timeout until every subscriber has it,
// and judges.
func (l *Load) Finish(t testing.TB, timeout time.Duration) Verdict {
	t.Helper()
	l.stop()
	l.publishing.Wait()
	for _, w := range l.witnesses {
		w.mu.Lock()
		w.listening = false
		w.silence = max(w.silence, time.Since(w.heard))
		w.mu.Unlock()
	}
	l.publishLast(t)
	err := testkit.Poll(timeout, func() error {
		for n, w := range l.witnesses {
			if got := int(w.marks.Load()); got < len(w.names) {
				state := l.subscribers[n].State()
				return fmt.Errorf("subscriber %d of %v has %d of %d last events; on %s, last id %s, %d connections, last error %w, ended %w",
					n, w.names, got, len(w.names), state.Base, state.LastID, state.Connects, state.LastErr, state.Ended)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("not within %v: %v", timeout, err)
	}
	reconnects := 0
	for n, subscriber := range l.subscribers {
		state := subscriber.State()
		reconnects += state.Connects - 1
		if state.Ended != nil {
			t.Errorf("subscriber %d has given up: %v", n, state.Ended)
		}
		subscriber.Close()
	}
	verdict := l.ledger.judge(l.witnesses)
	verdict.Reconnects = reconnects
	return verdict
}

func (l *Load) publishLast(t testing.TB) {
	t.Helper()
	l.ledger.mu.RLock()
	final := int64(len(l.ledger.entries))
	l.ledger.mu.RUnlock()
	for _, w := range l.witnesses {
		w.final.Store(final)
	}
	random := rand.New(rand.NewPCG(l.options.Seed, 1<<33))
	for n := range l.options.Topics {
		l.publishOne(t.Context(), random, l.topic(n), true)
	}
	for n := range l.options.Users {
		l.publishOne(t.Context(), random, "@"+l.user(n), true)
	}
}
