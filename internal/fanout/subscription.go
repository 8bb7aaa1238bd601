package fanout

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// rewindHold is how long a join waits for a client's id that the broker does not know.
const rewindHold = 2 * time.Second

// A Subscription is one stream's share in the hub: its topics, and the position up to which it has been given everything.
// It begins held; Deliver brings it from its start to the present and leaves it live.
type Subscription struct {
	hub    *Hub
	owner  string
	raw    bool
	start  Start
	shares []*share // by partition, those that the stream uses
	rest   cursor   // of several partitions: ids of those that the stream does not use now
	// unfinished counts the shares with public topics that are not finished.
	unfinished atomic.Int32

	sibling sibling // guarded by owners.mu

	// owesPosition: a replay or a gap has moved a position on, and the client is to be told. Guarded as pos is.
	owesPosition bool

	mu       sync.Mutex // guards all below, and with several partitions the order of pushes
	sink     Sink
	delivery *delivery // nil once the stream is live
	cut      bool
}

// A share is what a subscription has in one partition: its topics there, and its position. Guarded by partition.mu, but for pos in a stream of several
// partitions, which is written under Subscription.mu too. Until the share is live only the goroutine that joins and delivers
// writes pos, clientPos and startUnknown, so it may read them without the lock.
type share struct {
	sub       *Subscription
	p         *partition
	topics    []membership
	pos       broker.ID     // everything up to it has been pushed
	clientPos broker.ID     // as of the last position that the client was told; zero: it has none to go on from
	joined    chan struct{} // closed when waiting gets to 0; nil: nobody waits
	// waiting counts the topics that are not ready.
	waiting      int32
	live         bool // dispatched events are pushed as they come
	startUnknown bool // the start could not be read or is unknown to the broker: everything before pos may be missing
	left         bool
	// owesBirth: the broker was born again below pos, which is of before the loss. The stream is to be told.
	owesBirth bool
	// finished: every public topic of the share is closed, and the stream has all their events.
	finished bool
}

// membership is a topic of a share, and the share's place in the topic.
type membership struct {
	topic *topic
	slot  int
}

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
	s := &Subscription{hub: h, owner: strings.Clone(req.Owner), raw: req.Raw, start: req.Start, delivery: &delivery{client: req.Client}}
	h.owners.add(s)
	byPartition := make(map[*partition][]string, 1)
	for _, name := range req.Topics {
		p := h.partition(name)
		byPartition[p] = append(byPartition[p], strings.Clone(name))
	}
	if req.User != "" {
		p := h.partition(Inbox(req.User))
		byPartition[p] = append(byPartition[p], Inbox(req.User))
	}
	for _, p := range h.partitions {
		if names := byPartition[p]; names != nil {
			sh := &share{sub: s, p: p}
			if !strings.HasPrefix(names[0], "@") {
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
// broker has given out.
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
// connection or the next, it has lost it; that its clock passes it later proves nothing.
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

// StartID is the id of the stream's ready event: where a client goes on that drops before its first event. It is empty
// where the client must come back as it came.
func (s *Subscription) StartID() string {
	if s.start.kind == startLast {
		return "" // a client that has not seen the latest events is to ask for them again
	}
	for _, sh := range s.shares {
		if sh.startUnknown {
			return ""
		}
		if s.start.kind == startTime && sh.pos.Less(sh.p.birth()) {
			return ""
		}
	}
	return s.positionLocked()
}

// Closed tells whether every topic is closed and the stream has all their events: there is nothing to wait for. An inbox
// never closes, and does not count.
func (s *Subscription) Closed() bool {
	topics := 0
	for _, sh := range s.shares {
		open, all := sh.openTopics()
		if open > 0 || sh.startUnknown {
			return false
		}
		topics += all
	}
	return topics > 0
}

func (sh *share) openTopics() (open, all int) {
	sh.p.mu.Lock()
	defer sh.p.mu.Unlock()
	return sh.openTopicsLocked(time.Now())
}

func (sh *share) openTopicsLocked(now time.Time) (open, all int) {
	for _, m := range sh.topics {
		if strings.HasPrefix(m.topic.name, "@") {
			continue
		}
		all++
		if !m.topic.closedAt(sh.pos, now, &sh.p.keep) {
			open++
		}
	}
	return open, all
}

// Leave takes the subscription out of the hub; nothing is pushed any more. It may be called more than once.
func (s *Subscription) Leave() {
	s.hub.owners.remove(s)
	s.stopDelivery()
	for _, sh := range s.shares {
		sh.p.leave(sh)
	}
}

func (p *partition) leave(sh *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sh.left {
		return
	}
	sh.left, sh.live = true, false
	now := time.Now()
	for _, m := range sh.topics {
		if m.topic.remove(m.slot); len(m.topic.shares) == 0 {
			p.lapseLocked(m.topic, now)
		}
	}
	sh.topics = nil
}

// positionLocked is the stream's cursor. With several partitions mu is held.
func (s *Subscription) positionLocked() string {
	if len(s.hub.partitions) == 1 {
		return s.shares[0].pos.String()
	}
	position := make(cursor, len(s.hub.partitions))
	copy(position, s.rest)
	for _, sh := range s.shares {
		position[sh.p.index] = sh.pos
	}
	return position.String()
}

// noteToldLocked notes that the client is told the stream's position, which it returns.
func (s *Subscription) noteToldLocked() string {
	for _, sh := range s.shares {
		sh.clientPos = sh.pos
	}
	s.owesPosition = false
	return s.positionLocked()
}

// order makes the pushes of a stream's partitions one sequence. With one partition its dispatch lock does that already.
func (s *Subscription) order() func() {
	if len(s.hub.partitions) == 1 {
		return func() {}
	}
	s.mu.Lock()
	return s.mu.Unlock
}

// pushEventLocked gives the stream an event, unless it has it.
func (sh *share) pushEventLocked(e broker.Entry) {
	if !sh.pos.Less(e.ID) {
		return
	}
	frame := e.Frame
	if sh.sub.raw {
		frame = frame.Raw()
	}
	if !sh.pushAtLocked(e.ID, frame) {
		sh.live = false
	} else if e.Close {
		sh.finishLocked()
	}
}

// pushAtLocked pushes a frame that moves the share's position to id.
func (sh *share) pushAtLocked(id broker.ID, frame *sse.Frame) bool {
	defer sh.sub.order()()
	sh.pos, sh.clientPos, sh.sub.owesPosition = id, id, false
	if len(sh.sub.hub.partitions) > 1 {
		frame = frame.WithID(sh.sub.noteToldLocked())
	}
	return sh.sub.sink.Push(frame)
}

// finishLocked ends the stream when this was the last of its partitions with an open topic. The client is told its position
// first: it comes back with it, and is answered that there is nothing more.
func (sh *share) finishLocked() {
	if !sh.live || sh.finished {
		return
	}
	if open, all := sh.openTopicsLocked(time.Now()); all == 0 || open > 0 {
		return
	}
	sh.finished = true
	sh.sayPositionLocked()
	if sh.sub.unfinished.Add(-1) == 0 {
		sh.sub.sink.End("closed")
	}
}

// sayPositionLocked tells the client the stream's position if it has not been told.
func (sh *share) sayPositionLocked() {
	defer sh.sub.order()()
	if sh.sub.owesPosition {
		sh.sub.sink.Push(positionFrame(sh.sub.noteToldLocked()))
	}
}
