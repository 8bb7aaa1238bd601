package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/fanout"
)

// storeFaults answers each event as its topic says, as if a store had.
type storeFaults struct{ calls int }

func (s *storeFaults) Publish(_ context.Context, pubs []fanout.Publication) []broker.Result {
	s.calls++
	results := make([]broker.Result, len(pubs))
	for i, pub := range pubs {
		switch pub.Topic {
		case "away":
			results[i].Err = fmt.Errorf("publish: %w: %w: dial tcp 10.1.2.3", broker.ErrUnavailable, broker.ErrNotSent)
		case "lost":
			results[i].Err = fmt.Errorf("publish: %w: i/o timeout", broker.ErrUnavailable)
		case "refused":
			results[i].Err = fmt.Errorf("publish: %w: %w: %w: NOREPLICAS secret", broker.ErrUnavailable, broker.ErrNotSent, broker.ErrRefused)
		case "foreign":
			results[i].Err = fmt.Errorf("publish: %w: %w: %w: secret", broker.ErrUnavailable, broker.ErrNotSent, broker.ErrForeign)
		case "full":
			results[i].Err = fmt.Errorf("publish: %w: OOM", broker.ErrFull)
		case "closed":
			results[i].Err = fmt.Errorf("publish: %w", broker.ErrTopicClosed)
		case "broken":
			results[i].Err = errors.New("secret cause")
		case "panic":
			panic("secret cause")
		default:
			results[i].ID = broker.ID{MS: uint64(i + 1)}
		}
	}
	return results
}

func TestPublish_TellsWhatTheStoreDid(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	g.publisher = &storeFaults{}
	for topic, want := range map[string]problem{
		"away":    {Status: 503, Title: "Event store unavailable", Detail: "nothing was sent"},
		"lost":    {Status: 503, Title: "Event store unavailable", Detail: "safe with the same key"},
		"refused": {Status: 503, Title: "Event store refuses", Detail: "does not help before its operator has acted"},
		"foreign": {Status: 503, Title: "Event store refuses", Detail: "does not help before its operator has acted"},
		"full":    {Status: 503, Title: "Event store full", Detail: "nothing was published"},
		"closed":  {Status: 409, Title: "Topic closed", Detail: "has been closed"},
		"broken":  {Status: 500, Title: "Internal error", Detail: "made a mistake"},
		"panic":   {Status: 500, Title: "Internal error", Detail: "made a mistake"},
	} {
		got := g.do(http.MethodPost, "/publish", `{"topic":"`+topic+`","data":1}`)
		p := got.problem(t)
		if p.Status != want.Status || p.Title != want.Title || !strings.Contains(p.Detail, want.Detail) || strings.Contains(got.body, "secret") || strings.Contains(got.body, "10.1.2.3") {
			t.Errorf("%s: got %s", topic, got.body)
		}
		if wait := got.header.Get("Retry-After"); (want.Status == 503) != (wait != "") {
			t.Errorf("%s: Retry-After %q", topic, wait)
		}
	}
	if log := g.log.String(); !strings.Contains(log, "secret cause") || !strings.Contains(log, "stack=") {
		t.Error("the log does not say what the mistake was")
	}
}

func TestPublish_ArraysHaveAResultForEach(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{Users: []string{"jack"}})
	store := &storeFaults{}
	g.publisher = store
	headers := bearer(t, auth.Grant{Subject: "pub", Publish: []string{"*", "@*"}})
	for name, test := range map[string]struct{ body, want string }{
		"one":           {`[{"topic":"a","data":1}]`, `{"results":[{"id":"1-0"}]}`},
		"in order":      {`[{"topic":"a","data":1},{"topic":"closed","data":1},{"user":"eve","data":1},{"user":"jack","data":1}]`, `{"results":[{"id":"1-0"},{"type":"urn:sse-gateway:problem:topic-closed","title":"Topic closed","status":409,"detail":"the topic has been closed and takes no more events"},{"type":"urn:sse-gateway:problem:forbidden","title":"Not allowed","status":403,"detail":"user: \"eve\" is not allowed here"},{"id":"3-0"}]}`},
		"topics":        {`{"topics":["a","closed","b"],"data":1}`, `{"results":[{"id":"1-0"},{"type":"urn:sse-gateway:problem:topic-closed","title":"Topic closed","status":409,"detail":"the topic has been closed and takes no more events"},{"id":"3-0"}]}`},
		"users":         {`{"users":["jack"],"data":1}`, `{"results":[{"id":"1-0"}]}`},
		"array of both": {`[{"topics":["a","b"],"data":1},{"topic":"c","data":1}]`, `{"results":[{"id":"1-0"},{"id":"2-0"},{"id":"3-0"}]}`},
	} {
		got := g.do(http.MethodPost, "/publish", test.body, headers...)
		if got.status != http.StatusOK || got.body != test.want+"\n" || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s want %s", name, got.status, got.body, test.want)
		}
	}
	got := g.do(http.MethodPost, "/publish", `[{"topic":"away","data":1},{"topic":"lost","data":1}]`, headers...)
	if p := got.problem(t); p.Status != 503 || !strings.Contains(p.Detail, "may or may not") {
		t.Errorf("all failed: got %s", got.body)
	}
	store.calls = 0
	var body strings.Builder
	for range 10 * publishChunk {
		body.WriteString(`,{"topic":"away","data":1}`)
	}
	got = g.do(http.MethodPost, "/publish", "["+body.String()[1:]+"]", headers...)
	if p := got.problem(t); p.Status != 503 || store.calls != 1 {
		t.Errorf("the absent store was asked %d times: %s", store.calls, got.body)
	}
}

// keys remembers what it is asked to publish.
type keys struct{ seen []fanout.Publication }

func (k *keys) Publish(_ context.Context, pubs []fanout.Publication) []broker.Result {
	k.seen = append(k.seen, pubs...)
	return make([]broker.Result, len(pubs))
}

func TestPublish_KeysComeFromTheItemOrTheHeader(t *testing.T) {
	for name, test := range map[string]struct {
		contentType, body string
		want              []string
	}{
		"header":              {"", `{"topic":"t","data":1}`, []string{"k"}},
		"item before header":  {"", `{"topic":"t","data":1,"key":"own"}`, []string{"own"}},
		"broadcast":           {"", `{"topics":["t","u"],"data":1}`, []string{"k", "k"}},
		"array":               {"", `[{"topic":"t","data":1},{"topic":"t","data":2,"key":"own"},{"topic":"t","data":3}]`, []string{"k#0", "own", "k#2"}},
		"array of one":        {"", `[{"topic":"t","data":1}]`, []string{"k#0"}},
		"lines, blank or not": {"application/x-ndjson", "{\"topic\":\"t\",\"data\":1}\n\n{}\n{\"topic\":\"t\",\"data\":2}", []string{"k#0", "k#2"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTestGateway(t, newTestJWT(t), Options{})
			store := &keys{}
			g.publisher = store
			headers := append(bearer(t, auth.Grant{Subject: "me", Publish: []string{"*"}}), "Idempotency-Key", "k", "Content-Type", test.contentType)
			g.do(http.MethodPost, "/publish", test.body, headers...)
			var got []string
			for _, pub := range store.seen {
				got = append(got, pub.Key)
				if pub.From != "me" || pub.Publisher != "me" {
					t.Errorf("published by %q, shown as %q", pub.Publisher, pub.From)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestPublish_KeyMakesARetrySafe(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	first := g.publish(`{"topic":"robot","data":1}`, "Idempotency-Key", "k")
	if second := g.publish(`{"topic":"robot","data":1,"key":"k"}`); second != first {
		t.Errorf("the retry has id %s, not %s", second, first)
	}
	if other := g.publish(`{"topic":"other","data":1,"key":"k"}`); other == first {
		t.Error("a key counts in its own topic only")
	}
}

// The keys of services that have no sub must not meet: the second one's event would be swallowed, with a 200.
func TestPublish_KeyCountsForItsPublisherOnly(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{})
	orders, billing := auth.Grant{Publish: []string{"t", "orders"}}, auth.Grant{Publish: []string{"t", "billing"}}
	post := func(grant auth.Grant, body string) string {
		return g.publish(body, append(bearer(t, grant), "Idempotency-Key", "1")...)
	}
	first := post(orders, `{"topic":"t","data":"order 1"}`)
	if post(billing, `{"topic":"t","data":"bill 1"}`) == first {
		t.Error("another service's event was taken for a repetition")
	}
	orders.Lifetime = time.Minute // a renewed token
	if again := post(orders, `{"topic":"t","data":"order 1"}`); again != first {
		t.Errorf("the retry has id %s, not %s", again, first)
	}
}

func TestPublish_TakesEventsWithoutAContentType(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for _, contentType := range []string{"", "application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", "nonsense/;;"} {
		g.publish(`{"topic": "robot", "data": "hi robot"}`, "Content-Type", contentType)
	}
}

func TestPublish_RefusesABodyThatBreaksOff(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/publish",
		io.MultiReader(strings.NewReader(`{"topic":"robot","data":1}`), iotest.ErrReader(errors.New("the network has gone"))))
	if err != nil {
		t.Fatal(err)
	}
	if response, err := g.client.Do(request); err == nil {
		_ = response.Body.Close()
		t.Errorf("got %s", response.Status)
	}
	if got := g.do(http.MethodGet, "/topics/robot", ""); !strings.Contains(got.body, `"events":0`) {
		t.Errorf("got %s", got.body)
	}
}

func TestPublish_TakesWhatIsHarmless(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	g.publish("\ufeff" + `{"topic":"robot","data":1}`)
	g.publish(`{"topic":"robot","data":1}`, "Content-Encoding", "identity")
	g.publish(`{"topic":"robot","event":"error","data":"the model is overloaded"}`)
	s := g.publishLines()
	s.send("\ufeff{\"topic\":\"robot\",\"data\":1}\n")
	s.expect(`{"id":`)
	got, _ := g.subscribe("topics=robot&since=all&raw=1")
	for _, want := range []string{"message", "message", "error", "message"} {
		if event := got.next(); event.Type != want {
			t.Errorf("got %+v, want an event of type %s", event, want)
		}
	}
}

func TestPublish_RefusesOtherSitesPages(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{CORSOrigins: []string{"https://app.example"}})
	for origin, want := range map[string]int{
		"": 200, g.url: 200, "https://app.example": 200, "https://evil.example": 403, "null": 403,
	} {
		var headers []string
		if origin != "" {
			headers = []string{"Origin", origin}
		}
		got := g.do(http.MethodPost, "/publish", `{"topic":"robot","data":1}`, headers...)
		if got.status != want {
			t.Errorf("%q: got %d, want %d", origin, got.status, want)
		}
		if allowed := got.header.Get("Access-Control-Allow-Origin"); (origin == "https://app.example") != (allowed == origin && origin != "") {
			t.Errorf("%q: allowed is %q", origin, allowed)
		}
	}
}

func TestCORS_AnswersPreflights(t *testing.T) {
	for name, test := range map[string]struct {
		origins     []string
		origin      string
		allowed     string
		credentials string
	}{
		"listed":             {[]string{"https://app.example"}, "https://app.example", "https://app.example", "true"},
		"not listed":         {[]string{"https://app.example"}, "https://evil.example", "", ""},
		"any":                {[]string{"*"}, "https://evil.example", "*", ""},
		"any and one listed": {[]string{"*", "https://app.example"}, "https://app.example", "https://app.example", "true"},
		"none":               {nil, "https://evil.example", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{CORSOrigins: test.origins})
			got := g.do(http.MethodOptions, "/publish", "", "Origin", test.origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
			h := got.header
			if got.status != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != test.allowed ||
				h.Get("Access-Control-Allow-Credentials") != test.credentials || (test.allowed != "") != (h.Get("Access-Control-Allow-Methods") != "") {
				t.Errorf("got %d %v", got.status, h)
			}
			if (len(test.origins) > 0) != (h.Get("Vary") == "Origin") {
				t.Errorf("Vary: %q", h.Get("Vary"))
			}
		})
	}
}

// Frameworks, tracing and SDKs add headers of their own; the pages of listed sites may send them.
func TestCORS_EchoesTheHeadersThatListedPagesAskFor(t *testing.T) {
	const asked = "cache-control,hx-request,mcp-protocol-version,traceparent,x-csrf-token,x-requested-with"
	const fixed = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
	g := newTestGateway(t, auth.None{}, Options{CORSOrigins: []string{"*", "https://app.example", "capacitor://localhost"}})
	for _, test := range []struct{ origin, asked, want string }{
		{"https://app.example", asked, asked}, {"capacitor://localhost", asked, asked}, {"https://app.example", "", fixed}, {"https://other.example", asked, fixed},
	} {
		headers := []string{"Origin", test.origin, "Access-Control-Request-Method", "GET"}
		if test.asked != "" {
			headers = append(headers, "Access-Control-Request-Headers", test.asked)
		}
		got := g.do(http.MethodOptions, "/subscribe", "", headers...)
		if allowed := got.header.Get("Access-Control-Allow-Headers"); got.status != http.StatusNoContent || allowed != test.want {
			t.Errorf("%s asks for %q: got %d %q, want %q", test.origin, test.asked, got.status, allowed, test.want)
		}
		if vary := strings.Join(got.header.Values("Vary"), ", "); vary != "Origin, Access-Control-Request-Headers" {
			t.Errorf("Vary: %q", vary)
		}
	}
}

func TestPublish_AsksABodyForProgress(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{})
			g.grace = 100 * time.Millisecond
			if protocol == "HTTP/2" {
				g.h2()
			}
			body, feed := io.Pipe()
			go func() {
				// Half a second's worth of bytes, and then nothing: that earns no more than the grace.
				_, _ = io.WriteString(feed, `{"topic":"robot","data":"`+strings.Repeat("x", bodyRate/2))
			}()
			began := time.Now()
			response := g.open(http.MethodPost, "/publish", body)
			took := time.Since(began)
			_ = feed.Close()
			defer func() { _ = response.Body.Close() }()
			var p problem
			if err := json.NewDecoder(response.Body).Decode(&p); err != nil || p.Status != http.StatusRequestTimeout || took < g.grace || took > 3*time.Second {
				t.Errorf("got %+v after %s (%v)", p, took, err)
			}
		})
	}
}
