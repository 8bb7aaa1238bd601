package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"sse-gateway/internal/web"
)

const firstID = 1_763_870_000_000

// fakeGateway speaks the gateway's protocol as far as the page sees it, with a history and a hand on the switch.
type fakeGateway struct {
	*httptest.Server
	retry     int // ms; what subscribers are told
	heartbeat int // ms; likewise

	mu         sync.Mutex // guards what follows
	events     []fakeEvent
	wake       chan struct{} // closed whenever something below has changed
	epoch      int           // streams of an older one end
	down       bool          // connections are cut without an answer
	refusal    *refusal      // of subscriptions
	rejection  *refusal      // of publishes
	subscribed []url.Values
	admitted   []string // Authorization of each subscription
	mute       bool     // publishes are not answered
	published  []string // bodies
	tokens     []string // Authorization of each publish
}

type fakeEvent struct {
	id                  int
	target, kind, frame string
}

type refusal struct {
	status        int
	title, detail string
}

func newFakeGateway(t *testing.T) *fakeGateway {
	t.Helper()
	g := &fakeGateway{retry: 100, heartbeat: 15_000, wake: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("/", web.Handler())
	mux.HandleFunc("GET /subscribe", g.subscribe)
	mux.HandleFunc("POST /publish", g.publish)
	g.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		g.change(func() { g.down = true })
		g.Close()
	})
	return g
}

// change applies a change and lets every stream see it.
func (g *fakeGateway) change(apply func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	apply()
	close(g.wake)
	g.wake = make(chan struct{})
}

// send makes an event of a topic, or of a user as "@user".
func (g *fakeGateway) send(target, data string) string { return g.sendType(target, "message", data) }

func (g *fakeGateway) sendType(target, kind, data string) string {
	member := `"topic":` + quote(target)
	if user, ok := strings.CutPrefix(target, "@"); ok {
		member = `"user":` + quote(user)
	}
	return g.sendRaw(target, kind, fmt.Sprintf(`{%s,"data":%s}`, member, data))
}

// sendRaw makes an event whose data field is given whole.
func (g *fakeGateway) sendRaw(target, kind, data string) string {
	var id int
	g.change(func() {
		id = firstID + len(g.events) + 1
		frame := fmt.Sprintf("event: %s\ndata: %s\nid: %d-0\n\n", kind, strings.ReplaceAll(data, "\n", "\ndata: "), id)
		g.events = append(g.events, fakeEvent{id, target, kind, frame})
	})
	return fmt.Sprintf("%d-0", id)
}

func (g *fakeGateway) setDown(down bool) { g.change(func() { g.down = down }) }

func (g *fakeGateway) refuse(r *refusal) { g.change(func() { g.refusal = r; g.epoch++ }) }

func (g *fakeGateway) queries() []url.Values {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.subscribed)
}

func (g *fakeGateway) bodies() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.published)
}

func (g *fakeGateway) subscribe(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	g.mu.Lock()
	g.subscribed = append(g.subscribed, query)
	g.admitted = append(g.admitted, r.Header.Get("Authorization"))
	down, refused, epoch, last := g.down, g.refusal, g.epoch, firstID+len(g.events)
	g.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	switch {
	case refused != nil && refused.status < 0: // no answer, as long as the client waits
		<-r.Context().Done()
		return
	case refused != nil:
		refused.write(w)
		return
	}
	targets := append(strings.Split(query.Get("topics"), "|"), query["topic"]...)
	if user := query.Get("user"); user != "" {
		targets = append(targets, "@"+user)
	}
	position := last
	cursor := query.Get("last_event_id")
	if header := r.Header.Get("Last-Event-ID"); header != "" {
		cursor = header
	}
	if cursor != "" {
		_, _ = fmt.Sscanf(cursor, "%d-0", &position)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "retry: %d\nevent: ready\ndata: {\"heartbeat\":%d}\nid: %d-0\n\n", g.retry, g.heartbeat, position)
	g.follow(w, r, targets, position, epoch)
}

// follow writes events after position as they come, until the stream's epoch is over.
func (g *fakeGateway) follow(w http.ResponseWriter, r *http.Request, targets []string, position, epoch int) {
	for {
		g.mu.Lock()
		events, wake, over := g.events, g.wake, g.down || epoch != g.epoch
		g.mu.Unlock()
		if over {
			panic(http.ErrAbortHandler)
		}
		for _, event := range events {
			if event.id > position && slices.Contains(targets, event.target) {
				_, _ = io.WriteString(w, event.frame)
			}
			position = max(position, event.id)
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-wake:
		case <-r.Context().Done():
			return
		}
	}
}

func (g *fakeGateway) publish(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	g.published = append(g.published, string(body))
	g.tokens = append(g.tokens, r.Header.Get("Authorization"))
	down, rejected, mute := g.down, g.rejection, g.mute
	g.mu.Unlock()
	if mute {
		<-r.Context().Done()
		return
	}
	if down {
		panic(http.ErrAbortHandler)
	}
	if rejected != nil {
		rejected.write(w)
		return
	}
	var event struct {
		Topic, User, Event string
		Data               json.RawMessage
	}
	if err := json.Unmarshal(body, &event); err != nil {
		(&refusal{http.StatusBadRequest, "Bad Request", err.Error()}).write(w)
		return
	}
	target, kind := event.Topic, "message"
	if event.User != "" {
		target = "@" + event.User
	}
	if event.Event != "" {
		kind = event.Event
	}
	_, _ = fmt.Fprintf(w, `{"id":%q}`, g.sendType(target, kind, string(event.Data)))
}

func (r *refusal) write(w http.ResponseWriter) {
	switch r.status {
	case http.StatusNoContent:
		w.WriteHeader(r.status)
		return
	case http.StatusOK: // "not now": EventSource would give up for good on a 503
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": overload\nretry: 100\n\n")
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.status)
	_, _ = fmt.Fprintf(w, `{"type":"about:blank","title":%s,"status":%d,"detail":%s}`, quote(r.title), r.status, quote(r.detail))
}

func quote(s string) string {
	text, _ := json.Marshal(s) // a string always encodes
	return string(text)
}
