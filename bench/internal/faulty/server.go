// Package faulty is a small server of Server-Sent Events that can be made to lose, double and reorder: what the load
// tool's tests run against.
package faulty

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// A Fault gets the number of a delivery on its stream, and says how often the event is written and whether it is held
// back until after the one that follows.
type Fault func(n int) (times int, hold bool)

// None is the fault of a healthy server.
func None(int) (times int, hold bool) { return 1, false }

// A Server takes subscriptions and publishes at any path, in the manner of the gateway.
type Server struct {
	fault Fault

	mu     sync.Mutex
	topics map[string][]chan string // guarded by mu
}

// New returns a server with a fault.
func New(fault Fault) *Server {
	return &Server{fault: fault, topics: make(map[string][]chan string)}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		s.subscribe(w, r)
		return
	}
	if r.Header.Get("Content-Type") != "application/x-ndjson" {
		_ = json.NewEncoder(w).Encode(s.publish(json.NewDecoder(r.Body)))
		return
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex()
	_ = control.Flush()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		_ = json.NewEncoder(w).Encode(s.publish(json.NewDecoder(strings.NewReader(lines.Text()))))
		_ = control.Flush()
	}
}

func (s *Server) publish(body *json.Decoder) map[string]any {
	var event struct{ Topic, Data string }
	if err := body.Decode(&event); err != nil {
		return map[string]any{"status": http.StatusBadRequest}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, queue := range s.topics[event.Topic] {
		queue <- event.Data
	}
	return map[string]any{"id": "1-1"}
}

func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) {
	queue := make(chan string, 10_000)
	s.mu.Lock()
	for topic := range strings.SplitSeq(r.URL.Query().Get("topics"), "|") {
		s.topics[topic] = append(s.topics[topic], queue)
	}
	s.mu.Unlock()
	control := http.NewResponseController(w)
	_, _ = fmt.Fprint(w, "event: ready\ndata: {}\n\n")
	_ = control.Flush()
	var held []string
	for n := 0; ; n++ {
		select {
		case <-r.Context().Done():
			return
		case data := <-queue:
			times, hold := s.fault(n)
			if hold {
				held = append(held, data)
				continue
			}
			for range times {
				_, _ = fmt.Fprintf(w, "data: %s\nid: %d\n\n", data, n)
			}
			for _, data := range held {
				_, _ = fmt.Fprintf(w, "data: %s\n\n", data)
			}
			held = nil
			_ = control.Flush()
		}
	}
}
