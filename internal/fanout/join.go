package fanout

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sse-gateway/internal/address"
	"sse-gateway/internal/broker"
)

// rewindHold is how long a join waits for a client's id that the broker does not know.
const rewindHold = 2 * time.Second

// Join makes a subscription, and returns when the broker has acknowledged every topic: from then on nothing is missed.
// The caller then sends ready and calls Deliver, or finds it Closed; it calls Leave in the end.
func (h *Hub) Join(ctx context.Context, req JoinRequest) (*Subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, h.opts.Timeout+rewindHold)
	defer cancel()
	s := h.subscribe(req)
	for _, sh := range s.shares {
		if err := sh.p.join(ctx, sh); err != nil {
			s.Leave()
			return nil, fmt.Errorf("join %d topics: %w", len(req.Topics), err)
		}
	}
	if err := s.locate(ctx); err != nil {
		s.Leave()
		return nil, err
	}
	return s, nil
}

// subscribe adds a new subscription to its topics.
func (h *Hub) subscribe(req JoinRequest) *Subscription {
	s := &Subscription{hub: h, owner: strings.Clone(req.Owner), raw: req.Raw, eventsOnly: req.EventsOnly, start: req.Start, delivery: &delivery{client: req.Client}}
	h.owners.add(s)
	byPartition := make(map[*partition][]string, 1)
	for _, name := range req.Topics {
		p := h.partition(name)
		byPartition[p] = append(byPartition[p], strings.Clone(name))
	}
	if req.User != "" {
		inbox := address.OfUser(req.User).String()
		p := h.partition(inbox)
		byPartition[p] = append(byPartition[p], inbox)
	}
	for _, p := range h.partitions {
		if names := byPartition[p]; names != nil {
			sh := &share{sub: s, p: p}
			if address.KindOf(names[0]).Public() {
				s.unfinished.Add(1) // the inbox comes last
			}
			s.shares = append(s.shares, sh)
		}
	}
	s.claim()
	for _, sh := range s.shares {
		sh.p.add(sh, byPartition[sh.p])
	}
	return s
}

// add puts a share into its topics; those that are new here are to be subscribed.
func (p *partition) add(sh *share, names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sh.topics = make([]membership, len(names))
	for i, name := range names {
		t := p.topics[name]
		if t == nil {
			t = &topic{name: name}
			p.topics[name] = t
			p.wanted = append(p.wanted, t)
		}
		sh.topics[i].topic = t
		t.add(sh, i)
		if !t.ready {
			sh.waiting++
		}
	}
	if sh.waiting > 0 {
		sh.joined = make(chan struct{})
		p.poke()
	}
}

// readyLocked notes that one more of the share's topics is ready.
func (sh *share) readyLocked() {
	if sh.waiting--; sh.waiting == 0 {
		close(sh.joined)
		sh.joined = nil
	}
}

// join blocks until all topics of the share are ready and the partition is live.
func (p *partition) join(ctx context.Context, sh *share) error {
	p.mu.Lock()
	joined := sh.joined
	p.mu.Unlock()
	if joined != nil {
		select {
		case <-joined:
		case <-ctx.Done():
			return broker.ErrUnavailable
		}
	}
	return p.waitLive(ctx)
}

// claim gives the shares what the client says of its position, before they are in the hub: so a birth that comes while they
// join finds it there.
func (s *Subscription) claim() {
	if s.start.kind != startCursor {
		s.rest = make(cursor, len(s.hub.partitions))
		return
	}
	c, err := parseCursor(s.start.cursor, len(s.hub.partitions))
	s.start.cursor = "" // a part of the request's header, which would stay with it
	for _, sh := range s.shares {
		switch {
		case err != nil:
			sh.startUnknown = true
		case c[sh.p.index].IsZero():
			sh.pos = c.oldest() // the stream was nowhere later
		default:
			sh.pos = c[sh.p.index]
		}
	}
	s.rest = c
}

// locate finds the position at which every share starts.
func (s *Subscription) locate(ctx context.Context) error {
	for _, sh := range s.shares {
		if !sh.place() {
			if err := sh.resume(ctx); err != nil {
				return err
			}
		}
	}
	if len(s.hub.partitions) == 1 {
		s.rest = nil
	}
	if s.StartID() != "" {
		s.noteToldLocked() // nothing is pushed yet
	}
	return nil
}

// place starts the share at a position that is known at once. It reports false for a client's id that is above all that the
// broker has given out. A partition that the client's cursor lacks starts at the smallest ms that it has (rule 20): a cursor of
// 500-3 and 800-1 starts a third partition at 500-0, or at the watermark if that is lower.
func (sh *share) place() bool {
	p, start := sh.p, &sh.sub.start
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case sh.startUnknown:
	case start.kind == startCursor && !sh.pos.IsBeginning():
		if sh.sub.rest[p.index].IsZero() {
			sh.pos = broker.Earlier(sh.pos, p.evidence.watermark)
		}
		if p.evidence.watermark.Less(sh.pos) {
			return false
		}
	case start.kind == startTime:
		// No later than the clock: the client may come back with it.
		sh.pos = broker.Later(broker.Earlier(start.at, p.evidence.watermark), beginning())
	case start.kind == startNow:
		sh.pos = p.evidence.watermark
	default:
		sh.pos = beginning()
	}
	return true
}

// resume starts the share at a client's id. One above all that the broker has given out is waited for: the client may come
// from a replica that was ahead, or this one may be connected to a stale primary. If the broker does not know it, on this
// connection or the next, it has lost it; that its clock passes it later proves nothing (rule 15).
//
// The client has 50. A mark comes back with Head 40: the broker's clock has not been at 50. If the next mark of the same connection
// says 60, the clock has only gone on, and gave 50 to another event or to none: the client's 50 is lost. If it is the first mark of
// a new connection that says 60, the old one was to a stale primary, and 50 may be right.
func (sh *share) resume(ctx context.Context) error {
	id := sh.pos // only this goroutine writes it
	deadline := time.NewTimer(rewindHold)
	defer deadline.Stop()
	short := uint64(0) // the connection on which the broker's clock was below id
	for {
		head, generation, err := sh.p.waitMark(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("resume after %s: %w", id, err)
		case head.Less(id):
			short = generation
		case generation == short:
			sh.lose()
			return nil
		default:
			return nil // the client is right
		}
		select {
		case <-deadline.C:
			sh.lose()
			return nil
		case <-ctx.Done():
			return fmt.Errorf("resume after %s: %w", id, broker.ErrUnavailable)
		case <-time.After(rewindHold / 8):
		}
	}
}

// lose gives the client's position up.
func (sh *share) lose() {
	sh.p.mu.Lock()
	defer sh.p.mu.Unlock()
	sh.pos, sh.startUnknown = broker.ID{}, true
}
