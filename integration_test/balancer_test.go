package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// All replicas are down for 10 seconds: a page that is open goes on by itself when they are back.
func TestBalancer_AnOpenPageOutlivesAllReplicas(t *testing.T) {
	overBothBalancers(t, pageOutlivesAllReplicas)
}

func pageOutlivesAllReplicas(t *testing.T, start lab.BalancerStarter) {
	t.Helper()
	replicas := startReplicas(t, 2, lab.StartRedis(t).Env(), "GATEWAY_RETRY=1s")
	balancer := start(t, lab.BalancerOptions{Servers: replicas.Addrs()})
	tab := lab.Chromium(t)
	tab.Open(t, balancer.URL+"/?user=jack&topics=robot")
	waitState(t, tab, "live", wait)
	lab.Eval[bool](t, tab, `window.sameDocument = true`)
	subscriber := lab.Listen(t, balancer.URL, "robot")
	first := lab.Publish(t, balancer.URL, "robot", "before")
	waitEvents(t, tab, "robot: before")

	for _, replica := range replicas {
		replica.Kill()
	}
	down := time.Now()
	lab.Eventually(t, wait, func() error {
		_, err := lab.TryPublish(t.Context(), balancer.URL, []byte(`{"topic":"robot","data":1}`))
		return expectProblem(err)
	})
	waitState(t, tab, "reconnecting", wait)
	lab.Pause(time.Until(down.Add(10 * time.Second)))
	if state := subscriber.State(); state.Ended != nil {
		t.Errorf("a subscriber has given up: %v", state.Ended)
	}
	for _, replica := range replicas {
		replica.Start(t)
	}
	for _, replica := range replicas {
		replica.WaitReady(t)
	}
	back := time.Now()
	second := lab.Publish(t, replicas[0].URL, "robot", "after")
	waitState(t, tab, "live", wait)
	waitEvents(t, tab, "robot: before", "robot: after")
	t.Logf("the page was back %v after the replicas", time.Since(back))
	if !lab.Eval[bool](t, tab, `window.sameDocument === true`) {
		t.Error("the page was loaded again")
	}
	if got := ids(subscriber.WaitFired(t, 2)); !slices.Equal(got, []string{first, second}) {
		t.Errorf("the subscriber got %v, want %s and %s", got, first, second)
	}
}

// expectProblem is nil for a 503 in the form of all errors.
func expectProblem(err error) error {
	status, ok := errors.AsType[*lab.StatusError](err)
	if !ok || status.Status != http.StatusServiceUnavailable {
		return fmt.Errorf("publish: %w, want 503", err)
	}
	var problem struct{ Title string }
	return json.Unmarshal([]byte(status.Body), &problem)
}

// One replica dies: its subscribers are on another within their retry time, and miss nothing.
func TestBalancer_SubscribersOfADeadReplicaMoveToAnother(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		subscribersMove(t, lab.StartHAProxy, engine)
	})
	t.Run("nginx", func(t *testing.T) { subscribersMove(t, lab.StartNginx) })
}

func subscribersMove(t *testing.T, start lab.BalancerStarter, env ...string) {
	t.Helper()
	replicas := startReplicas(t, 3, append(env, lab.StartRedis(t).Env(), "GATEWAY_RETRY=1s")...)
	balancer := start(t, lab.BalancerOptions{Servers: replicas.Addrs()})
	var subscribers []*lab.Subscriber
	for range 60 {
		subscribers = append(subscribers, lab.Subscribe(t, lab.SubscribeOptions{
			Bases: []string{balancer.URL}, Topics: []string{"news"}, User: "jack",
		}))
	}
	for _, subscriber := range subscribers {
		subscriber.WaitReady(t)
	}
	for _, replica := range replicas {
		if open := replica.Metric(t, "gateway_streams_open"); open < 10 {
			t.Errorf("%s has %v of 60 streams", replica.URL, open)
		}
	}
	published := []string{lab.Publish(t, balancer.URL, "news", "before")}
	replicas[0].Kill()
	killed := time.Now()
	for n := range 20 {
		published = append(published, lab.Publish(t, replicas[1].URL, "news", n))
	}
	moved := 0
	for _, subscriber := range subscribers {
		if got := ids(subscriber.WaitFired(t, len(published))); !slices.Equal(got, published) {
			t.Errorf("a subscriber got %v, want %v", got, published)
		}
		moved += subscriber.State().Connects - 1
	}
	t.Logf("%d subscribers moved within %v", moved, time.Since(killed))
	if took := time.Since(killed); took > 5*time.Second || moved < 10 {
		t.Errorf("%d subscribers moved within %v", moved, took)
	}
}

// overBothBalancers runs a test behind HAProxy and behind nginx, each with the configuration that is shipped.
func overBothBalancers(t *testing.T, test func(t *testing.T, start lab.BalancerStarter)) {
	t.Helper()
	t.Run("HAProxy", func(t *testing.T) { test(t, lab.StartHAProxy) })
	t.Run("nginx", func(t *testing.T) { test(t, lab.StartNginx) })
}
