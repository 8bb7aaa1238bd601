package integration_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// durable makes Redis lose nothing that it has acknowledged, whatever happens to it.
func durable() []string { return []string{"--appendonly", "yes", "--appendfsync", "always"} }

func TestRedisLoss_StartsWithoutRedis(t *testing.T) {
	redis := lab.NewRedis(t)
	gateway := lab.StartGateway(t, gateways.Binary(t), redis.Env())
	if status := gateway.Status("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d without Redis", status)
	}
	if status := gateway.Status("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d without Redis", status)
	}
	// A browser's EventSource would give up for good on another status.
	refused := lab.Subscribe(t, lab.SubscribeOptions{Bases: []string{gateway.URL}, Topics: []string{"t"}, Once: true})
	_ = refused.WaitEnd(t, wait)
	if state := refused.State(); state.Connects != 1 || state.Readies != 0 || len(state.Events) == 0 {
		t.Errorf("a subscriber got %d answers 200, ready %d times, events %+v, error %v",
			state.Connects, state.Readies, state.Events, state.LastErr)
	}
	waiting := lab.Subscribe(t, lab.SubscribeOptions{
		Bases: []string{gateway.URL}, Topics: []string{"t"}, Retry: 50 * time.Millisecond,
	})
	waiting.WaitFor(t, wait, "a few attempts", func(state lab.State) bool { return state.Connects >= 3 })
	redis.Start(t)
	gateway.WaitReady(t)
	waiting.WaitReady(t)
	id := lab.Publish(t, gateway.URL, "t", 1)
	if got := waiting.WaitFired(t, 1)[0].ID; got != id {
		t.Errorf("got event %s, want %s", got, id)
	}
}

// Redis is killed under load and comes back: streams stay open, publishes are refused quickly, delivery goes on by itself.
func TestRedisLoss_KillAndRestartUnderLoad(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		redis := lab.StartRedis(t, durable()...)
		replicas := startReplicas(t, 2, redis.Env(), engine)
		load := lab.StartLoad(t, lab.LoadOptions{Bases: replicas.URLs(), Subscribers: 100, DropEvery: -1})
		published(t, load, 100)
		redis.Kill()
		lab.Eventually(t, wait, func() error {
			for _, replica := range replicas {
				if status := replica.Status("/readyz"); status != http.StatusServiceUnavailable {
					return fmt.Errorf("/readyz answers %d", status)
				}
			}
			return nil
		})
		begun := time.Now()
		resp, err := http.Post(replicas[0].URL+"/publish", "", strings.NewReader(`{"topic":"t","data":1}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if took := time.Since(begun); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || took > 2500*time.Millisecond {
			t.Errorf("publish without Redis: status %d, Retry-After %q, after %v", resp.StatusCode, resp.Header.Get("Retry-After"), took)
		}
		lab.Pause(2 * time.Second)
		redis.Start(t)
		back := time.Now()
		for _, replica := range replicas {
			replica.WaitReady(t)
		}
		if took := time.Since(back); took > 2*time.Second {
			t.Errorf("the replicas were ready %v after Redis", took)
		}
		now := load.Published()
		published(t, load, now+100)
		refused, slowest := load.Refused()
		verdict := load.Finish(t, wait)
		t.Logf("%+v; refused %v, slowest answer %v", verdict, refused, slowest)
		if !verdict.OK(false) || verdict.Reconnects != 0 {
			t.Errorf("verdict %+v", verdict)
		}
		if slowest > 3*time.Second {
			t.Errorf("a publish was refused after %v only", slowest)
		}
	})
}

// published waits until the load has published so many events.
func published(t *testing.T, load *lab.Load, n int) {
	t.Helper()
	lab.Eventually(t, 30*time.Second, func() error {
		if got := load.Published(); got < n {
			return fmt.Errorf("%d of %d events are published", got, n)
		}
		return nil
	})
}

// A publish has one effect or none, and says which as well as it can.
func TestRedisLoss_APublishSaysThatItsOutcomeIsUnknown(t *testing.T) {
	redis := lab.StartRedis(t)
	link := lab.StartLink(t, redis.Addr)
	gateway := start(t, link.Env(), "GATEWAY_REDIS_TIMEOUT=500ms")
	subscriber := lab.Listen(t, gateway.URL, "t")
	link.BlackHole()
	body := []byte(`{"topic":"t","key":"k","data":1}`)
	_, err := lab.TryPublish(t.Context(), gateway.URL, body)
	status, ok := errors.AsType[*lab.StatusError](err)
	if !ok || status.Status != http.StatusServiceUnavailable {
		t.Fatalf("publish into a black hole: %v", err)
	}
	link.Heal()
	gateway.WaitReady(t)
	var first string
	lab.Eventually(t, wait, func() error {
		first, err = lab.TryPublish(t.Context(), gateway.URL, body)
		return err
	})
	second, err := lab.TryPublish(t.Context(), gateway.URL, body)
	if err != nil || first != second {
		t.Errorf("the same key gave the ids %s and %s, %v", first, second, err)
	}
	last := lab.Publish(t, gateway.URL, "t", "last")
	subscriber.WaitFor(t, wait, "the last event", func(state lab.State) bool { return state.LastID == last })
	if got := ids(subscriber.State().Fired()); len(got) != 2 || got[0] != first {
		t.Errorf("the subscriber got %v, want %s once, then %s", got, first, last)
	}
}
