package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sse-gateway/internal/client"
	"sse-gateway/internal/sse"
	"sse-gateway/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A script answers requests one after the other, the last one for ever, and remembers them.
type script struct {
	answers []http.HandlerFunc

	mu     sync.Mutex
	bodies []string // guarded by mu
	asked  []string // Last-Event-ID and query of each; guarded by mu
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	n := len(s.asked)
	s.bodies = append(s.bodies, string(body))
	s.asked = append(s.asked, r.Header.Get("Last-Event-ID")+"?"+r.URL.RawQuery)
	s.mu.Unlock()
	s.answers[min(n, len(s.answers)-1)](w, r)
}

func (s *script) requests() (asked, bodies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked), slices.Clone(s.bodies)
}

// start serves the script, and returns a client of it.
func (s *script) start(t *testing.T, opts client.Options) *client.Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	opts.URL = server.URL
	return newClient(t, opts)
}

func newClient(t *testing.T, opts client.Options) *client.Client {
	t.Helper()
	c, err := client.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// says answers with a body; one that ends in "✂" is cut off there.
func says(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		text, cut := strings.CutSuffix(body, "✂")
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		if cut {
			panic(http.ErrAbortHandler)
		}
	}
}

func refuses(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"type":"urn:x","title":"No","status":%d,"detail":"because"}`, status)
	}
}

func stream(body string) http.HandlerFunc { return says("text/event-stream", body) }
func lines(body string) http.HandlerFunc  { return says("application/x-ndjson", body) }

func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// follow follows to the end, and returns what came as "type data".
func follow(t *testing.T, c *client.Client, sub *client.Subscription) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	err := c.Follow(ctx, sub, func(event sse.Event) error {
		got = append(got, event.Type+" "+event.Data)
		return nil
	})
	return got, err
}

const ready = "retry: 1\nevent: ready\ndata: {}\nid: 5-0\n\n"

func TestFollow_GoesOnWhereItWas(t *testing.T) {
	tests := []struct {
		name    string
		answers []http.HandlerFunc
		want    []string // events
		asked   []string // Last-Event-ID at each connection
	}{
		{
			"after a cut",
			[]http.HandlerFunc{stream(ready + "data: a\nid: 6-0\n\ndata: half✂"), stream(ready + "data: b\nid: 7-0\n\n"), noContent},
			[]string{"ready {}", "message a", "ready {}", "message b"},
			[]string{"", "6-0", "7-0"},
		},
		{
			"before the first event",
			[]http.HandlerFunc{stream(ready + "✂"), noContent},
			[]string{"ready {}"},
			[]string{"", "5-0"},
		},
		{
			"at a position without an event",
			[]http.HandlerFunc{stream(ready + ": ping\nid: 8-0\n\n✂"), noContent},
			[]string{"ready {}"},
			[]string{"", "8-0"},
		},
		{
			"past an answer of not now",
			[]http.HandlerFunc{stream(ready + "✂"), stream(": not now: draining\nretry: 1\n\n"), refuses(503), refuses(429), noContent},
			[]string{"ready {}"},
			[]string{"", "5-0", "5-0", "5-0", "5-0"},
		},
		{
			"past a proxy without a gateway",
			[]http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, stream(ready + "✂"), noContent},
			[]string{"ready {}"},
			[]string{"", "", "5-0"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{answers: tt.answers}
			got, err := follow(t, s.start(t, client.Options{}), &client.Subscription{Topics: []string{"a|b", "c"}, User: "jack", Since: "10m"})
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			for i := range tt.asked {
				tt.asked[i] += "?since=10m&topic=a%7Cb&topic=c&user=jack"
			}
			if asked, _ := s.requests(); !slices.Equal(asked, tt.asked) {
				t.Errorf("asked %q, want %q", asked, tt.asked)
			}
		})
	}
}

// A refusal breaks off in the middle of its block; what it asks for holds all the same, as the standard has it.
func TestFollow_WaitsForAsLongAsARefusalSays(t *testing.T) {
	s := &script{answers: []http.HandlerFunc{stream(": not now: too many streams\nretry: 1\n✂"), stream(": not now: too many streams\nretry: 600000\n✂"), noContent}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	c := s.start(t, client.Options{Notice: func(string) {}})
	go func() {
		done <- c.Follow(ctx, &client.Subscription{Topics: []string{"a"}}, func(sse.Event) error { return nil })
	}()
	testkit.WaitFor(t, "it comes back after a moment", func() bool { asked, _ := s.requests(); return len(asked) == 2 })
	select {
	case err := <-done:
		t.Fatalf("it does not wait: %v", err)
	case <-time.After(time.Second): // a wait of its own would be over
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}

func TestFollow_EndsWhenAllTopicsHaveEnded(t *testing.T) {
	s := &script{answers: []http.HandlerFunc{
		stream(ready + "event: close\ndata: {\"topic\":\"a\",\"data\":null}\nid: 6-0\n\nevent: close\ndata: {\"topic\":\"b\",\"data\":null}\nid: 7-0\n\n"),
		refuses(500),
	}}
	got, err := follow(t, s.start(t, client.Options{}), &client.Subscription{Topics: []string{"a", "b"}})
	if err != nil || len(got) != 3 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFollow_GivesUpOnlyOnWhatCannotSucceed(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 421, 500} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			s := &script{answers: []http.HandlerFunc{stream(ready + "✂"), refuses(status)}}
			_, err := follow(t, s.start(t, client.Options{}), &client.Subscription{Topics: []string{"a"}})
			var problem *client.Problem
			if !errors.As(err, &problem) || problem.Status != status || problem.Detail != "because" {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("something else answers", func(t *testing.T) {
		s := &script{answers: []http.HandlerFunc{says("text/html", "<h1>hi")}}
		_, err := follow(t, s.start(t, client.Options{}), &client.Subscription{Topics: []string{"a"}})
		if err == nil || !strings.Contains(err.Error(), `no gateway: it sends "text/html"`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing was ever there", func(t *testing.T) {
		c := newClient(t, client.Options{URL: deadURL(t)})
		_, err := follow(t, c, &client.Subscription{Topics: []string{"a"}})
		if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("who follows wants no more", func(t *testing.T) {
		s := &script{answers: []http.HandlerFunc{stream(ready)}}
		enough := errors.New("enough")
		err := s.start(t, client.Options{}).Follow(t.Context(), &client.Subscription{Topics: []string{"a"}}, func(sse.Event) error { return enough })
		if !errors.Is(err, enough) || err.Error() != "enough" {
			t.Errorf("got %v", err)
		}
	})
}

// deadURL is where nothing listens.
func deadURL(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	return server.URL
}

func TestFollow_LeavesASilentStream(t *testing.T) {
	s := &script{answers: []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) {
			stream(ready)(w, r)
			<-r.Context().Done() // as a replica that has been stopped
		},
		noContent,
	}}
	got, err := follow(t, s.start(t, client.Options{Idle: 100 * time.Millisecond}), &client.Subscription{Topics: []string{"a"}})
	if asked, _ := s.requests(); err != nil || len(got) != 1 || len(asked) != 2 {
		t.Errorf("got %q, %v, after asking %q", got, err, asked)
	}
}

func TestFollow_EndsWithItsContext(t *testing.T) {
	s := &script{answers: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		stream(ready)(w, r)
		<-r.Context().Done()
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.start(t, client.Options{}).Follow(ctx, &client.Subscription{Topics: []string{"a"}}, func(sse.Event) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func publish(t *testing.T, c *client.Client, events ...string) []client.Result {
	t.Helper()
	raw := make([][]byte, len(events))
	for i, event := range events {
		raw[i] = []byte(event)
	}
	results, err := c.Publish(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestPublish_SendsAgainWhatMayNotHaveBeenPublished(t *testing.T) {
	busy := `{"status":503,"title":"Away","detail":"x"}` + "\n"
	tests := []struct {
		name    string
		answers []http.HandlerFunc
		bodies  []string
		want    string
	}{
		{"all well", []http.HandlerFunc{lines("{\"id\":\"1-0\"}\n{\"id\":\"2-0\"}\n")}, []string{"A\nB\n"}, "[1-0] <nil>, [2-0] <nil>"},
		{"refused as a whole", []http.HandlerFunc{refuses(503), refuses(502), lines("{\"id\":\"1-0\"}\n{\"id\":\"2-0\"}\n")}, []string{"A\nB\n", "A\nB\n", "A\nB\n"}, "[1-0] <nil>, [2-0] <nil>"},
		{"cut off between", []http.HandlerFunc{lines("{\"id\":\"1-0\"}\n{\"id✂"), lines("{\"id\":\"2-0\"}\n")}, []string{"A\nB\n", "B\n"}, "[1-0] <nil>, [2-0] <nil>"},
		{"one of two", []http.HandlerFunc{lines(busy + "{\"id\":\"2-0\"}\n"), lines("{\"id\":\"1-0\"}\n")}, []string{"A\nB\n", "A\n"}, "[1-0] <nil>, [2-0] <nil>"},
		{"a refusal is final", []http.HandlerFunc{lines("{\"status\":403,\"title\":\"No\",\"detail\":\"b\"}\n{\"id\":\"2-0\"}\n")}, []string{"A\nB\n"}, "[] 403 No: b, [2-0] <nil>"},
		{"a stop is no answer", []http.HandlerFunc{lines("{\"stop\":\"t\"}\n{\"id\":\"1-0\"}\n{\"stop\":\"t\"}\n{\"id\":\"2-0\"}\n")}, []string{"A\nB\n"}, "[1-0] <nil>, [2-0] <nil>"},
		{"refused as a whole for good", []http.HandlerFunc{refuses(401)}, []string{"A\nB\n"}, "[] 401 No: because, [] 401 No: because"},
		{"a part of a broadcast", []http.HandlerFunc{
			lines(`{"results":[{"id":"1-0"},{"status":503,"title":"Away"},{"status":403,"title":"No"}]}` + "\n{\"id\":\"2-0\"}\n"),
			lines(`{"results":[{"id":"1-0"},{"id":"3-0"},{"status":403,"title":"No"}]}` + "\n"),
		}, []string{"A\nB\n", "A\n"}, "[1-0 3-0] 403 No, [2-0] <nil>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{answers: tt.answers}
			results := publish(t, s.start(t, client.Options{}), "A", "B")
			got := fmt.Sprintf("%v %v, %v %v", results[0].IDs, results[0].Err, results[1].IDs, results[1].Err)
			if _, bodies := s.requests(); got != tt.want || !slices.Equal(bodies, tt.bodies) {
				t.Errorf("got %s after %q, want %s after %q", got, bodies, tt.want, tt.bodies)
			}
		})
	}
}

func TestPublish_PatienceEnds(t *testing.T) {
	s := &script{answers: []http.HandlerFunc{refuses(503)}}
	var notices []string
	c := s.start(t, client.Options{Patience: time.Millisecond, Notice: func(text string) { notices = append(notices, text) }})
	results := publish(t, c, "A")
	if problem, ok := errors.AsType[*client.Problem](results[0].Err); !ok || problem.Status != 503 || len(notices) == 0 {
		t.Errorf("got %v, and %q", results[0].Err, notices)
	}
	if results := publish(t, newClient(t, client.Options{URL: deadURL(t), Patience: time.Millisecond}), "A"); !errors.Is(results[0].Err, client.ErrUnreachable) {
		t.Errorf("got %v", results[0].Err)
	}
}

func TestClient_AsksForTheTokenEachTime(t *testing.T) {
	n := 0
	s := &script{answers: []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) {
			stream(ready+"data: "+r.Header.Get("Authorization")+"\n\n✂")(w, r)
		},
		func(w http.ResponseWriter, r *http.Request) {
			stream(ready+"data: "+r.Header.Get("Authorization")+"\n\n✂")(w, r)
		},
		noContent,
	}}
	got, err := follow(t, s.start(t, client.Options{Token: func() (string, error) { n++; return fmt.Sprint("t", n), nil }}), &client.Subscription{User: "u"})
	if want := []string{"ready {}", "message Bearer t1", "ready {}", "message Bearer t2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestNew_RefusesWhatIsNoURL(t *testing.T) {
	for _, bad := range []string{"", "localhost:8000", "ftp://x", "http://", "http://user:secret@localhost", "http://a b"} {
		if _, err := client.New(client.Options{URL: bad}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTopics_ReadsAllPages(t *testing.T) {
	s := &script{answers: []http.HandlerFunc{
		says("application/json", `{"topics":[{"topic":"a","subscribers":2}],"next":"a","more":true,"partial":false}`),
		says("application/json", `{"topics":[{"topic":"b","subscribers":1}],"next":"b","more":false,"partial":false}`),
	}}
	got, err := s.start(t, client.Options{}).Topics(t.Context())
	if asked, _ := s.requests(); err != nil || len(got) != 2 || got["a"] != 2 || got["b"] != 1 || asked[1] != "?after=a" {
		t.Errorf("got %v, %v, after asking %q", got, err, asked)
	}
}
