//go:build compose

package compose

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// What the image is told about its build.
const (
	version = "v0.0.0-test"
	commit  = "0123456789abcdef0123456789abcdef01234567"
)

func TestStack(t *testing.T) {
	s := newStack(t, []string{"docker-compose.yml"}, "VERSION="+version, "COMMIT="+commit)
	s.up()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *stack)
	}{
		{"DeliversThroughTheBalancer", deliversThroughTheBalancer},
		{"DeliversFromInsideAnyReplica", deliversFromInsideAnyReplica},
		{"ConfinesItsContainers", confinesItsContainers},
		{"KnowsItsBuild", knowsItsBuild},
		{"KeepsMetricsInside", keepsMetricsInside},
		{"LosesNothingWithAReplica", losesNothingWithAReplica},
		{"PageOutlivesAllReplicas", pageOutlivesAllReplicas},
		{"KeepsRedisToItself", keepsRedisToItself},
		{"HasManyStreamsOverHTTPS", hasManyStreamsOverHTTPS},
		{"StopsWithinDockersPatience", stopsWithinDockersPatience},
		{"Scales", scales},
	} {
		if !t.Run(test.name, func(t *testing.T) {
			part := *s
			part.t = t
			test.run(t, &part)
		}) {
			return
		}
	}
}

func deliversThroughTheBalancer(t *testing.T, s *stack) {
	one, two := lab.Listen(t, s.url, "greetings"), lab.Listen(t, s.url, "greetings")
	id := lab.Publish(t, s.url, "greetings", "hello")
	for _, subscriber := range []*lab.Subscriber{one, two} {
		if got := subscriber.WaitFired(t, 1)[0]; got.ID != id {
			t.Errorf("event %+v, want id %s", got, id)
		}
	}
}

func deliversFromInsideAnyReplica(t *testing.T, s *stack) {
	subscriber := lab.Listen(t, s.url, "inside")
	replicas := s.containers("gateway")
	if len(replicas) != 3 {
		t.Fatalf("%d replicas, want 3", len(replicas))
	}
	for n, replica := range replicas {
		id := lab.Publish(t, replica.url(), "inside", n)
		if got := subscriber.WaitFired(t, n+1)[n]; got.ID != id {
			t.Errorf("event %+v from %s, want id %s", got, replica.Name, id)
		}
	}
}

func confinesItsContainers(t *testing.T, s *stack) {
	for _, c := range slices.Concat(s.containers("gateway"), s.containers("balancer"), s.containers("redis")) {
		if c.State.Health.Status != "healthy" {
			t.Errorf("%s is %s, want healthy", c.Name, c.State.Health.Status)
		}
		// The image of Redis starts as root, to become the user redis.
		user, _, _ := strings.Cut(c.Config.User, ":")
		if !strings.Contains(c.Name, "redis") && (user == "" || user == "0" || user == "root") {
			t.Errorf("%s runs as user %q", c.Name, c.Config.User)
		}
		if !c.HostConfig.ReadonlyRootfs || !slices.Contains(c.HostConfig.CapDrop, "ALL") {
			t.Errorf("%s can write or has capabilities: %+v", c.Name, c.HostConfig)
		}
		if c.HostConfig.Memory == 0 {
			t.Errorf("%s may take all memory there is", c.Name)
		}
	}
	for _, c := range s.containers("gateway") {
		if out, err := docker(s.env, "exec", c.ID, "/bin/sh", "-c", "true"); err == nil {
			t.Errorf("%s has a shell: %s", c.Name, out)
		}
	}
}

func knowsItsBuild(t *testing.T, s *stack) {
	replica := s.containers("gateway")[0]
	for label, want := range map[string]string{"version": version, "revision": commit, "licenses": "Apache-2.0"} {
		if got := replica.Config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s: got %q, want %q", label, got, want)
		}
	}
	printed, err := docker(s.env, "exec", replica.ID, "/gateway", "version")
	if want := "gateway " + version + " (commit " + commit; err != nil || !strings.HasPrefix(printed, want) {
		t.Errorf("gateway version: got %q, %v, want %q", printed, err, want)
	}
	_, answered := lab.Get(t, replica.url()+"/version")
	if want := `"version":"` + version + `","revision":"` + commit + `"`; !strings.Contains(string(answered), want) {
		t.Errorf("GET /version: got %s, want %s", answered, want)
	}
}

func keepsMetricsInside(t *testing.T, s *stack) {
	for _, path := range []string{"/metrics", "//metrics", "/%6detrics", "/metrics/", "/debug/pprof/"} {
		if status, body := lab.Get(t, s.url+path); status != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404: %.100s", path, status, body)
		}
	}
}

// losesNothingWithAReplica kills a replica under load. Some subscribers come back at once, so that much of what is
// published meanwhile has to be made up for, others when the stream told them to, as a browser does.
func losesNothingWithAReplica(t *testing.T, s *stack) {
	load := lab.StartLoad(t, lab.LoadOptions{Bases: []string{s.url}, Subscribers: 60, Rate: 100, DropEvery: -1})
	browsers := make([]*lab.Subscriber, 30)
	for n := range browsers {
		browsers[n] = lab.Listen(t, s.url, "browsers")
	}
	victim := s.containers("gateway")[0]
	if s.openStreams(victim) == 0 {
		t.Fatalf("%s has no streams", victim.Name)
	}
	s.kill(victim)
	begun, gone := time.Now(), 0
	// 3s ±50 % is what the gateway sets, a second is what it takes the balancer to give a dead replica up.
	const retry = 4500*time.Millisecond + 1500*time.Millisecond
	lab.Eventually(t, retry, func() error {
		gone = 0
		back := 0
		for _, browser := range browsers {
			if state := browser.State(); state.LastErr != nil {
				gone++
				back += min(state.Readies-1, 1)
			}
		}
		if gone == 0 || back < gone {
			return fmt.Errorf("%d of %d subscribers are back", back, gone)
		}
		return nil
	})
	t.Logf("%d of %d subscribers were on %s, all back after %v",
		gone, len(browsers), victim.Name, time.Since(begun).Round(10*time.Millisecond))
	lab.Publish(t, s.url, "browsers", "after")
	for _, browser := range browsers {
		browser.WaitFired(t, 1)
	}
	if verdict := load.Finish(t, patience); !verdict.OK(false) || verdict.Reconnects == 0 {
		t.Errorf("under load: %+v", verdict)
	} else {
		t.Logf("under load: %+v", verdict)
	}
	s.do("up", "--wait", "--no-recreate")
}

func pageOutlivesAllReplicas(t *testing.T, s *stack) {
	tab := lab.Chromium(t)
	tab.Open(t, s.url+"/?topics=outage&user=huoyijie")
	lab.Eval[bool](t, tab, `window.opened = true`)
	const (
		state = `document.querySelector("#state").dataset.state`
		shown = `[...document.querySelectorAll("#events > [data-kind=event] .data")].map((e) => e.textContent).join()`
	)
	tab.Until(t, patience, state+` === "live"`)
	lab.Publish(t, s.url, "outage", "before")
	tab.Until(t, patience, shown+` === "before"`)

	s.do("kill", "gateway")
	down := time.Now()
	tab.Until(t, patience, state+` !== "live"`)
	answersWithoutReplicas(t, s)
	lab.Hold(t, 10*time.Second-time.Since(down), func() error {
		if got := lab.Eval[string](t, tab, state); got == "live" || got == "ended" {
			return fmt.Errorf("the page is %s", got)
		}
		return nil
	})
	s.do("start", "gateway")
	begun := time.Now()
	tab.Until(t, patience, state+` === "live"`)
	t.Logf("live again %v after the replicas were started", time.Since(begun).Round(10*time.Millisecond))
	lab.Publish(t, s.url, "outage", "after")
	tab.Until(t, patience, shown+` === "before,after"`)
	if !lab.Eval[bool](t, tab, `window.opened === true`) {
		t.Error("the page was reloaded")
	}
}

// answersWithoutReplicas checks what the balancer says in their place.
func answersWithoutReplicas(t *testing.T, s *stack) {
	t.Helper()
	got := send(t, http.MethodGet, s.url+"/subscribe?topics=outage", http.Header{"Origin": {"https://app.example"}}, "")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/event-stream" ||
		got.header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.HasPrefix(got.body, "retry: ") {
		t.Errorf("subscribe without replicas: %+v, want 200 and a stream that sets retry", got)
	}
	// Until its checks have found every replica dead, the balancer may still hand one the request, and answers 502.
	lab.Eventually(t, patience, func() error {
		got := send(t, http.MethodPost, s.url+"/publish", http.Header{}, `{"topic":"outage","data":"lost"}`)
		if got.header.Get("Content-Type") != "application/problem+json" || got.header.Get("Retry-After") == "" {
			t.Fatalf("publish without replicas: %+v, want a problem and Retry-After", got)
		}
		if got.status != http.StatusServiceUnavailable {
			return fmt.Errorf("publish without replicas: %+v, want 503", got)
		}
		return nil
	})
}

func scales(t *testing.T, s *stack) {
	s.do("up", "--wait", "--no-recreate", "--scale", "gateway=5")
	replicas := s.containers("gateway")
	if len(replicas) != 5 {
		t.Fatalf("%d replicas, want 5", len(replicas))
	}
	var subscribers []*lab.Subscriber
	lab.Eventually(t, patience, func() error { // the balancer follows the DNS, by and by
		subscribers = append(subscribers, lab.Listen(t, s.url, "scale"))
		for _, replica := range replicas {
			if s.openStreams(replica) == 0 {
				return fmt.Errorf("%s has no streams", replica.Name)
			}
		}
		return nil
	})
	lab.Publish(t, s.url, "scale", "to everyone")
	for _, subscriber := range subscribers {
		subscriber.WaitFired(t, 1)
	}
	s.do("up", "--wait", "--no-recreate", "--scale", "gateway=2")
	lab.Eventually(t, patience, func() error {
		status, _ := lab.Get(t, s.url+"/readyz")
		if status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	if logs := s.do("logs", "--no-color", "balancer"); strings.Contains(logs, "WARNING") {
		t.Errorf("a change of scale makes the balancer warn:\n%.2000s", logs)
	}
}

func TestStack_AsksForTokens(t *testing.T) {
	files := []string{"docker-compose.yml", "docker-compose.jwt.yml"}
	if _, err := newStack(t, files, "GATEWAY_JWT_KEY=").try("config"); err == nil ||
		!strings.Contains(err.Error(), "GATEWAY_JWT_KEY") {
		t.Errorf("without a key: %v, want an error that names GATEWAY_JWT_KEY", err)
	}

	s := newStack(t, files, "GATEWAY_JWT_KEY="+strings.Repeat("0123456789abcdef", 4))
	s.up()
	jack := s.token("-sub", "jack", "-subscribe", "chat.*")
	jill := s.token("-sub", "jill", "-publish", "chat.*")

	subscriber := lab.Subscribe(t, lab.SubscribeOptions{
		Bases: []string{s.url}, Topics: []string{"chat.a"}, User: "jack", Header: http.Header{"Authorization": {jack}},
	})
	subscriber.WaitReady(t)
	for _, test := range []struct {
		by, token string
		want      int
	}{
		{"one who may", jill, http.StatusOK},
		{"one who may not", jack, http.StatusForbidden},
		{"nobody", "", http.StatusUnauthorized},
	} {
		header := http.Header{}
		if test.token != "" {
			header.Set("Authorization", test.token)
		}
		got := send(t, http.MethodPost, s.url+"/publish", header, `{"topic":"chat.a","data":"hi"}`)
		if got.status != test.want {
			t.Errorf("publish by %s: %+v, want status %d", test.by, got, test.want)
		}
	}
	if got := subscriber.WaitFired(t, 1)[0].Envelope(t); got.From != "jill" {
		t.Errorf("envelope %+v, want one from jill", got)
	}
}

// token mints one inside a replica.
func (s *stack) token(args ...string) string {
	s.t.Helper()
	out := s.do(append([]string{"exec", "-T", "gateway", "/gateway", "token", "-exp", "1h"}, args...)...)
	return "Bearer " + strings.TrimSpace(out)
}

// answer is what came back to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request on a connection of its own: on one that had another request before, HAProxy does not answer when
// it loses the replica, but closes, which is how HTTP/1.1 asks a client to try again.
func send(t *testing.T, method, url string, header http.Header, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header, req.Close = header, true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}
