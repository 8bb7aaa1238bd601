package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sse-gateway/internal/testkit"
)

func TestEngine_Head(t *testing.T) {
	g := newGate(t, byEngine, defaults())
	g.headers = http.Header{
		"Content-Type":      {"text/event-stream"},
		"X-Split":           {"a\r\nX-Injected: yes\r\n\r\nevent: forged"},
		"Content-Length":    {"5"},
		"Transfer-Encoding": {"chunked"},
		"Vary":              {"Origin", "Accept"},
		"Bad\nName":         {"x"},
	}
	c, st := g.subscribe(t)
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(c.head)), nil)
	if err != nil {
		t.Fatalf("head %q: %v", c.head, err)
	}
	_ = response.Body.Close()
	want := http.Header{
		"Content-Type": {"text/event-stream"},
		"X-Split":      {"a  X-Injected: yes    event: forged"},
		"Vary":         {"Origin", "Accept"},
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err != nil || time.Since(date).Abs() > time.Minute {
		t.Errorf("got date %q", response.Header.Get("Date"))
	}
	response.Header.Del("Date")
	if !response.Close {
		t.Error("the head does not say that the connection closes")
	}
	if got := response.Header; response.StatusCode != 200 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %d %v, want 200 %v", response.StatusCode, got, want)
	}
	if st.path != nil {
		t.Error("the engine has not taken the stream")
	}
}

func TestEngine_LeavesOtherRequestsToTheirHandlers(t *testing.T) {
	g := newGate(t, byEngine, defaults())
	c := g.request(t, "GET / HTTP/1.0\r\n\r\n")
	c.next(t)
	st := <-g.opened
	if st.path == nil {
		t.Error("the engine has taken a stream of HTTP/1.0")
	}
	st.Push(frame(0, 10))
	st.End(ReasonClosed)
	c.expectNumbers(t, 0, 1)
	if _, err := c.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v after the end, want EOF", err)
	}
}

func TestEngine_IdleStreamsAreSmall(t *testing.T) {
	const streams, limit = 1000, 400
	g := newGate(t, byEngine, defaults())
	goroutines := runtime.NumGoroutine()
	live, _ := memory(t)
	subscribers := startRole(t, "subscribers", g.addr, strconv.Itoa(streams), "1000000")
	subscribers.await(t)
	testkit.WaitFor(t, "the handlers have returned", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	grown, _ := memory(t)
	if got := (grown - live) / streams; got > limit {
		t.Errorf("an idle stream takes %.0f bytes, want at most %d", got, limit)
	}
	if got := g.Stats().Open; got != streams {
		t.Errorf("%d streams are open, want %d", got, streams)
	}
}

// A descriptor is used again at once by the next connection. Nothing that was meant for its last stream may reach it.
func TestEngine_DescriptorsAreUsedAgain(t *testing.T) {
	const workers, rounds = 8, 150
	opts := defaults()
	opts.Heartbeat = 10 * time.Millisecond
	g := newGate(t, byEngine, opts)
	g.replay = func(r *http.Request, st *Stream) {
		name := r.URL.Query().Get("name")
		for i := range 20 {
			st.Push(frame(i, 10).WithID(name))
		}
		switch round, _ := strconv.Atoi(r.URL.Query().Get("round")); round % 3 {
		case 0:
			st.End(ReasonClosed)
		case 1:
			st.end(reasonSlow, true)
		}
	}
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for round := range rounds {
				name := fmt.Sprintf("%d-%d", worker, round)
				if err := g.onlyReceives(name, round); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for range workers * rounds {
		st := <-g.opened
		select {
		case <-st.Done():
		case <-time.After(patience):
			t.Fatal("a stream is not gone")
		}
		if got := st.src.left.Load(); got != 1 {
			t.Fatalf("a source left %d times", got)
		}
	}
}

func TestPoller_KnowsStreamsThatHadTheSameDescriptor(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	eventOf := func(st *Stream) unix.EpollEvent { return unix.EpollEvent{Fd: st.fd, Pad: st.gen} }

	before, after := &Stream{fd: int32(file.Fd())}, &Stream{fd: int32(file.Fd())}
	if err := p.add(before); err != nil {
		t.Fatal(err)
	}
	if got := p.find(eventOf(before)); got != before {
		t.Errorf("got stream %p, want %p", got, before)
	}
	p.remove(before)
	if got := p.find(eventOf(before)); got != nil {
		t.Error("found a stream that has been removed")
	}
	if err := p.control(before, unix.EPOLL_CTL_DEL, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.add(after); err != nil {
		t.Fatal(err)
	}
	if got := p.find(eventOf(before)); got != nil {
		t.Error("an old event finds the stream that has the descriptor now")
	}
	if got := p.find(eventOf(after)); got != after {
		t.Errorf("got stream %p, want %p", got, after)
	}
}

// onlyReceives opens a stream and reads it, to its end or for a moment. Every event must have the stream's name as id.
func (g *gate) onlyReceives(name string, round int) error {
	conn, err := testkit.Dial(g.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, err = fmt.Fprintf(conn, "GET /?name=%s&round=%d HTTP/1.1\r\nHost: gate\r\n\r\n", name, round)
	if err != nil {
		return err
	}
	var text strings.Builder
	if round%3 == 2 {
		_, err = io.CopyN(&text, conn, 500)
	} else {
		_, err = io.Copy(&text, conn)
	}
	if err != nil {
		return fmt.Errorf("stream %s after %q: %w", name, text.String(), err)
	}
	events := 0
	for line := range strings.Lines(text.String()) {
		id, ok := strings.CutPrefix(line, "id: ")
		if !ok || !strings.HasSuffix(id, "\n") || id == "0\n" {
			continue
		}
		if id != name+"\n" {
			return fmt.Errorf("stream %s received event %s", name, id)
		}
		events++
	}
	if round%3 == 0 && events != 20 {
		return fmt.Errorf("stream %s received %d events before its end, want 20", name, events)
	}
	return nil
}

func TestEngine_DescriptorExhaustion(t *testing.T) {
	const limit, clients = 40, 100
	server := startRole(t, "server", strconv.Itoa(limit))
	addr, err := server.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, server.err)
	}
	g := &gate{addr: strings.TrimSpace(addr)}
	// More than there are descriptors: some connect, and wait to be accepted.
	results := make(chan *client, clients)
	var waiting sync.WaitGroup
	for range clients {
		waiting.Go(func() {
			c, err := g.connect(simple)
			if err != nil {
				t.Error(err)
				return
			}
			c.Comments = true
			if _, err := c.Next(); err != nil {
				t.Error(err)
			}
			results <- c
		})
	}
	testkit.WaitFor(t, "a stream stays with its handler", func() bool {
		return strings.Contains(server.err.String(), "stay with their handlers")
	})
	testkit.WaitFor(t, "the server says that it cannot accept", func() bool {
		return strings.Contains(server.err.String(), "too many open files; retrying")
	})
	before := cpuTicks(t, server.Process.Pid)
	start := time.Now()
	var open []*client
	for range limit / 2 {
		open = append(open, receive(t, results))
	}
	for time.Since(start) < time.Second {
		for _, c := range open {
			c.next(t) // those that are open have their pings
		}
	}
	if used := cpuTicks(t, server.Process.Pid) - before; used > 60 {
		t.Errorf("%d0 ms of processor time in about a second without descriptors: it spins", used)
	}
	for _, c := range open {
		_ = c.Close()
	}
	for range clients - len(open) {
		_ = receive(t, results).Close() // makes room for the next
	}
	waiting.Wait()
}

func receive(t *testing.T, clients <-chan *client) *client {
	t.Helper()
	select {
	case c := <-clients:
		return c
	case <-time.After(patience):
		t.Fatal("no further stream has been opened")
		return nil
	}
}

// cpuTicks is the processor time of a process in 1/100 s.
func cpuTicks(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}
