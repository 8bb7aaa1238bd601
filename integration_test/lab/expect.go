package lab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// wait is how long a test waits for what should happen at once. It is long since the machine may be busy.
const wait = 15 * time.Second

// WaitFor waits until cond is true. It is called with the subscriber locked, so it must use only its argument.
func (s *Subscriber) WaitFor(t testing.TB, timeout time.Duration, what string, cond func(State) bool) State {
	t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		state, news := s.stateLocked(), s.news
		s.mu.Unlock()
		if cond(state) {
			return state
		}
		if state.Ended != nil {
			t.Fatalf("%s: the subscriber has given up: %v", what, state.Ended)
		}
		select {
		case <-news:
		case <-deadline.C:
			t.Fatalf("not within %v: %s; %d connections, last error %v, events:\n%s",
				timeout, what, state.Connects, state.LastErr, describe(state.Events))
		}
	}
}

// State is a subscriber at a moment.
type State struct {
	Events   []Event // so far, over all connections; shared, so not to be changed
	Connects int     // answers 200 so far
	Readies  int     // ready events so far
	Base     string  // where the latest connection went
	Head     *http.Response
	LastID   string
	Received int64 // bytes of bodies so far
	LastErr  error // how the last connection ended
	Ended    error // why the subscriber has given up; nil: it goes on
}

func (s *Subscriber) stateLocked() State {
	return State{
		Events: slices.Clip(s.events), Connects: s.connects, Readies: s.readies, Base: s.base, Head: s.head,
		LastID: s.lastID, Received: s.received, LastErr: s.lastErr, Ended: s.ended,
	}
}

// State is the subscriber as it is now.
func (s *Subscriber) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stateLocked()
}

// Fired are the events that a browser would have fired, but for ready and position.
func (s State) Fired() []Event {
	var fired []Event
	for _, event := range s.Events {
		if event.Kind == Dispatched && event.Type != "ready" && event.Type != "position" {
			fired = append(fired, event)
		}
	}
	return fired
}

// WaitReady waits for the first ready event.
func (s *Subscriber) WaitReady(t testing.TB) {
	t.Helper()
	s.WaitFor(t, wait, "ready", func(state State) bool { return state.Readies > 0 })
}

// WaitFired waits until n events have been fired, and returns them.
func (s *Subscriber) WaitFired(t testing.TB, n int) []Event {
	t.Helper()
	return s.WaitFor(t, wait, fmt.Sprintf("%d events", n), func(state State) bool {
		return len(state.Fired()) >= n
	}).Fired()
}

// WaitEnd waits until the subscriber has given up, and returns why.
func (s *Subscriber) WaitEnd(t testing.TB, timeout time.Duration) error {
	t.Helper()
	select {
	case <-s.done:
		return s.State().Ended
	case <-time.After(timeout):
		t.Fatalf("the stream has not ended within %v", timeout)
		return nil
	}
}

// Envelope is what the data of an event holds.
type Envelope struct {
	Topic string          `json:"topic"`
	User  string          `json:"user"`
	Data  json.RawMessage `json:"data"`
	From  string          `json:"from"`
}

// Envelope decodes the event's data.
func (e Event) Envelope(t testing.TB) Envelope {
	t.Helper()
	var envelope Envelope
	if err := json.Unmarshal([]byte(e.Data), &envelope); err != nil {
		t.Fatalf("data of %+v: %v", e, err)
	}
	return envelope
}

// describe lists the last events of a stream for a failed test.
func describe(events []Event) string {
	const shown = 20
	var text strings.Builder
	if len(events) > shown {
		fmt.Fprintf(&text, "  … %d before\n", len(events)-shown)
		events = events[len(events)-shown:]
	}
	for _, event := range events {
		fmt.Fprintf(&text, "  %.200q\n", fmt.Sprint(event))
	}
	return text.String()
}
