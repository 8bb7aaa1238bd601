package lab

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// SubscribeOptions say what a Subscriber asks for and how it behaves.
type SubscribeOptions struct {
	Topics      []string
	User        string
	Since       string
	LastEventID string      // of the first connection
	Query       string      // more of the query, encoded
	Header      http.Header // of every request

	// Bases are the base URLs of the replicas: each connection goes to the next one.
	Bases []string
	// Retry replaces the reconnection time that the stream sets, for tests that want to be quick.
	Retry time.Duration
	// Once ends the subscriber with its first connection.
	Once bool
	// ReceiveBuffer is the size of the socket's receive buffer; 0: the system's.
	ReceiveBuffer int
	// OnEvent gets every event in the place of the list that Events returns. It runs on the subscriber's goroutine.
	OnEvent func(Event)
}

// A Subscriber is an open stream that behaves as a browser's EventSource: it comes back with its last event ID until
// it is closed or told to stop. It costs one goroutine and no HTTP client, so that one test can have thousands.
type Subscriber struct {
	options SubscribeOptions
	cancel  context.CancelFunc
	done    chan struct{}

	mu       sync.Mutex
	conn     net.Conn      // guarded by mu; nil between connections
	news     chan struct{} // guarded by mu; closed and replaced when anything below changes
	events   []Event       // guarded by mu
	connects int           // guarded by mu; answers 200 so far
	readies  int           // guarded by mu; ready events so far
	base     string        // guarded by mu; of the latest connection
	head     *http.Response
	lastID   string        // guarded by mu
	retry    time.Duration // guarded by mu
	paused   chan struct{} // guarded by mu; nil unless paused; closed by Resume
	received int64         // guarded by mu; bytes of bodies
	ended    error         // guarded by mu; why the subscriber has given up
	lastErr  error         // guarded by mu; how the last connection ended
}

// ErrStopped ends a subscriber that got 204.
var ErrStopped = errors.New("the stream is over: 204")

// Subscribe opens a stream; the test's end closes it.
func Subscribe(t testing.TB, options SubscribeOptions) *Subscriber {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &Subscriber{
		options: options, cancel: cancel, done: make(chan struct{}), news: make(chan struct{}),
		lastID: options.LastEventID, retry: cmp.Or(options.Retry, 3*time.Second),
	}
	go func() {
		defer close(s.done)
		s.run(ctx)
	}()
	t.Cleanup(s.Close)
	return s
}

// Listen opens a stream of topics on one base URL and waits until it is ready.
func Listen(t testing.TB, base string, topics ...string) *Subscriber {
	t.Helper()
	s := Subscribe(t, SubscribeOptions{Bases: []string{base}, Topics: topics})
	s.WaitReady(t)
	return s
}

func (s *Subscriber) run(ctx context.Context) {
	for n := 0; ; n++ {
		err := s.connect(ctx, s.options.Bases[n%len(s.options.Bases)])
		s.mu.Lock()
		s.lastErr, s.conn = err, nil
		retry := s.retry
		var refused *StatusError
		if errors.As(err, &refused) || errors.Is(err, ErrStopped) || s.options.Once || ctx.Err() != nil {
			s.ended = err
			s.changedLocked()
			s.mu.Unlock()
			return
		}
		s.changedLocked()
		s.mu.Unlock()
		timer := time.NewTimer(retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// connect opens one connection and reads it to its end, which is an error, io.EOF if nothing else.
func (s *Subscriber) connect(ctx context.Context, base string) error {
	address, err := url.Parse(base)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", address.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if tcp, ok := conn.(*net.TCPConn); ok && s.options.ReceiveBuffer > 0 {
		if err := tcp.SetReadBuffer(s.options.ReceiveBuffer); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.conn, s.base = conn, base
	request := s.requestLocked(address.Host)
	s.mu.Unlock()
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(conn, 4<<10)
	head, err := http.ReadResponse(lines, nil) //nolint:bodyclose // closing would read on; the connection is closed
	if err != nil {
		return err
	}
	return s.read(head)
}

func (s *Subscriber) requestLocked(host string) string {
	query := url.Values{}
	if len(s.options.Topics) > 0 {
		query.Set("topics", strings.Join(s.options.Topics, "|"))
	}
	if s.options.User != "" {
		query.Set("user", s.options.User)
	}
	if s.options.Since != "" {
		query.Set("since", s.options.Since)
	}
	var request strings.Builder
	fmt.Fprintf(&request, "GET /subscribe?%s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n",
		strings.Trim(query.Encode()+"&"+s.options.Query, "&"), host)
	_ = s.options.Header.Write(&request) // a strings.Builder does not fail
	if s.lastID != "" {
		fmt.Fprintf(&request, "Last-Event-ID: %s\r\n", s.lastID)
	}
	request.WriteString("\r\n")
	return request.String()
}

func (s *Subscriber) read(head *http.Response) error {
	switch {
	case head.StatusCode == http.StatusNoContent:
		return ErrStopped
	case head.StatusCode != http.StatusOK:
		body, _ := io.ReadAll(io.LimitReader(head.Body, 4<<10))
		return &StatusError{head.StatusCode, string(body)}
	}
	s.mu.Lock()
	s.connects++
	s.head = head
	events := decoder{emit: s.take, lastID: s.lastID}
	s.changedLocked()
	s.mu.Unlock()
	buffer := make([]byte, 4<<10)
	for {
		s.mu.Lock()
		paused := s.paused
		s.mu.Unlock()
		if paused != nil {
			<-paused
		}
		n, err := head.Body.Read(buffer)
		events.feed(buffer[:n])
		s.mu.Lock()
		s.received += int64(n)
		if events.retry > 0 && s.options.Retry == 0 {
			s.retry = time.Duration(events.retry) * time.Millisecond // it holds from its line on
		}
		s.changedLocked()
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// take gets each event from the decoder.
func (s *Subscriber) take(event Event) {
	s.mu.Lock()
	s.lastID = event.ID
	if event.Retry > 0 && s.options.Retry == 0 {
		s.retry = time.Duration(event.Retry) * time.Millisecond
	}
	if event.Kind == Dispatched && event.Type == "ready" {
		s.readies++
	}
	if s.options.OnEvent == nil {
		s.events = append(s.events, event)
	}
	s.mu.Unlock()
	if s.options.OnEvent != nil {
		s.options.OnEvent(event)
	}
}

func (s *Subscriber) changedLocked() {
	close(s.news)
	s.news = make(chan struct{})
}

// Close ends the subscriber and waits for it.
func (s *Subscriber) Close() {
	s.cancel()
	s.Resume()
	<-s.done
}

// Drop cuts the connection, without a word to the gateway's side, and lets the subscriber come back.
func (s *Subscriber) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tcp, ok := s.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset: what is unread is gone, as with a phone in a tunnel
		_ = tcp.Close()
	}
}

// Pause makes the subscriber stop reading, after what it is reading now.
func (s *Subscriber) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused == nil {
		s.paused = make(chan struct{})
	}
}

// Resume ends Pause.
func (s *Subscriber) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused != nil {
		close(s.paused)
		s.paused = nil
	}
}
