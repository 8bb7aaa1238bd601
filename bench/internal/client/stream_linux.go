package client

import (
	"errors"
	"fmt"
	"time"

	"sse-gateway/bench/internal/check"
	"sse-gateway/bench/internal/wire"
)

var errResponseEnded = errors.New("the server has ended the response")

// A Stream is one open subscription.
type Stream struct {
	conn   conn
	client *Client
	book   *check.Stream
	events wire.Events
	began  bool
}

// opening is a run of Open: streams that are opened, a bounded number of them at once.
type opening struct {
	topics func(i int) (first, count int)
	total  int
	next   int
	began  int
	err    error
}

// Open opens n streams, concurrency at a time; stream i takes the topics that topics(i) says. It returns how long it
// took until each had answered 200 with the first bytes of its body.
func (c *Client) Open(n, concurrency int, topics func(i int) (first, count int), limit time.Duration) (time.Duration, error) {
	o := &opening{topics: topics, total: n}
	c.opening = o
	defer func() { c.opening = nil }()
	start := time.Now()
	for range min(concurrency, n) {
		c.openNext()
	}
	err := c.Run(limit, func() bool { return o.began == o.total || o.err != nil })
	if o.err != nil {
		err = o.err
	}
	if err != nil {
		return 0, fmt.Errorf("open %d streams (%d are open): %w", n, o.began, err)
	}
	return time.Since(start), nil
}

func (c *Client) openNext() {
	o := c.opening
	if o == nil || o.next == o.total || o.err != nil {
		return
	}
	first, count := o.topics(o.next)
	o.next++
	s := &Stream{client: c, book: c.Book.Open(first, count)}
	s.conn = conn{
		loop:     c.loop,
		out:      c.subscribe.SubscribeRequest(first, count),
		received: s.received,
		failed:   s.failed,
	}
	if err := s.conn.dial(c.subscribe.Addr, c.dialed); err != nil {
		o.err = err
		return
	}
	c.dialed++
	c.streams = append(c.streams, s)
}

func (s *Stream) failed(err error) {
	if s.began {
		s.client.Book.Ended(s.book, err.Error())
	} else if s.client.opening != nil {
		s.client.opening.err = err
	}
}

// received takes what the server has sent, all of which is dated with the time at which it was read.
func (s *Stream) received(b []byte) error {
	c := s.client
	if err := s.events.Feed(b); err != nil {
		return err
	}
	now := c.loop.now()
	for s.events.Next(&c.event) {
		s.deliver(now)
	}
	if !s.began && s.events.HeadDone() {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if s.events.Ended() {
		return errResponseEnded
	}
	return nil
}

// begin counts the stream as open once its answer is a 200 and something of the body is there.
func (s *Stream) begin() error {
	if status := s.events.Head.Status; status != 200 {
		return fmt.Errorf("subscription answered with status %d", status)
	}
	if s.events.Began() {
		s.began = true
		s.conn.out = nil
		if o := s.client.opening; o != nil {
			o.began++
			s.client.openNext()
		}
	}
	return nil
}

func (s *Stream) deliver(now int64) {
	c := s.client
	mark, ok := wire.FindMark(c.event.Data)
	if !ok {
		if c.event.Type == "gap" || c.event.Type == "close" {
			c.Book.Ended(s.book, fmt.Sprintf("event %q: %s", c.event.Type, c.event.Data))
		}
		return
	}
	c.Delivered++
	c.Latency.Record(time.Duration(now - mark.Sent))
	if c.Book.Delivered(s.book, mark.Topic, mark.Seq) && c.ReachedAll != nil {
		c.ReachedAll(mark.Topic, mark.Seq)
	}
}
