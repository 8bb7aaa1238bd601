package client

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"sse-gateway/bench/internal/wire"
)

// A Publisher is one keep-alive connection that publishes. Publishes may be under way together: they are pipelined as
// requests, or, when it is streaming, as the lines of one request.
type Publisher struct {
	// Answered is told, within Run, when the server has accepted a publish. It may be nil.
	Answered func(p *Publisher, topic, seq int)

	conn     conn
	client   *Client
	target   wire.Target
	stream   bool
	replies  wire.Replies
	underWay []publish
	body     []byte
}

type publish struct {
	topic, seq int
	sent       int64
}

// Publisher connects a publisher to a target. Streaming sends all its events in one NDJSON request.
func (c *Client) Publisher(target wire.Target, streaming bool) (*Publisher, error) {
	p := &Publisher{client: c, target: target, stream: streaming, replies: wire.Replies{Lines: streaming}}
	p.conn = conn{loop: c.loop, received: p.received, failed: func(err error) {
		c.stop(fmt.Errorf("publish: %w", err))
	}}
	if streaming {
		p.conn.out = target.AppendStreamHead(nil)
	}
	if err := p.conn.dial(target.Addr, c.dialed); err != nil {
		return nil, err
	}
	c.dialed++
	c.publishers = append(c.publishers, p)
	return p, nil
}

// UnderWay returns how many publishes have not been answered.
func (p *Publisher) UnderWay() int { return len(p.underWay) }

// Publish queues an event that carries a time as that of its sending, and returns its sequence number in the topic.
// Flush sends what is queued.
func (p *Publisher) Publish(topic int, sent int64) (seq int) {
	c := p.client
	seq = c.Book.Sent(topic)
	c.Published++
	p.underWay = append(p.underWay, publish{topic, seq, sent})
	c.scratch = wire.Mark{Topic: topic, Seq: seq, Sent: sent}.Append(c.scratch[:0], c.Size)
	if !p.stream {
		p.conn.out = p.target.AppendPublish(p.conn.out, topic, c.scratch)
		return seq
	}
	p.body = append(p.target.AppendBody(p.body, topic, c.scratch), '\n')
	return seq
}

// Flush sends what is queued, or as much as the connection takes now; the rest follows by itself.
func (p *Publisher) Flush() {
	if len(p.body) > 0 {
		p.conn.out = append(strconv.AppendInt(p.conn.out, int64(len(p.body)), 16), "\r\n"...)
		p.conn.out = append(append(p.conn.out, p.body...), "\r\n"...)
		p.body = p.body[:0]
	}
	p.conn.flush()
}

func (p *Publisher) received(b []byte) error {
	p.replies.Feed(b)
	now := p.client.loop.now()
	for {
		var ok bool
		more, err := p.replies.Next(&ok)
		if err != nil || !more {
			return err
		}
		if len(p.underWay) == 0 {
			return errors.New("more replies than publishes")
		}
		done := p.underWay[0]
		p.underWay = p.underWay[1:]
		p.client.Acks.Record(time.Duration(now - done.sent))
		if ok {
			p.client.Book.Acked(done.topic, done.seq)
		} else {
			p.client.Book.Refused(done.topic, done.seq)
		}
		if p.Answered != nil {
			p.Answered(p, done.topic, done.seq)
		}
	}
}
