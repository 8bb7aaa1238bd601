package stream

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sse-gateway/internal/sse"
	"sse-gateway/internal/testkit"
)

const (
	first    = "retry: 1\nevent: ready\ndata: {}\nid: 0\n\n"
	patience = 20 * time.Second
	// serverTimeout is short enough for a test to see that streams do not end by it.
	serverTimeout = time.Second
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

// path is a way to write streams.
type path string

const (
	byEngine   path = "engine"   // on other systems: the handler path as well
	byHandler  path = "handler"  // what net/http writes
	byHijacker path = "hijacker" // the engine's way out: hijacked, but not taken
)

// forPaths runs a test over every way to write a stream.
func forPaths(t *testing.T, test func(t *testing.T, path path)) {
	for _, path := range []path{byEngine, byHandler, byHijacker} {
		t.Run(string(path), func(t *testing.T) { test(t, path) })
	}
}

// defaults are options under which nothing happens by itself.
func defaults() Options {
	return Options{QueueBytes: 2 << 20, QueueEvents: 1024, Heartbeat: time.Minute}
}

// gate is a server whose every request opens a stream.
type gate struct {
	*Streams
	server *httptest.Server
	addr   string
	opened chan opened

	// before the first request
	params  func() Params
	replay  func(r *http.Request, st *Stream) // between Open and Serve
	headers http.Header
}

type opened struct {
	*Stream
	src *source
}

// newGate starts streams and a server for them, ended with the test.
func newGate(t testing.TB, path path, opts Options) *gate {
	t.Helper()
	opts.Engine = path != byHandler
	streams, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{
		Streams: streams,
		opened:  make(chan opened, 20000),
		params:  func() Params { return Params{First: []byte(first)} },
		replay:  func(*http.Request, *Stream) {},
		headers: http.Header{"Content-Type": {"text/event-stream"}},
	}
	g.server = httptest.NewUnstartedServer(http.HandlerFunc(g.serve))
	g.server.Config.Protocols = new(http.Protocols)
	g.server.Config.Protocols.SetHTTP1(true)
	g.server.Config.Protocols.SetUnencryptedHTTP2(true)
	g.server.Config.ReadTimeout, g.server.Config.WriteTimeout = serverTimeout, serverTimeout
	_, bench := t.(*testing.B)
	g.server.Listener = listener{g.server.Listener, !bench, path == byHijacker}
	g.server.Start()
	g.addr = g.server.Listener.Addr().String()
	t.Cleanup(func() {
		if err := streams.Close(); err != nil {
			t.Error(err)
		}
		g.server.Close()
	})
	return g
}

// listener changes the connections that it accepts.
type listener struct {
	net.Listener
	small bool // give them small send buffers, so that writes find them full
	wrap  bool // hide what they are
}

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.small {
		_ = conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
	}
	if l.wrap {
		return struct{ net.Conn }{conn}, nil
	}
	return conn, nil
}

func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), g.headers)
	src := &source{beat: sse.NewPing()}
	st, err := g.Open(w, r, src, g.params())
	if err != nil {
		return
	}
	src.stream.Store(st)
	g.opened <- opened{st, src}
	g.replay(r, st)
	if st.Serve() != nil {
		panic(http.ErrAbortHandler)
	}
}

// client is a subscriber at its end of the wire.
type client struct {
	net.Conn
	*sse.Decoder
	head string
	body io.Reader // what the decoder reads
}

// subscribe opens a stream over a connection of its own, and reads it up to and with the first block.
func (g *gate) subscribe(t testing.TB) (*client, opened) {
	t.Helper()
	c := g.request(t, simple)
	if event := c.next(t); event.Type != "ready" {
		t.Fatalf("got %+v, want ready", event)
	}
	return c, <-g.opened
}

// simple is a request for a stream.
const simple = "GET / HTTP/1.1\r\nHost: gate\r\n\r\n"

// request sends a request as it stands and reads the response's head.
func (g *gate) request(t testing.TB, text string) *client {
	t.Helper()
	c, err := g.connect(text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (g *gate) connect(request string) (*client, error) {
	conn, err := testkit.Dial(g.addr)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	var head strings.Builder
	for one := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
		if _, err := io.ReadFull(conn, one); err != nil {
			return nil, fmt.Errorf("read head after %q: %w", head.String(), err)
		}
		head.Write(one)
	}
	body := io.Reader(conn)
	if strings.Contains(head.String(), "Transfer-Encoding: chunked") {
		body = httputil.NewChunkedReader(conn)
	}
	return &client{Conn: conn, Decoder: sse.NewDecoder(body), head: head.String(), body: body}, nil
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
	if err := c.numbers(first, last); err != nil {
		t.Fatal(err)
	}
}

func (c *client) numbers(first, last int) error {
	for i := first; i < last; i++ {
		event, err := c.Next()
		if err != nil {
			return fmt.Errorf("read event %d: %w", i, err)
		}
		if event.ID != frameID(i) {
			return fmt.Errorf("got event %s, want %d", event.ID, i)
		}
		if rest := strings.TrimLeft(event.Data, strconv.Itoa(i%10)); rest != "" {
			return fmt.Errorf("got event %d with %q in its data", i, rest)
		}
	}
	return nil
}

// frame makes event number i.
func frame(i, size int) *sse.Frame {
	return sse.NewFrame(sse.AppendBlock(nil, "", 0, bytes.Repeat([]byte{'0' + byte(i%10)}, size)), frameID(i))
}

func frameID(i int) string { return strconv.Itoa(i) }

// expectGone waits for the end of a stream.
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
