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
	hub   *Hub
	owner string
	raw   bool
	start Start
	parts []*part // by partition, those that the stream uses
	rest  cursor  // of several partitions: ids of those that the stream does not use now
	// unfinished counts the parts with public topics that are not finished.
	unfinished atomic.Int32

	sibling sibling // guarded by owners.mu

	// unsaid: a replay or a gap has moved a position on, and the client is to be told. Guarded as pos is.
	unsaid bool

	mu       sync.Mutex // guards all below, and with several partitions the order of pushes
	sink     Sink
	delivery *delivery // nil once the stream is live
	cut      bool
}

// A part is a subscription's share in one partition. Guarded by partition.mu, but for pos in a stream of several
// partitions, which is written under Subscription.mu too. Until the part is live only the goroutine that joins and delivers
// writes pos, told and lost, so it may read them without the lock.
type part struct {
	sub    *Subscription
	p      *partition
	topics []membership
	pos    broker.ID     // everything up to it has been pushed
	told   broker.ID     // as of the last position that the client was told; zero: it has none to go on from
	joined chan struct{} // closed when waiting gets to 0; nil: nobody waits
	// waiting counts the topics that are not ready.
	waiting int32
	live    bool // dispatched events are pushed as they come
	lost    bool // the start could not be read or is unknown to the broker: everything before pos may be missing
	left    bool
	// crossed: the broker was born again below pos, which is of before the loss. The stream is to be told.
	crossed bool
	// finished: every public topic of the part is closed, and the stream has all their events.
	finished bool
}

// membership is a topic of a part, and the part's place in the topic.
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
	for _, pt := range s.parts {
		if err := pt.p.join(ctx, pt); err != nil {
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
			pt := &part{sub: s, p: p}
			if !strings.HasPrefix(names[0], "@") {
				s.unfinished.Add(1) // the inbox comes last
			}
			s.parts = append(s.parts, pt)
		}
	}
	s.claim()
	for _, pt := range s.parts {
		pt.p.add(pt, byPartition[pt.p])
	}
	return s
}

// add puts a part into its topics; those that are new here are to be subscribed.
func (p *partition) add(pt *part, names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pt.topics = make([]membership, len(names))
	for i, name := range names {
		t := p.topics[name]
		if t == nil {
			t = &topic{name: name}
			p.topics[name] = t
			p.wanted = append(p.wanted, t)
		}
		pt.topics[i].topic = t
		t.add(pt, i)
		if !t.ready {
			pt.waiting++
		}
	}
	if pt.waiting > 0 {
		pt.joined = make(chan struct{})
		p.poke()
	}
}

// readyLocked notes that one more of the part's topics is ready.
func (pt *part) readyLocked() {
	if pt.waiting--; pt.waiting == 0 {
		close(pt.joined)
		pt.joined = nil
	}
}

// join blocks until all topics of the part are ready and the partition is live.
func (p *partition) join(ctx context.Context, pt *part) error {
	p.mu.Lock()
	joined := pt.joined
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

// claim gives the parts what the client says of its position, before they are in the hub: so a birth that comes while they
// join finds it there.
func (s *Subscription) claim() {
	if s.start.kind != startCursor {
		s.rest = make(cursor, len(s.hub.partitions))
		return
	}
	c, err := parseCursor(s.start.cursor, len(s.hub.partitions))
	s.start.cursor = "" // a part of the request's header, which would stay with it
	for _, pt := range s.parts {
		switch {
		case err != nil:
			pt.lost = true
		case c[pt.p.index].IsZero():
			pt.pos = c.oldest() // the stream was nowhere later
		default:
			pt.pos = c[pt.p.index]
		}
	}
	s.rest = c
}

// locate finds the position at which every part starts.
func (s *Subscription) locate(ctx context.Context) error {
	for _, pt := range s.parts {
		if !pt.place() {
			if err := pt.resume(ctx); err != nil {
				return err
			}
		}
	}
	if len(s.hub.partitions) == 1 {
		s.rest = nil
	}
	if s.StartID() != "" {
		s.toldLocked() // nothing is pushed yet
	}
	return nil
}

// place starts the part at a position that is known at once. It reports false for a client's id that is above all that the
// broker has given out.
func (pt *part) place() bool {
	p, start := pt.p, &pt.sub.start
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case pt.lost:
	case start.kind == startCursor && !pt.pos.IsBeginning():
		if pt.sub.rest[p.index].IsZero() {
			pt.pos = broker.Earlier(pt.pos, p.watermark)
		}
		if p.watermark.Less(pt.pos) {
			return false
		}
	case start.kind == startTime:
		// No later than the clock: the client may come back with it.
		pt.pos = broker.Later(broker.Earlier(start.at, p.watermark), beginning())
	case start.kind == startNow:
		pt.pos = p.watermark
	default:
		pt.pos = beginning()
	}
	return true
}

// resume starts the part at a client's id. One above all that the broker has given out is waited for: the client may come
// from a replica that was ahead, or this one may be connected to a stale primary. If the broker does not know it, on this
// connection or the next, it has lost it; that its clock passes it later proves nothing.
func (pt *part) resume(ctx context.Context) error {
	id := pt.pos // only this goroutine writes it
	deadline := time.NewTimer(rewindHold)
	defer deadline.Stop()
	short := uint64(0) // the connection on which the broker's clock was below id
	for {
		head, generation, err := pt.p.waitMark(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("resume after %s: %w", id, err)
		case head.Less(id):
			short = generation
		case generation == short:
			pt.lose()
			return nil
		default:
			return nil // the client is right
		}
		select {
		case <-deadline.C:
			pt.lose()
			return nil
		case <-ctx.Done():
			return fmt.Errorf("resume after %s: %w", id, broker.ErrUnavailable)
		case <-time.After(rewindHold / 8):
		}
	}
}

// lose gives the client's position up.
func (pt *part) lose() {
	pt.p.mu.Lock()
	defer pt.p.mu.Unlock()
	pt.pos, pt.lost = broker.ID{}, true
}

// StartID is the id of the stream's ready event: where a client goes on that drops before its first event. It is empty
// where the client must come back as it came.
func (s *Subscription) StartID() string {
	if s.start.kind == startLast {
		return "" // a client that has not seen the latest events is to ask for them again
	}
	for _, pt := range s.parts {
		if pt.lost {
			return ""
		}
		if s.start.kind == startTime && pt.pos.Less(pt.p.birth()) {
			return ""
		}
	}
	return s.positionLocked()
}

// Closed tells whether every topic is closed and the stream has all their events: there is nothing to wait for. An inbox
// never closes, and does not count.
func (s *Subscription) Closed() bool {
	topics := 0
	for _, pt := range s.parts {
		open, all := pt.openTopics()
		if open > 0 || pt.lost {
			return false
		}
		topics += all
	}
	return topics > 0
}

func (p *partition) birth() broker.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.born
}

func (pt *part) openTopics() (open, all int) {
	pt.p.mu.Lock()
	defer pt.p.mu.Unlock()
	return pt.openTopicsLocked(time.Now())
}

func (pt *part) openTopicsLocked(now time.Time) (open, all int) {
	for _, m := range pt.topics {
		if strings.HasPrefix(m.topic.name, "@") {
			continue
		}
		all++
		if !m.topic.closedAt(pt.pos, now, &pt.p.keep) {
			open++
		}
	}
	return open, all
}

// Leave takes the subscription out of the hub; nothing is pushed any more. It may be called more than once.
func (s *Subscription) Leave() {
	s.hub.owners.remove(s)
	s.stopDelivery()
	for _, pt := range s.parts {
		pt.p.leave(pt)
	}
}

func (p *partition) leave(pt *part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pt.left {
		return
	}
	pt.left, pt.live = true, false
	now := time.Now()
	for _, m := range pt.topics {
		if m.topic.remove(m.slot); len(m.topic.parts) == 0 {
			p.lapseLocked(m.topic, now)
		}
	}
	pt.topics = nil
}

// positionLocked is the stream's cursor. With several partitions mu is held.
func (s *Subscription) positionLocked() string {
	if len(s.hub.partitions) == 1 {
		return s.parts[0].pos.String()
	}
	position := make(cursor, len(s.hub.partitions))
	copy(position, s.rest)
	for _, pt := range s.parts {
		position[pt.p.index] = pt.pos
	}
	return position.String()
}

// toldLocked notes that the client is told the stream's position, which it returns.
func (s *Subscription) toldLocked() string {
	for _, pt := range s.parts {
		pt.told = pt.pos
	}
	s.unsaid = false
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

// pushEvent gives the stream an event, unless it has it.
func (pt *part) pushEvent(e broker.Entry) {
	if !pt.pos.Less(e.ID) {
		return
	}
	frame := e.Frame
	if pt.sub.raw {
		frame = frame.Raw()
	}
	if !pt.pushAt(e.ID, frame) {
		pt.live = false
	} else if e.Close {
		pt.finishLocked()
	}
}

// pushAt pushes a frame that moves the part's position to id.
func (pt *part) pushAt(id broker.ID, frame *sse.Frame) bool {
	defer pt.sub.order()()
	pt.pos, pt.told, pt.sub.unsaid = id, id, false
	if len(pt.sub.hub.partitions) > 1 {
		frame = frame.WithID(pt.sub.toldLocked())
	}
	return pt.sub.sink.Push(frame)
}

// finishLocked ends the stream when this was the last of its partitions with an open topic. The client is told its position
// first: it comes back with it, and is answered that there is nothing more.
func (pt *part) finishLocked() {
	if !pt.live || pt.finished {
		return
	}
	if open, all := pt.openTopicsLocked(time.Now()); all == 0 || open > 0 {
		return
	}
	pt.finished = true
	pt.sayPosition()
	if pt.sub.unfinished.Add(-1) == 0 {
		pt.sub.sink.End("closed")
	}
}

// sayPosition tells the client the stream's position if it has not been told.
func (pt *part) sayPosition() {
	defer pt.sub.order()()
	if pt.sub.unsaid {
		pt.sub.sink.Push(positionFrame(pt.sub.toldLocked()))
	}
}
