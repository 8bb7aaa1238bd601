package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a Sink that takes everything.
type recorder struct {
	mu     sync.Mutex
	events []sse.Event
	ended  string
	more   chan struct{}
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{}, 1)} }

func (r *recorder) Push(frame *sse.Frame) bool {
	event, err := sse.NewDecoder(bytes.NewReader(frame.Bytes())).Next()
	if err != nil {
		return true // a heartbeat
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != "" {
		return false
	}
	r.events = append(r.events, event)
	select {
	case r.more <- struct{}{}:
	default:
	}
	return true
}

func (r *recorder) WaitRoom(ctx context.Context) error { return ctx.Err() }

func (r *recorder) End(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == "" {
		r.ended = reason
	}
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// wait returns the events once there are n, or fails.
func (r *recorder) wait(t *testing.T, n int) []sse.Event {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		events := append([]sse.Event(nil), r.events...)
		r.mu.Unlock()
		if len(events) >= n {
			return events
		}
		select {
		case <-r.more:
		case <-deadline:
			t.Fatalf("got %d events, want %d: %v", len(events), n, events)
		}
	}
}

// waitEnd waits for the stream's end.
func (r *recorder) waitEnd(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		ended := r.ended
		r.mu.Unlock()
		if ended != "" {
			if ended != want {
				t.Fatalf("the stream ended for %q, want %q", ended, want)
			}
			return
		}
		select {
		case <-r.more:
		case <-deadline:
			t.Fatalf("the stream did not end for %q", want)
		}
	}
}

func publish(t *testing.T, h *Hub, topic string, n int) broker.ID {
	t.Helper()
	result := h.Publish(t.Context(), []Publication{{Topic: topic, Data: json.RawMessage(fmt.Sprint(n))}})[0]
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	return result.ID
}

func join(t *testing.T, h *Hub, r *recorder, req JoinRequest) *Subscription {
	t.Helper()
	s, err := h.Join(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Leave)
	if err := s.Deliver(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return s
}
