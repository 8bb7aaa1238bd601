package fanout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"sse-gateway/internal/broker"
)

const (
	subscribeBatch = 1000 // topics in one SUBSCRIBE or one read
	auditBatch     = 64   // topics that one beat compares with the broker
	deafBeats      = 3    // a connection that was silent for so many beats is replaced
	pauseMin       = 50 * time.Millisecond
	pauseMax       = time.Second
)

// errDeaf: the connection looks open and delivers nothing, not even this replica's own marks.
var errDeaf = errors.New("the Pub/Sub connection is deaf: its marks did not come back")

// errStarting: there has been no connection that could have ended.
var errStarting = errors.New("it has just been started")

// run keeps one Pub/Sub connection open until ctx is done.
func (p *partition) run(ctx context.Context) {
	pause := pauseMin
	for ctx.Err() == nil {
		wasLive, err := p.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if wasLive {
			pause = pauseMin
		}
		p.mu.Lock()
		p.fault = err
		p.mu.Unlock()
		p.outage.failed(p.index, err)
		select {
		case <-time.After(pause/2 + p.opts.spread(pause)):
		case <-ctx.Done():
		}
		pause = min(2*pause, pauseMax)
	}
	p.mu.Lock()
	p.setStateLocked(away)
	p.mu.Unlock()
}

// session runs one connection to its end. It reports whether events were dispatched from it.
func (p *partition) session(ctx context.Context) (wasLive bool, err error) {
	feed, err := p.broker.Open(ctx, p.index)
	if err != nil {
		return false, fmt.Errorf("open the Pub/Sub connection: %w", err)
	}
	generation := p.begin()
	var receiveErr error
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		receiveErr = p.receiveAll(feed, generation)
	}()
	defer func() {
		p.end(generation)
		_ = feed.Close()
		<-failed
	}()

	beat := time.NewTicker(p.opts.Canary)
	defer beat.Stop()
	for {
		if err := p.work(ctx, feed); err != nil {
			return wasLive, err
		}
		if !wasLive && p.isLive() {
			wasLive = true
			p.outage.over(p.index)
		}
		select {
		case <-p.wake:
		case <-beat.C:
			if silence := time.Since(time.Unix(0, p.heard.Load())); silence > deafBeats*p.opts.Canary {
				return wasLive, errDeaf
			}
			if err := p.beat(ctx, feed); err != nil {
				return wasLive, err
			}
		case <-failed:
			return wasLive, receiveErr
		case <-ctx.Done():
			return wasLive, ctx.Err()
		}
	}
}

func (p *partition) isLive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == live
}

// health tells whether events are dispatched as they come; if not, why the last connection ended, or errStarting.
func (p *partition) health() (isLive bool, fault error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == live, cmp.Or(p.fault, errStarting)
}

// begin makes everything of older connections void: all topics are to be subscribed anew.
func (p *partition) begin() uint64 {
	p.heard.Store(time.Now().UnixNano())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
	p.frozen = p.watermark
	p.setStateLocked(away)
	p.catchSeq, p.backlog, p.held, p.overflow, p.told = 0, nil, 0, false, false
	p.wanted, p.opening, p.unacked = nil, nil, 0
	p.forgetUnusedLocked()
	for _, t := range p.topics {
		t.sent, t.acked = false, false
		p.wanted = append(p.wanted, t)
	}
	return p.generation
}

// end stops the dispatch with the connection.
func (p *partition) end(generation uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.generation == generation {
		p.generation++
		p.setStateLocked(away)
	}
}

// receiveAll hands on what the feed delivers until it fails.
func (p *partition) receiveAll(feed broker.Feed, generation uint64) error {
	var messages []broker.Message
	for {
		var err error
		if messages, err = feed.Receive(messages[:0]); err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		p.receive(generation, messages)
		for i := range messages {
			if messages[i].Kind == broker.MessageControl {
				p.control(messages[i].Payload)
			}
		}
		clear(messages)
	}
}

// work sends what is due, until nothing is.
func (p *partition) work(ctx context.Context, feed broker.Feed) error {
	for {
		did, err := p.workOnce(ctx, feed)
		if err != nil || !did {
			return err
		}
	}
}

func (p *partition) workOnce(ctx context.Context, feed broker.Feed) (did bool, err error) {
	if topics := p.takeWanted(); len(topics) > 0 {
		if err := feed.Subscribe(ctx, topics); err != nil {
			return false, fmt.Errorf("subscribe to %d topics: %w", len(topics), err)
		}
		return true, nil
	}
	if seq, floor, rebirth, due := p.dueMark(); due {
		if err := p.broker.Mark(ctx, p.index, seq, floor, rebirth); err != nil {
			return false, fmt.Errorf("send a mark: %w", err)
		}
		return true, nil
	}
	if p.mayCatchUp() {
		return true, p.catchUp(ctx)
	}
	return p.load(ctx)
}

// takeWanted takes the next topics to subscribe to.
func (p *partition) takeWanted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for len(p.wanted) > 0 && len(names) < subscribeBatch {
		t := p.wanted[0]
		p.wanted = p.wanted[1:]
		if p.topics[t.name] == t && !t.sent {
			t.sent = true
			if t.open {
				p.unacked++
			}
			names = append(names, t.name)
		}
	}
	if len(p.wanted) == 0 {
		p.wanted = nil
	}
	return names
}

// dueMark tells whether somebody waits for a mark that has not been sent, and counts it as sent.
func (p *partition) dueMark() (seq uint64, floor, rebirth broker.ID, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == away && p.catchSeq == 0 && p.unacked == 0 {
		p.catchSeq = p.marks + 1
	}
	due = p.catchSeq > p.marks || (p.lost && !p.told && p.state == live)
	for _, t := range p.opening {
		due = due || t.opens > p.marks
	}
	for _, w := range p.waiters {
		due = due || (w.seq > p.marks && p.state != away)
	}
	if !due {
		return 0, broker.ID{}, broker.ID{}, false
	}
	seq, floor, rebirth = p.nextMarkLocked()
	return seq, floor, rebirth, true
}

// nextMarkLocked makes the arguments of the next mark.
func (p *partition) nextMarkLocked() (seq uint64, floor, rebirth broker.ID) {
	p.marks++
	if p.lost {
		p.told, rebirth = true, p.born
	}
	return p.marks, p.seen, rebirth
}

func (p *partition) mayCatchUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == catching
}

// load reads the close markers, and the last ids, of topics that have just been opened; then subscriptions may join them.
func (p *partition) load(ctx context.Context) (did bool, err error) {
	p.mu.Lock()
	topics, born := p.loading[:min(len(p.loading), subscribeBatch)], p.born
	p.mu.Unlock()
	if len(topics) == 0 {
		return false, nil
	}
	tails, err := p.broker.Read(ctx, p.index, lastReads(topics))
	if err != nil {
		return false, fmt.Errorf("read the ends of %d topics: %w", len(topics), err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.born != born {
		return true, nil // what was read may be from before the loss
	}
	for i, t := range topics {
		p.loadedLocked(t, tails[i])
	}
	if p.loading = p.loading[len(topics):]; len(p.loading) == 0 {
		p.loading = nil
	}
	return true, nil
}

// loadedLocked makes a topic ready. What its last id proves spares later readers a read: nothing lies between it and from.
func (p *partition) loadedLocked(t *topic, tail broker.Tail) {
	if len(t.log) == 0 && t.closed.IsZero() {
		t.closed = tail.Closed
	}
	if len(t.log) == 0 && !t.exact {
		switch {
		case tail.Last.IsZero():
			t.from, t.trimmed = broker.Earlier(t.from, p.expiredLocked()), true
		case !t.from.Less(tail.Last):
			t.chain, t.exact, t.from = tail.Last, true, broker.Later(tail.Last, p.born)
		}
	}
	wasReady := t.ready
	t.ready = true
	for _, pt := range t.parts {
		if !wasReady {
			pt.readyLocked()
		}
		pt.finishLocked()
	}
}

func lastReads(topics []*topic) []broker.Read {
	reads := make([]broker.Read, len(topics))
	for i, t := range topics {
		reads[i].Topic = t.name
	}
	return reads
}

// beat proves the connection by a mark, lets go of unused topics, and audits some of the others.
func (p *partition) beat(ctx context.Context, feed broker.Feed) error {
	for lapsed := p.takeLapsed(); len(lapsed) > 0; lapsed = p.takeLapsed() {
		if err := feed.Unsubscribe(ctx, lapsed); err != nil {
			return fmt.Errorf("unsubscribe from %d topics: %w", len(lapsed), err)
		}
	}
	p.mu.Lock()
	seq, floor, rebirth := p.nextMarkLocked()
	p.mu.Unlock()
	if err := p.broker.Mark(ctx, p.index, seq, floor, rebirth); err != nil {
		return fmt.Errorf("send a mark: %w", err)
	}
	return p.audit(ctx)
}

// audited is a topic as it was before the broker was asked for its last id.
type audited struct {
	topic *topic
	chain broker.ID
	exact bool
}

// audit compares the last ids of some topics with what has been dispatched.
func (p *partition) audit(ctx context.Context) error {
	topics, watermark, born := p.auditees()
	if len(topics) == 0 {
		return nil
	}
	reads := make([]broker.Read, len(topics))
	for i := range topics {
		reads[i].Topic = topics[i].topic.name
	}
	tails, err := p.broker.Read(ctx, p.index, reads)
	if err != nil {
		return fmt.Errorf("audit %d topics: %w", len(topics), err)
	}
	p.mu.Lock()
	defer p.unlock()
	for i := range topics {
		if p.state == live && p.born == born && p.topics[topics[i].topic.name] == topics[i].topic {
			p.auditLocked(&topics[i], tails[i].Last, watermark)
		}
	}
	return nil
}

// auditees picks the topics of this audit. A map's order is random enough for all to get their turn.
func (p *partition) auditees() (topics []audited, watermark, born broker.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.topics {
		if len(topics) == auditBatch || p.state != live {
			break
		}
		if t.ready {
			topics = append(topics, audited{topic: t, chain: t.chain, exact: t.exact})
		}
	}
	return topics, p.watermark, p.born
}

func (p *partition) auditLocked(was *audited, last, watermark broker.ID) {
	t, k := was.topic, p.keep.LastID
	young := watermark.Minus(k / 2).Less(was.chain)
	switch {
	case t.chain.Less(last) && !p.watermark.Less(last):
		p.breakLocked("an audit found an event that was never delivered", t.name, last, false)
	case was.exact && last.Less(was.chain) && (young || !last.IsZero()):
		p.breakLocked("an audit found that Redis has lost an event", t.name, was.chain, true)
	case t.chain == was.chain && !t.chain.Less(last) && t.chain.Less(watermark.Minus(k/4)):
		// Nothing since: the chain goes on from here, before the broker forgets the last id.
		t.chain, t.exact = watermark, false
	}
}
