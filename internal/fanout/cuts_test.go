package fanout

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/broker/redis"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"
)

// cutsRemembered are the options of a hub whose broker remembers cuts.
func cutsRemembered(onCut func(owner string, at time.Time)) Options {
	options := quick
	options.CutTTL, options.OnCut = time.Hour, onCut
	return options
}

func TestHub_CutsThoughTheBrokerIsFull(t *testing.T) {
	url, client := redistest.Start(t)
	open := func(name string) *Hub {
		store, err := redis.New(redis.Options{URL: url, Replica: name, Retention: broker.Retention{Size: 10}})
		if err != nil {
			t.Fatal(err)
		}
		h := NewHub(store, cutsRemembered(nil))
		t.Cleanup(func() { closeHub(t, h) })
		return h
	}
	a, b := open("a"), open("b")
	stream := newRecorder()
	join(t, a, stream, JoinRequest{Topics: []string{"t"}, Owner: "jack"})
	publish(t, b, "t", 1) // both are connected, and Redis has a clock
	stream.wait(t, 1)
	limit := func(bytes string) {
		if err := client.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	if err := b.Cut(t.Context(), "jack"); !errors.Is(err, ErrCutForgettable) || !errors.Is(err, broker.ErrFull) {
		t.Errorf("got %v, want that it is not remembered since the store is full", err)
	}
	stream.waitEnd(t, "cut")
	if n := client.ZCard(t.Context(), "gw{p0}cuts").Val(); n != 0 {
		t.Errorf("%d cuts are remembered though Redis is full", n)
	}
	limit("0")
	testkit.Eventually(t, 20*time.Second, func() error { return client.ZScore(t.Context(), "gw{p0}cuts", "jack").Err() })
	testkit.Eventually(t, 20*time.Second, func() error {
		if left := b.owed.any(); left != nil {
			return fmt.Errorf("%+v is owed", left.cut)
		}
		return nil
	})
}

// A fakeClock is a broker whose clock is not this machine's.
type fakeClock struct {
	broker.Broker
	ahead time.Duration
}

func (c fakeClock) Now(context.Context) (time.Time, error) { return time.Now().Add(c.ahead), nil }

func TestHub_CutsAtTheBrokersTime(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		learned := make(chan time.Time, 10)
		store := fakeClock{memory.New(memory.Options{}), ahead}
		h := NewHub(store, cutsRemembered(func(_ string, at time.Time) { learned <- at }))
		testkit.Eventually(t, 10*time.Second, h.Ready)
		began := time.Now()
		if err := h.Cut(t.Context(), "jack"); err != nil {
			t.Error(err)
		}
		for range 2 { // here, and when it comes over the control channel
			if at := <-learned; at.Before(began.Add(ahead)) || at.After(time.Now().Add(ahead)) {
				t.Errorf("cut at %v, want now %+v", at, ahead)
			}
		}
		closeHub(t, h)
	}
}

// Many cuts must not keep events from being received, however many streams there are.
func TestHub_CutsWithoutLookingAtEveryStream(t *testing.T) {
	const streams, cuts = 50_000, 3000
	h := NewHub(memory.New(memory.Options{}), quick)
	defer closeHub(t, h)
	for i := range streams {
		h.subscribe(JoinRequest{Topics: []string{fmt.Sprint("t", i)}, Owner: fmt.Sprint("owner", i)})
	}
	began := time.Now()
	for i := range cuts {
		h.cutLocal(cut{Owner: fmt.Sprint("stranger", i), At: began})
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("%d cuts of nobody took %v", cuts, took)
	}
}

func TestOwners_KeepTheirSubscriptions(t *testing.T) {
	o := newOwners()
	add := func(owner string) *Subscription {
		s := &Subscription{owner: owner}
		o.add(s)
		return s
	}
	check := func(what string, want ...*Subscription) {
		t.Helper()
		got := o.takeCut()
		for _, s := range want {
			found := false
			for _, g := range got {
				found = found || g == s
			}
			if !found {
				t.Errorf("%s: one is missing", what)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: got %d, want %d", what, len(got), len(want))
		}
	}
	first, middle, last, other := add("jack"), add("jack"), add("jack"), add("jill")
	add("")
	o.remove(middle)
	o.remove(middle)
	o.cut("jack")
	later := add("jack")
	check("all but who has left, and who came later", first, last)
	o.remove(first) // after it has been cut
	o.cut("jack")
	o.cut("")
	check("who came later", later)
	o.remove(other)
	o.cut("jill")
	check("nobody")
	second := add("jill")
	o.remove(add("jill"))
	o.cut("jill")
	check("the head has left", second)
	if len(o.first) != 0 {
		t.Errorf("%d owners are left", len(o.first))
	}
}
