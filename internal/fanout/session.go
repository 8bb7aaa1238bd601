package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sse-gateway/internal/broker"
)

const (
	deafCanaries = 3 // a connection that was silent for so many canaries is replaced
	pauseMin     = 50 * time.Millisecond
	pauseMax     = time.Second
)

// errDeaf: the connection looks open and delivers nothing, not even this replica's own marks.
var errDeaf = errors.New("the Pub/Sub connection is deaf: its marks did not come back")

// A connector keeps one Pub/Sub connection of a partition open: one session after the other.
type connector struct {
	state   *partition
	broker  broker.Broker
	outage  *outage
	control func(payload []byte) // takes control messages; must not block for long
}

// run goes on until ctx is done.
func (c *connector) run(ctx context.Context) {
	pause := pauseMin
	for ctx.Err() == nil {
		wasLive, err := c.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if wasLive {
			pause = pauseMin
		}
		c.state.failed(err)
		c.outage.failed(c.state.index, err)
		select {
		case <-time.After(pause/2 + c.state.opts.spread(pause)):
		case <-ctx.Done():
		}
		pause = min(2*pause, pauseMax)
	}
}

// connect runs one session to its end. It reports whether events were dispatched from it.
func (c *connector) connect(ctx context.Context) (wasLive bool, err error) {
	feed, err := c.broker.Open(ctx, c.state.index)
	if err != nil {
		return false, fmt.Errorf("open the Pub/Sub connection: %w", err)
	}
	s := &session{connector: c, feed: feed, generation: c.state.connected(), broken: make(chan struct{})}
	s.hear()
	go func() {
		defer close(s.broken)
		s.fault = s.receive()
	}()
	wasLive, err = s.run(ctx)
	c.state.disconnected(s.generation)
	_ = feed.Close()
	<-s.broken
	return wasLive, err
}

// A session is one Pub/Sub connection. It does the I/O of a partition, and holds no lock: it asks the state for commands,
// executes one at a time, and hands back what was answered. A second goroutine hands on what is received.
type session struct {
	*connector
	feed       broker.Feed
	generation uint64
	heard      atomic.Int64  // when the connection last delivered anything, Unix ns
	broken     chan struct{} // closed when nothing is received any more
	fault      error         // why; set before broken is closed
}

// run executes commands until the connection or ctx ends. It reports whether events were dispatched.
func (s *session) run(ctx context.Context) (wasLive bool, err error) {
	canary := time.NewTicker(s.state.opts.Canary)
	defer canary.Stop()
	for {
		if err := s.work(ctx); err != nil {
			return wasLive, err
		}
		if !wasLive {
			if wasLive, _ = s.state.health(); wasLive {
				s.outage.over(s.state.index)
			}
		}
		select {
		case <-s.state.wake:
		case <-canary.C:
			if silence := time.Since(time.Unix(0, s.heard.Load())); silence > deafCanaries*s.state.opts.Canary {
				return wasLive, errDeaf
			}
			s.state.startCanary()
		case <-s.broken:
			return wasLive, s.fault
		case <-ctx.Done():
			return wasLive, ctx.Err()
		}
	}
}

// hear notes that the connection is not deaf.
func (s *session) hear() { s.heard.Store(time.Now().UnixNano()) }

// receive hands on what the feed delivers until it fails.
func (s *session) receive() error {
	var messages []broker.Message
	for {
		var err error
		if messages, err = s.feed.Receive(messages[:0]); err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		s.hear()
		s.state.receive(s.generation, messages)
		for i := range messages {
			if messages[i].Kind == broker.MessageControl {
				s.control(messages[i].Payload)
			}
		}
		clear(messages)
	}
}

// work executes commands until there is none.
func (s *session) work(ctx context.Context) error {
	for {
		c := s.state.next()
		if c.kind == nothing {
			return nil
		}
		if err := s.execute(ctx, &c); err != nil {
			return err
		}
	}
}

func (s *session) execute(ctx context.Context, c *command) error {
	switch c.kind {
	case subscribe:
		if err := s.feed.Subscribe(ctx, c.names); err != nil {
			return fmt.Errorf("subscribe to %d topics: %w", len(c.names), err)
		}
	case unsubscribe:
		if err := s.feed.Unsubscribe(ctx, c.names); err != nil {
			return fmt.Errorf("unsubscribe from %d topics: %w", len(c.names), err)
		}
	case sendMark:
		if err := s.broker.Mark(ctx, s.state.index, c.mark.Seq, c.floor, c.rebirth); err != nil {
			return fmt.Errorf("send a mark: %w", err)
		}
	case catchUp:
		return s.catchUp(ctx, c)
	case load:
		tails, err := s.broker.Read(ctx, s.state.index, lastReads(c.topics))
		if err != nil {
			return fmt.Errorf("read the ends of %d topics: %w", len(c.topics), err)
		}
		s.state.loaded(c.topics, c.born, tails)
	case sendAudit:
		tails, err := s.broker.Read(ctx, s.state.index, c.audit.reads())
		if err != nil {
			return fmt.Errorf("audit %d topics: %w", len(c.audit.topics), err)
		}
		s.state.audited(&c.audit, tails)
	}
	return nil
}
