package stream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sse-gateway/internal/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	first    = "retry: 1\nevent: ready\ndata: {}\nid: 0\n\n"
	patience = 20 * time.Second
)

// source is a Source that counts its calls.
type source struct {
	stream atomic.Pointer[Stream]
	beat   *sse.Frame // nil: Beat pushes nothing
	beats  atomic.Int64
	left   atomic.Int64
}

func (s *source) Beat() {
	s.beats.Add(1)
	if st := s.stream.Load(); st != nil && s.beat != nil {
		st.Push(s.beat)
	}
}

func (s *source) Leave() { s.left.Add(1) }

// gate is a server whose every request opens a stream.
type gate struct {
	*Streams
	url    string
	addr   string
	params func() Params
	opened chan opened
}

type opened struct {
	*Stream
	src *source
}

// forPaths runs a test over both ways to write a stream.
func forPaths(t *testing.T, test func(t *testing.T, engine bool)) {
	for name, engine := range map[string]bool{"engine": true, "handler": false} {
		t.Run(name, func(t *testing.T) { test(t, engine) })
	}
}

func defaults(engine bool) Options {
	return Options{QueueBytes: 256 << 10, QueueEvents: 1024, Heartbeat: time.Minute, Engine: engine}
}

// newGate starts streams and a server for them, ended with the test.
func newGate(t testing.TB, opts Options) *gate {
	t.Helper()
	streams, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{
		Streams: streams,
		params:  func() Params { return Params{First: []byte(first)} },
		opened:  make(chan opened, 20000),
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(g.serve))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	g.url, g.addr = server.URL, server.Listener.Addr().String()
	t.Cleanup(func() {
		if err := streams.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return g
}

func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	src := &source{beat: sse.NewPing("")}
	st, err := g.Open(w, r, src, g.params())
	if err != nil {
		return
	}
	src.stream.Store(st)
	g.opened <- opened{st, src}
	st.Serve()
}

// client is a subscriber at its end of the wire.
type client struct {
	net.Conn
	*sse.Decoder
	head string
}

// subscribe opens a stream over a connection of its own, and reads it up to and with the first block.
func (g *gate) subscribe(t testing.TB) (*client, opened) {
	t.Helper()
	c := g.dial(t)
	if event := c.next(t); event.Type != "ready" {
		t.Fatalf("got %+v, want ready", event)
	}
	return c, <-g.opened
}

// dial sends a request and reads the response's head.
func (g *gate) dial(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", g.addr); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	var head strings.Builder
	for one := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
		if _, err := io.ReadFull(conn, one); err != nil {
			t.Fatalf("head %q: %v", head.String(), err)
		}
		head.Write(one)
	}
	body := io.Reader(conn)
	if strings.Contains(head.String(), "Transfer-Encoding: chunked") {
		body = httputil.NewChunkedReader(conn)
	}
	return &client{Conn: conn, Decoder: sse.NewDecoder(body), head: head.String()}
}

// next reads one event.
func (c *client) next(t testing.TB) sse.Event {
	t.Helper()
	event, err := c.Next()
	if err != nil {
		t.Fatalf("read event: %v", err)
	}
	return event
}

// expectNumbers reads the events first to last-1 as frame made them.
func (c *client) expectNumbers(t testing.TB, first, last int) {
	t.Helper()
	for i := first; i < last; i++ {
		if got, want := c.next(t).ID, fmt.Sprint(i); got != want {
			t.Fatalf("got event %s, want %s", got, want)
		}
	}
}

// frame makes event number i.
func frame(i, size int) *sse.Frame {
	return sse.NewFrame(sse.AppendBlock(nil, "", 0, []byte(strings.Repeat("x", size))), fmt.Sprint(i))
}

// eventually polls for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("still not so after %v: %s", patience, what)
		}
	}
}

// gone waits for the end of a stream and tells its reason's count.
func (g *gate) expectGone(t testing.TB, st opened, reason string) {
	t.Helper()
	select {
	case <-st.Done():
	case <-time.After(patience):
		t.Fatalf("stream not gone after %v", patience)
	}
	if got := g.Stats().Closed[reason]; got == 0 {
		t.Errorf("closed %v, want one of %s", g.Stats().Closed, reason)
	}
	if got := st.src.left.Load(); got != 1 {
		t.Errorf("the source left %d times, want once", got)
	}
}
