package integration_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// A Pub/Sub connection that has gone deaf without an error is replaced within 5 seconds, and nothing is missing.
func TestContinuity_ADeafConnectionIsReplaced(t *testing.T) {
	redis := lab.StartRedis(t)
	link := lab.StartLink(t, redis.Addr)
	deaf := start(t, link.Env())
	healthy := start(t, redis.Env())
	subscriber := lab.Listen(t, deaf.URL, "t")
	link.DeafenPubSub()
	begun := time.Now()
	var published []string
	for n := range 10 {
		published = append(published, lab.Publish(t, healthy.URL, "t", n))
	}
	if got := ids(subscriber.WaitFired(t, len(published))); !slices.Equal(got, published) {
		t.Errorf("got %v, want %v", got, published)
	}
	took := time.Since(begun)
	t.Logf("the events came after %v", took)
	if took > 5*time.Second {
		t.Errorf("the events came after %v", took)
	}
	if connects := subscriber.State().Connects; connects != 1 {
		t.Errorf("the subscriber had to connect %d times", connects)
	}
}

// A publish whose answer is lost on its way is not executed again.
func TestContinuity_ALostAnswerDoesNotPublishTwice(t *testing.T) {
	redis := lab.StartRedis(t)
	link := lab.StartLink(t, redis.Addr)
	gateway := start(t, link.Env())
	subscriber := lab.Listen(t, start(t, redis.Env()).URL, "t")
	var want []string
	for n := range 3 {
		gateway.WaitReady(t)
		lab.Publish(t, gateway.URL, "other", "so that a connection is open")
		link.HoldAnswers()
		answered := make(chan error, 1)
		go func() {
			_, err := lab.TryPublish(t.Context(), gateway.URL, fmt.Appendf(nil, `{"topic":"t","data":%d}`, n))
			answered <- err
		}()
		want = append(want, fmt.Sprintf(`{"topic":"t","data":%d}`, n))
		subscriber.WaitFired(t, len(want)) // Redis has it
		link.Cut()
		link.Heal()
		if refused, ok := errors.AsType[*lab.StatusError](<-answered); !ok || refused.Status != http.StatusServiceUnavailable {
			t.Errorf("a publish whose answer is lost is answered with %v, want 503", refused)
		}
	}
	gateway.WaitReady(t)
	last := lab.Publish(t, gateway.URL, "t", "last")
	want = append(want, `{"topic":"t","data":"last"}`)
	state := subscriber.WaitFor(t, wait, "the last event", func(state lab.State) bool { return state.LastID == last })
	var got []string
	for _, event := range state.Fired() {
		got = append(got, event.Data)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestContinuity_AKeyHoldsOnEveryReplica(t *testing.T) {
	replicas := startReplicas(t, 2, lab.StartRedis(t).Env())
	subscriber := lab.Listen(t, replicas[0].URL, "t", "u")
	var first string
	for n := range 4 {
		id, err := lab.TryPublish(t.Context(), replicas[n%2].URL, []byte(`{"topic":"t","key":"k","data":1}`))
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = id
		}
		if id != first {
			t.Errorf("attempt %d got id %s, want %s", n, id, first)
		}
	}
	other, err := lab.TryPublish(t.Context(), replicas[1].URL, []byte(`{"topic":"u","key":"k","data":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(subscriber.WaitFired(t, 2)); !slices.Equal(got, []string{first, other}) {
		t.Errorf("got %v, want %s and %s", got, first, other)
	}
}
