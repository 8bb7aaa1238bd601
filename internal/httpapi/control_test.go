package httpapi

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/limit"
	"sse-gateway/internal/testkit"
)

// overBothProtocols runs a test with streams of the engine and with those that their handlers write.
func overBothProtocols(t *testing.T, test func(t *testing.T, prepare func(g *testGateway))) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, func(*testGateway) {}) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, (*testGateway).h2) })
}

func TestSubscribe_WithoutControlGivesEventsOnly(t *testing.T) {
	overBothProtocols(t, func(t *testing.T, prepare func(*testGateway)) {
		g := newTestGateway(t, auth.None{}, Options{})
		prepare(g)
		response := g.open(http.MethodGet, "/subscribe?topics=run|other&user=jack&control=0&raw=1", http.NoBody)
		defer func() { _ = response.Body.Close() }()
		first := g.publish(`{"topic":"run","data":{"n":1}}`)
		second := g.publish(`{"topic":"run","event":"note","data":"two\nlines"}`)
		g.do(http.MethodPost, "/topics/run/close", "")
		third := g.publish(`{"user":"jack","data":3}`)
		g.do(http.MethodPost, "/topics/other/close", `{"data":"[DONE]"}`)
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatalf("after %q: %v", body, err)
		}
		want := `^retry: \d+\ndata: {"n":1}\nid: ` + first + `\n\nevent: note\ndata: two\ndata: lines\nid: ` + second + `\n\ndata: 3\nid: ` + third +
			`\n\ndata: \[DONE\]\nid: \d+-\d+\n\n$`
		if !regexp.MustCompile(want).Match(body) {
			t.Errorf("got %q, want %q", body, want)
		}
	})
}

func TestSubscribe_WithoutControlIsToldNothingOfItsToken(t *testing.T) {
	t.Parallel()
	overBothProtocols(t, func(t *testing.T, prepare func(*testGateway)) {
		g := newTestGateway(t, newTestJWT(t), Options{})
		prepare(g)
		headers := bearer(t, auth.Grant{Subject: "jack", Lifetime: 3 * time.Second})
		got := g.do(http.MethodGet, "/subscribe?user=jack&control=0", "", headers...)
		if !got.broken || !regexp.MustCompile(`^retry: \d+\n$`).MatchString(got.body) {
			t.Errorf("got %q, broken off: %v", got.body, got.broken)
		}
	})
}

// keysAway judges no token.
type keysAway struct{}

func (keysAway) Authenticate(*http.Request) (auth.Identity, error) {
	return auth.Identity{}, auth.ErrKeysUnavailable
}

// expectNotNow expects a status in the place of a stream that ends.
func expectNotNow(t *testing.T, got answered, status int, slug string) {
	t.Helper()
	if p := got.problem(t); p.Status != status || got.status != status || !strings.HasSuffix(p.Type, ":"+slug) {
		t.Errorf("got %d %s, want %d %s", got.status, got.body, status, slug)
	}
	if !regexp.MustCompile(`^[1-9]\d*$`).MatchString(got.header.Get("Retry-After")) {
		t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
	}
}

func TestSubscribe_WithoutControlIsRefusedByStatus(t *testing.T) {
	const path = "/subscribe?topics=robot&control=0"
	overBothProtocols(t, func(t *testing.T, prepare func(*testGateway)) {
		t.Run("too many streams", func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{Streams: limit.PlaceLimits{Total: 1}})
			prepare(g)
			g.subscribe("topics=robot")
			expectNotNow(t, g.do(http.MethodGet, path, ""), http.StatusTooManyRequests, "too-many-streams")
		})
		t.Run("drain", func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{})
			prepare(g)
			g.Drain()
			expectNotNow(t, g.do(http.MethodGet, path, ""), http.StatusServiceUnavailable, "not-now")
			expectNotNow(t, g.do(http.MethodGet, "/subscribe?topics=robot&control=false", ""), http.StatusServiceUnavailable, "not-now")
			if held := g.held.Load(); held != 0 {
				t.Errorf("%d are held open", held)
			}
		})
		t.Run("store away", func(t *testing.T) {
			store := absent{memory.New(memory.Options{Retention: broker.Retention{Size: 10}}), broker.ErrUnavailable}
			g := newTestGatewayOn(t, store, auth.None{}, Options{})
			prepare(g)
			testkit.WaitFor(t, "the hub is ready", func() bool { return g.hub.Ready() == nil })
			expectNotNow(t, g.do(http.MethodGet, path+"&since=all", ""), http.StatusServiceUnavailable, "not-now")
		})
		t.Run("keys away", func(t *testing.T) {
			g := newTestGateway(t, keysAway{}, Options{})
			prepare(g)
			expectNotNow(t, g.do(http.MethodGet, path, ""), http.StatusServiceUnavailable, "not-now")
		})
	})
}

func TestSubscribe_WithoutControlTellsNothingAndLossByStatus(t *testing.T) {
	overBothProtocols(t, func(t *testing.T, prepare func(*testGateway)) {
		g := newTestGatewayOn(t, memory.New(memory.Options{Retention: broker.Retention{Size: 2}}), auth.None{}, Options{})
		prepare(g)
		testkit.WaitFor(t, "the hub is ready", func() bool { return g.hub.Ready() == nil })
		trimmed := g.publish(`{"topic":"long","data":1}`)
		for range 10 {
			g.publish(`{"topic":"long","data":2}`)
		}
		last := g.publish(`{"topic":"run","data":1}`)
		g.do(http.MethodPost, "/topics/run/close", "")
		for query, status := range map[string]int{
			"topics=never&since=all":                    http.StatusNoContent,
			"topics=never&last_event_id=" + last:        http.StatusNoContent,
			"topics=run&last_event_id=" + last:          http.StatusNoContent,
			"topics=run":                                http.StatusNoContent,
			"topics=long&last_event_id=" + trimmed:      http.StatusGone,
			"topics=run|long&last_event_id=" + trimmed:  http.StatusGone,
			"topics=long&since=all":                     http.StatusGone,
			"topics=long&last_event_id=rubbish":         http.StatusGone,
			"topics=long&raw=1&since=" + trimmed:        http.StatusGone,
			"topics=long&since=last:2&control=0&raw=no": http.StatusBadRequest,
		} {
			got := g.do(http.MethodGet, "/subscribe?control=0&"+query, "")
			if got.status != status || (status == http.StatusNoContent) != (got.body == "") {
				t.Errorf("%s: got %d %q, want %d", query, got.status, got.body, status)
			}
			if status == http.StatusGone && !strings.HasSuffix(got.problem(t).Type, ":events-lost") {
				t.Errorf("%s: %s", query, got.body)
			}
		}
		testkit.WaitFor(t, "all places are free", func() bool {
			return g.do(http.MethodGet, "/topics/long", "").status == http.StatusOK && g.streams.Stats().Open == 0
		})
		if got := g.do(http.MethodGet, "/subscribe?control=0&topics=run&since=all", ""); got.status != http.StatusOK || got.broken || strings.Count(got.body, "data:") != 1 {
			t.Errorf("a closed run: got %d %q, broken off: %v", got.status, got.body, got.broken)
		}
	})
}
