package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fake is a gateway in one map: what the clients of this package are tested against. Its faults are what they have
// to find.
type fake struct {
	mu     sync.Mutex
	events []fakeEvent   // guarded by mu
	news   chan struct{} // guarded by mu; closed at each event

	// spoil changes what a stream is about to send.
	spoil func([]fakeEvent) []fakeEvent
	// status, unless 0, is the answer to every other publish, in the place of carrying it out.
	status int
}

type fakeEvent struct {
	name, block string
	id          uint64
}

func startFake(t *testing.T, spoil func([]fakeEvent) []fakeEvent) (*fake, string) {
	t.Helper()
	f := &fake{news: make(chan struct{}), spoil: spoil}
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return f, server.URL
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/publish" {
		f.publish(w, r)
		return
	}
	f.subscribe(w, r)
}

func (f *fake) publish(w http.ResponseWriter, r *http.Request) {
	var event struct {
		Topic, User string
		Data        json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status != 0 && len(f.events)%2 == 0 {
		w.WriteHeader(f.status)
		f.events = append(f.events, fakeEvent{}) // nobody's
		return
	}
	id := uint64(len(f.events)) + 1
	name, field := event.Topic, "topic"
	if event.User != "" {
		name, field = "@"+event.User, "user"
	}
	data := fmt.Sprintf(`{%q:%q,"data":%s}`, field, strings.TrimPrefix(name, "@"), event.Data)
	f.events = append(f.events, fakeEvent{name, "event: message\ndata: " + data + "\n", id})
	close(f.news)
	f.news = make(chan struct{})
	fmt.Fprintf(w, `{"id":"7-%d"}`, id)
}

func (f *fake) subscribe(w http.ResponseWriter, r *http.Request) {
	names := strings.Split(r.URL.Query().Get("topics"), "|")
	if user := r.URL.Query().Get("user"); user != "" {
		names = append(names, "@"+user)
	}
	f.mu.Lock()
	position := uint64(len(f.events))
	f.mu.Unlock()
	if id, err := ParseID(r.Header.Get("Last-Event-ID")); err == nil {
		position = id.Seq
	}
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "retry: 3000\nevent: ready\ndata: {}\nid: 7-%d\n\n", position)
	for {
		f.mu.Lock()
		news := f.news
		var due []fakeEvent
		for _, event := range f.events[min(position, uint64(len(f.events))):] {
			if slices.Contains(names, event.name) {
				due = append(due, event)
			}
		}
		position = max(position, uint64(len(f.events)))
		f.mu.Unlock()
		if f.spoil != nil {
			due = f.spoil(due)
		}
		for _, event := range due {
			fmt.Fprintf(w, "%sid: 7-%d\n\n", event.block, event.id)
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return
		}
	}
}

// nth returns a function that is true at every nth call.
func nth(n int) func() bool {
	var mu sync.Mutex
	calls := 0
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return calls%n == 0
	}
}

func TestLoad_FindsWhatAGatewayDoesWrong(t *testing.T) {
	each := func(change func(fakeEvent) []fakeEvent) func([]fakeEvent) []fakeEvent {
		now := nth(100)
		return func(due []fakeEvent) []fakeEvent {
			var out []fakeEvent
			for _, event := range due {
				if now() {
					out = append(out, change(event)...)
				} else {
					out = append(out, event)
				}
			}
			return out
		}
	}
	tests := []struct {
		name  string
		spoil func([]fakeEvent) []fakeEvent
		want  func(Verdict) int // the field that must not be 0; nil: all is well
	}{
		{"nothing", nil, nil},
		{"an event is left out", each(func(fakeEvent) []fakeEvent { return nil }), func(v Verdict) int { return v.Lost }},
		{
			"an event is sent twice", each(func(e fakeEvent) []fakeEvent { return []fakeEvent{e, e} }),
			func(v Verdict) int { return v.Duplicated },
		},
		{
			"an event has another's data", each(func(e fakeEvent) []fakeEvent {
				e.id++
				return []fakeEvent{e}
			}),
			func(v Verdict) int { return v.Ghosts },
		},
		{"order is turned around", func(due []fakeEvent) []fakeEvent {
			return slices.SortedFunc(slices.Values(due), func(a, b fakeEvent) int { return cmp.Compare(b.id, a.id) })
		}, func(v Verdict) int { return v.OutOfOrder }},
		{"a gap is told where nothing is missing", each(func(e fakeEvent) []fakeEvent {
			return []fakeEvent{{block: fmt.Sprintf("event: gap\ndata: {\"topic\":%q,\"after\":\"7-0\"}\n", e.name), id: e.id - 1}, e}
		}), func(v Verdict) int { return v.Gaps }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, url := startFake(t, tt.spoil)
			load := StartLoad(t, LoadOptions{
				Bases: []string{url}, Subscribers: 40, Topics: 4, Rate: 1000, DropEvery: 100e6, Retry: 20e6,
			})
			Eventually(t, wait, func() error {
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(f.events) < 700 {
					return fmt.Errorf("%d events", len(f.events))
				}
				return nil
			})
			verdict := load.Finish(fatalless{t}, 2e9)
			if tt.want == nil && !verdict.OK(false) || tt.want != nil && (verdict.OK(false) || tt.want(verdict) == 0) {
				t.Errorf("verdict %+v", verdict)
			}
			if verdict.Reconnects < 40 {
				t.Errorf("%d reconnects: the subscribers were not dropped", verdict.Reconnects)
			}
		})
	}
}

// fatalless lets a Load complain without failing the test: of a gateway that loses last events.
type fatalless struct{ *testing.T }

func (f fatalless) Errorf(format string, args ...any) { f.Logf(format, args...) }

func TestLoad_AnEventWithoutAnAnswerMayBeMissing(t *testing.T) {
	f, url := startFake(t, nil)
	f.status = http.StatusServiceUnavailable
	load := StartLoad(t, LoadOptions{Bases: []string{url}, Subscribers: 10, Topics: 2, Rate: 500})
	Eventually(t, wait, func() error {
		if load.Published() < 100 {
			return fmt.Errorf("%d events", load.Published())
		}
		return nil
	})
	if refused, _ := load.Refused(); refused[http.StatusServiceUnavailable] == 0 {
		t.Error("no publish was refused")
	}
	if verdict := load.Finish(t, wait); !verdict.OK(false) {
		t.Errorf("verdict %+v", verdict)
	}
}
