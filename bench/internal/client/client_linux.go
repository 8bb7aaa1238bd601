package client

import (
	"errors"
	"fmt"
	"time"

	"sse-gateway/bench/internal/check"
	"sse-gateway/bench/internal/stats"
	"sse-gateway/bench/internal/wire"
)

// ErrTimeout is wrapped when what was waited for has not come in time.
var ErrTimeout = errors.New("timed out")

// ErrInterrupted is returned when Interrupt was closed.
var ErrInterrupted = errors.New("interrupted")

// A Client drives one server. It is owned by one goroutine, and its callbacks run in that goroutine, within Run.
type Client struct {
	Book    *check.Book
	Latency stats.Histogram // from the time at which an event was to be sent until each of its deliveries
	Acks    stats.Histogram // the same until the reply to its publish
	// Delivered and Published count since the client was made.
	Delivered, Published int
	// Size is how many bytes of data each event carries.
	Size int
	// Interrupt ends Run when it is closed. It may be nil.
	Interrupt <-chan struct{}
	// ReachedAll is told when an event has reached every stream of its topic. It may be nil.
	ReachedAll func(topic, seq int)

	loop       *loop
	subscribe  wire.Target
	streams    []*Stream
	publishers []*Publisher
	dialed     int
	opening    *opening
	scratch    []byte
	event      wire.Event
	err        error // what ends Run
}

// New returns a client whose streams subscribe at a target.
func New(subscribe wire.Target, book *check.Book, size int) (*Client, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	return &Client{Book: book, Size: size, loop: l, subscribe: subscribe}, nil
}

// Close closes every connection.
func (c *Client) Close() error {
	for _, s := range c.streams {
		s.conn.close()
	}
	for _, p := range c.publishers {
		p.conn.close()
	}
	return c.loop.close()
}

// Now returns the time that an event sent now carries.
func (c *Client) Now() int64 { return c.loop.now() }

// Reads returns how often the client has read from a socket.
func (c *Client) Reads() int { return c.loop.reads }

// Every calls tick, within Run, at a fixed rate and with the time at which it was due; a nil tick stops that.
func (c *Client) Every(interval time.Duration, tick func(scheduled int64)) error {
	return c.loop.every(interval, tick)
}

// Run serves the connections until done reports true, and fails when that takes longer than limit.
func (c *Client) Run(limit time.Duration, done func() bool) error {
	deadline := time.Now().Add(limit)
	for !done() {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("serve connections for %v: %w", limit, ErrTimeout)
		}
		if err := c.loop.poll(min(left, 100*time.Millisecond)); err != nil {
			return err
		}
		if c.err != nil {
			return c.err
		}
		select {
		case <-c.Interrupt:
			return ErrInterrupted
		default:
		}
	}
	return nil
}

// RunFor serves the connections for a time.
func (c *Client) RunFor(d time.Duration) error {
	err := c.Run(d, func() bool { return false })
	if errors.Is(err, ErrTimeout) {
		return nil
	}
	return err
}

// Drain serves the connections until every delivery asked for has come and every publish is answered, and a little
// longer, so that what comes twice is seen. A delivery that stays out is a fault in the book, and no error.
func (c *Client) Drain(limit time.Duration) error {
	err := c.Run(limit, func() bool { return c.Book.Outstanding() <= 0 && c.unanswered() == 0 })
	if err != nil && !errors.Is(err, ErrTimeout) {
		return err
	}
	return c.RunFor(100 * time.Millisecond)
}

func (c *Client) unanswered() (n int) {
	for _, p := range c.publishers {
		n += len(p.underWay)
	}
	return n
}

func (c *Client) stop(err error) {
	if c.err == nil {
		c.err = err
	}
}
