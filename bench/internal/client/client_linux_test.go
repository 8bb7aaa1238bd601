package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sse-gateway/bench/internal/check"
	"sse-gateway/bench/internal/faulty"
	"sse-gateway/bench/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns a target and a client with streams open on it: two of topic 0, and one of topics 1 and 2.
func start(t *testing.T, fault func(n int) (int, bool), pipelined bool) (wire.Target, *Client) {
	t.Helper()
	ts := httptest.NewServer(faulty.New(fault))
	t.Cleanup(ts.Close)
	target := wire.Gateway(ts.Listener.Addr().String())
	c, err := New(target, check.NewBook(3, pipelined), 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.Open(3, 2, func(i int) (first, count int) { return i / 2, 1 + i/2 }, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	return target, c
}

// publishAll publishes n events in each topic, one at a time or all at once.
func publishAll(t *testing.T, c *Client, target wire.Target, n int, streaming, pipelined bool) {
	t.Helper()
	p, err := c.Publisher(target, streaming)
	if err != nil {
		t.Fatal(err)
	}
	left := 3*n - 1
	p.Answered = func(p *Publisher, _, _ int) {
		if left > 0 && !pipelined {
			left--
			p.Publish(left%3, c.Now())
			p.Flush()
		}
	}
	p.Publish(left%3, c.Now())
	for pipelined && left > 0 {
		left--
		p.Publish(left%3, c.Now())
	}
	p.Flush()
	if err := c.Run(5*time.Second, func() bool { return left == 0 }); err != nil {
		t.Fatal(err)
	}
	if err := c.Drain(time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestClient_CountsEveryDelivery(t *testing.T) {
	for name, mode := range map[string]struct{ streaming, pipelined bool }{
		"one by one":    {},
		"pipelined":     {pipelined: true},
		"streaming":     {streaming: true},
		"streaming all": {streaming: true, pipelined: true},
	} {
		t.Run(name, func(t *testing.T) {
			target, c := start(t, faulty.None, mode.pipelined)
			reached := 0
			c.ReachedAll = func(int, int) { reached++ }
			publishAll(t, c, target, 50, mode.streaming, mode.pipelined)
			if err := c.Book.Finish().Err(); err != nil {
				t.Error(err)
			}
			if c.Published != 150 || c.Delivered != 200 || reached != 150 || c.Acks.Count() != 150 {
				t.Errorf("got %d published, %d acknowledged, %d delivered, %d reached all; want 150, 150, 200, 150",
					c.Published, c.Acks.Count(), c.Delivered, reached)
			}
			if got := c.Latency.Count(); got != 200 || c.Latency.Max() <= 0 || c.Latency.Max() > 5*time.Second {
				t.Errorf("%d latencies up to %v", got, c.Latency.Max())
			}
		})
	}
}

func TestClient_DetectsFaultyServers(t *testing.T) {
	for name, tt := range map[string]struct {
		fault func(n int) (times int, hold bool)
		want  check.Faults // at least
	}{
		"loses":    {func(n int) (int, bool) { return min(1, max(n-10, 10-n)), false }, check.Faults{Lost: 3}},
		"doubles":  {func(n int) (int, bool) { return 1 + max(0, 1-max(n-10, 10-n)), false }, check.Faults{Doubled: 3}},
		"reorders": {func(n int) (int, bool) { return 1, n == 10 }, check.Faults{Reordered: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			target, c := start(t, tt.fault, true)
			publishAll(t, c, target, 50, false, true)
			got := c.Book.Finish()
			if got.Lost < tt.want.Lost || got.Doubled != tt.want.Doubled || got.Reordered < tt.want.Reordered || got.Err() == nil {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestClient_SaysWhyStreamsDoNotOpen(t *testing.T) {
	for name, respond := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"silent":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			ts := httptest.NewServer(respond)
			defer ts.Close()
			c, err := New(wire.Gateway(ts.Listener.Addr().String()), check.NewBook(1, false), 100)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Open(4, 2, func(int) (first, count int) { return 0, 1 }, 300*time.Millisecond)
			if err == nil || errors.Is(err, ErrTimeout) != (name == "silent") {
				t.Errorf("got %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClient_NotesStreamsThatTheServerEnds(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "event: ready\ndata: {}\n\n")
	}))
	defer ts.Close()
	c, err := New(wire.Gateway(ts.Listener.Addr().String()), check.NewBook(1, false), 100)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, err = c.Open(1, 1, func(int) (first, count int) { return 0, 1 }, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(2*time.Second, func() bool { return c.Book.Finish().Ended == 1 }); err != nil {
		t.Errorf("the end of a stream was not noted: %v", err)
	}
}

func TestClient_TickerKeepsItsRate(t *testing.T) {
	_, c := start(t, faulty.None, false)
	var due []int64
	if err := c.Every(2*time.Millisecond, func(at int64) { due = append(due, at) }); err != nil {
		t.Fatal(err)
	}
	if err := c.Run(5*time.Second, func() bool { return len(due) >= 20 }); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(due); i++ {
		if got := due[i] - due[i-1]; got != int64(2*time.Millisecond) {
			t.Errorf("tick %d is due %d ns after the one before it", i, got)
		}
	}
}
