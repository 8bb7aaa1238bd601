package fanout

import (
	"context"
	"errors"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// retryPause is how long a replay waits before it tries a read again.
const retryPause = 200 * time.Millisecond

var errLeft = errors.New("the subscription has been left")

// Deliver gives the stream what it missed since its start, then leaves it live: from then on events are pushed as they
// are dispatched. It returns when the stream is live, or with an error when the stream has ended or ctx is done. While
// the broker is away it waits.
func (s *Subscription) Deliver(ctx context.Context, sink Sink) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.mu.Lock()
	s.sink = sink
	s.delivery.stop = stop
	cut := s.cut
	s.mu.Unlock()
	defer s.delivered()
	if cut {
		sink.End("cut")
		return ErrCut
	}
	s.tellLost()
	for _, sh := range s.shares {
		if err := sh.replay(ctx); err != nil {
			return err
		}
	}
	s.tellStart()
	return nil
}

// A delivery is what a subscription has until it is live.
type delivery struct {
	client string             // JoinRequest.Client
	stop   context.CancelFunc // nil before Deliver
}

func (s *Subscription) delivered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivery = nil
}

// stopDelivery ends Deliver: the stream is gone, and nothing is to be read for it any more.
func (s *Subscription) stopDelivery() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delivery != nil && s.delivery.stop != nil {
		s.delivery.stop()
	}
}

// tellStart tells a client its position that has got no event to know it by, and whose ready event had none to go on from: to
// begin anew as it did at first would not bring what comes from now on.
func (s *Subscription) tellStart() {
	for _, sh := range s.shares {
		sh.p.mu.Lock()
		if sh.clientPos.IsBeginning() {
			sh.sayPositionLocked()
		}
		sh.p.mu.Unlock()
	}
}

// tellLost tells a gap in every topic of the partitions whose start is not known. Only the last gap has an id: until it is
// there the client must come back as it came.
func (s *Subscription) tellLost() {
	var lost []*share
	for _, sh := range s.shares {
		if sh.startUnknown {
			lost = append(lost, sh)
		}
	}
	for i, sh := range lost {
		sh.p.mu.Lock()
		at := sh.p.evidence.watermark
		sh.pushAllGapsLocked(at, broker.ID{}, i == len(lost)-1, nil)
		unlock := s.order()
		sh.pos, sh.startUnknown, sh.owesBirth = at, false, false
		unlock()
		sh.p.mu.Unlock()
	}
}

// replay brings one share to the present. The topics' logs serve what they hold; what is below them is read into them,
// once for all who need it; and a share too far back for that reads the broker's history page by page first.
func (sh *share) replay(ctx context.Context) error {
	deep := sh.pos == beginning()
	gapEnds := make(map[string]broker.ID)
	for {
		if deep {
			if err := sh.readDeep(ctx); err != nil {
				return err
			}
		}
		if err := sh.sub.sink.WaitRoom(ctx); err != nil {
			return err
		}
		result, low := sh.p.step(sh, gapEnds)
		switch result {
		case stepLive:
			return nil
		case stepLeft:
			return errLeft
		case stepLow:
			var err error
			if deep, err = sh.fill(ctx, low); err != nil {
				if err := pause(ctx); err != nil {
					return err
				}
			}
		default:
			deep = result == stepDeep
		}
	}
}

// pause waits before a read is tried again.
func pause(ctx context.Context) error {
	select {
	case <-time.After(retryPause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stepResult is what one step of a replay came to.
type stepResult uint8

const (
	stepMore stepResult = iota // some was pushed; there is more
	stepLive                   // all was pushed, and the share is live
	stepLow                    // topics' logs do not reach down to the share's position
	stepDeep                   // the share is at a position that logs never reach
	stepLeft                   // the subscription has been left
)

// step pushes the next events from the topics' logs, as many as half a queue takes. When nothing is left the share is
// live at once, under the same lock: there is no seam. gapEnds: by topic, the end of the gap that the replay has told already.
func (p *partition) step(sh *share, gapEnds map[string]broker.ID) (stepResult, []*topic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sh.left {
		return stepLeft, nil
	}
	if sh.owesBirth {
		sh.owesBirth = false
		sh.pushAllGapsLocked(p.evidence.watermark, p.evidence.sure(sh.pos), true, nil)
		return stepMore, nil
	}
	if sh.pos.Less(p.evidence.born) {
		return stepDeep, nil
	}
	var low []*topic
	for _, m := range sh.topics {
		if !m.topic.covers(sh.pos) {
			low = append(low, m.topic)
		}
	}
	if low != nil {
		return stepLow, low
	}
	limit := max(p.opts.QueueEvents/2, 1)
	items := sh.loggedLocked(limit, gapEnds)
	n := sh.pushLocked(items, limit)
	for _, it := range items[:n] {
		if it.gap {
			gapEnds[it.topic] = it.id
		}
	}
	if n < len(items) || n >= limit {
		return stepMore, nil
	}
	for _, end := range gapEnds {
		sh.moveLocked(broker.Earlier(end, p.evidence.watermark))
	}
	sh.live = true
	sh.finishLocked()
	return stepLive, nil
}

// loggedLocked collects what the logs hold above the share's position, in order: at least the first limit items and the one after
// them.
func (sh *share) loggedLocked(limit int, gapEnds map[string]broker.ID) []item {
	var items []item
	for _, m := range sh.topics {
		t := m.topic
		if has := broker.Later(sh.pos, gapEnds[t.name]); has.Less(t.from) {
			items = append(items, item{id: t.from, topic: t.name, gap: true, after: has, oldest: t.oldest()})
		}
		events := t.after(sh.pos)
		for _, e := range events[:min(len(events), limit+1)] {
			items = append(items, item{id: e.ID, topic: t.name, entry: e})
		}
	}
	arrange(items, sh.p.evidence.watermark)
	return items
}

// pushLocked pushes items until half of the queue's bounds is filled, at least one, and returns how many.
func (sh *share) pushLocked(items []item, limit int) int {
	size := 0
	for i := range items {
		it := &items[i]
		size += it.size()
		if i >= limit || (i > 0 && size > sh.p.opts.QueueBytes/2) {
			return i
		}
		if it.gap {
			sh.pushGapLocked(it, nil)
		} else {
			sh.pushEventLocked(it.entry)
		}
	}
	return len(items)
}

// readDeep reads the broker's history from the share's position up to the watermark.
func (sh *share) readDeep(ctx context.Context) error {
	p := sh.p
	p.mu.Lock()
	end, born, from := p.evidence.watermark, p.evidence.born, sh.pos
	limit := max(p.opts.bounds.deepEvents/max(len(sh.topics), 1), p.opts.bounds.deepPage)
	m := &merge{broker: sh.sub.hub.broker, partition: p.index, end: end, forgotten: p.forgotten, limit: limit, bytes: p.opts.QueueBytes / 2}
	for i := range sh.topics {
		m.readers = append(m.readers, newReader(sh.topics[i].topic.name, sh.pos, sh.quietUpTo(born)))
	}
	p.mu.Unlock()
	if sh.sub.start.kind == startLast && sh.pos.IsBeginning() {
		if err := sh.skipToNewest(ctx, m); err != nil {
			return err
		}
	}
	if sh.pos.Less(born) && sh.quietUpTo(born).IsZero() {
		// The stream crosses the birth: what is left from before it, then a gap in every topic.
		m.end, m.crossing = born.Prior(), true
		if err := sh.drain(ctx, m); err != nil {
			return err
		}
		if err := sh.sub.sink.WaitRoom(ctx); err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		sh.pushAllGapsLocked(born, from, true, nil)
		return nil
	}
	return sh.drain(ctx, m)
}

// quietUpTo is the id up to which a first visit is told no gap: it asked for what there is.
func (sh *share) quietUpTo(born broker.ID) broker.ID {
	switch {
	case sh.pos.IsBeginning():
		return broker.ID{MS: 1<<64 - 1}
	case sh.sub.start.kind == startTime && sh.pos == sh.sub.start.at:
		return broker.Later(born, sh.pos)
	}
	return broker.ID{}
}

// drain pushes a merge to its end, at the client's pace: nothing is read before there is room for it.
func (sh *share) drain(ctx context.Context, m *merge) error {
	for {
		if err := sh.sub.sink.WaitRoom(ctx); err != nil {
			return err
		}
		items, bound, err := sh.nextPage(ctx, m)
		if err != nil {
			if err := pause(ctx); err != nil {
				return err
			}
			continue
		}
		for len(items) > 0 {
			if err := sh.sub.sink.WaitRoom(ctx); err != nil {
				return err
			}
			sh.p.mu.Lock()
			items = items[sh.pushLocked(items, max(sh.p.opts.QueueEvents/2, 1)):]
			sh.p.mu.Unlock()
		}
		sh.moveTo(bound)
		if bound == m.end {
			return nil
		}
	}
}

// nextPage reads when it is the client's turn.
func (sh *share) nextPage(ctx context.Context, m *merge) ([]item, broker.ID, error) {
	end, err := sh.turn(ctx, m.bytes, min(len(m.readers), mergeBatch))
	if err != nil {
		return nil, broker.ID{}, err
	}
	defer end()
	return m.next(ctx)
}

// skipToNewest leaves out of a merge all but the newest events that the stream has asked for.
func (sh *share) skipToNewest(ctx context.Context, m *merge) error {
	for todo := m.newest(int(sh.sub.start.count)); len(todo) > 0; {
		end, err := sh.turn(ctx, m.bytes, min(len(todo), mergeBatch))
		if err != nil {
			return err
		}
		todo, err = m.count(ctx, todo)
		end()
		if err != nil {
			if err := pause(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn waits for the client's turn to read bytes, and an event of each of some topics beyond them.
func (sh *share) turn(ctx context.Context, bytes, topics int) (end func(), err error) {
	return sh.sub.hub.reads.take(ctx, sh.sub.delivery.client, bytes+topics*sh.p.opts.EventBytes)
}

// moveTo moves the share's position on, which the client is not told now.
func (sh *share) moveTo(pos broker.ID) {
	sh.p.mu.Lock()
	defer sh.p.mu.Unlock()
	sh.moveLocked(pos)
}

func (sh *share) moveLocked(pos broker.ID) {
	defer sh.sub.order()()
	if sh.pos.Less(pos) {
		sh.pos, sh.sub.owesPosition = pos, true
	}
}

// Beat pushes a heartbeat: a comment, or the position where the client has to be told it.
func (s *Subscription) Beat() {
	s.mu.Lock()
	sink := s.sink
	s.mu.Unlock()
	if sink == nil {
		return
	}
	if len(s.hub.partitions) == 1 {
		s.shares[0].beat(sink)
		return
	}
	moved, old := false, false
	for _, sh := range s.shares {
		m, o := sh.advance()
		moved, old = moved || m, old || o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beatLocked(sink, moved, old)
}

// beat is the heartbeat of a stream with one partition.
func (sh *share) beat(sink Sink) {
	sh.p.mu.Lock()
	defer sh.p.mu.Unlock()
	moved, old := sh.advanceLocked()
	sh.sub.beatLocked(sink, moved, old)
}

// beatLocked pushes the heartbeat. The lock is that which guards the stream's position.
func (s *Subscription) beatLocked(sink Sink, moved, old bool) {
	if old || (moved && s.owesPosition) {
		sink.Push(positionFrame(s.noteToldLocked()))
	} else {
		sink.Push(s.hub.comment)
	}
}

func (sh *share) advance() (moved, old bool) {
	sh.p.mu.Lock()
	defer sh.p.mu.Unlock()
	defer sh.sub.order()()
	return sh.advanceLocked()
}

// advanceLocked moves a live share's position to the watermark. moved: it is not that which the client was told. Nor does the
// client need it: whoever comes back with an older id is given nothing for the time between, since nothing came. But
// an old id may be older than what the broker remembers of a topic, which would be told as a gap.
func (sh *share) advanceLocked() (moved, old bool) {
	if !sh.live {
		return false, false
	}
	sh.pos = broker.Later(sh.pos, sh.p.evidence.watermark)
	return sh.clientPos.Less(sh.pos), sh.pos.MS > sh.clientPos.MS+uint64(sh.p.keep.LastID.Milliseconds()/4)
}

func positionFrame(id string) *sse.Frame {
	return sse.NewFrame(sse.AppendBlock(nil, "position", 0, []byte(`{"id":"`+id+`"}`)), id)
}
