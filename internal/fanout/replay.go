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
	for _, pt := range s.parts {
		if err := pt.replay(ctx); err != nil {
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
	for _, pt := range s.parts {
		pt.p.mu.Lock()
		if pt.told.IsBeginning() {
			pt.sayPosition()
		}
		pt.p.mu.Unlock()
	}
}

// tellLost tells a gap in every topic of the partitions whose start is not known. Only the last gap has an id: until it is
// there the client must come back as it came.
func (s *Subscription) tellLost() {
	var lost []*part
	for _, pt := range s.parts {
		if pt.lost {
			lost = append(lost, pt)
		}
	}
	for i, pt := range lost {
		pt.p.mu.Lock()
		at := pt.p.watermark
		pt.pushAllGaps(at, broker.ID{}, i == len(lost)-1, nil)
		unlock := s.order()
		pt.pos, pt.lost, pt.crossed = at, false, false
		unlock()
		pt.p.mu.Unlock()
	}
}

// replay brings one part to the present. The topics' logs serve what they hold; what is below them is read into them,
// once for all who need it; and a part too far back for that reads the broker's history page by page first.
func (pt *part) replay(ctx context.Context) error {
	deep := pt.pos == beginning()
	told := make(map[string]broker.ID)
	for {
		if deep {
			if err := pt.readDeep(ctx); err != nil {
				return err
			}
		}
		if err := pt.sub.sink.WaitRoom(ctx); err != nil {
			return err
		}
		result, low := pt.p.step(pt, told)
		switch result {
		case stepLive:
			return nil
		case stepLeft:
			return errLeft
		case stepLow:
			var err error
			if deep, err = pt.fill(ctx, low); err != nil {
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
	stepLive                   // all was pushed, and the part is live
	stepLow                    // topics' logs do not reach down to the part's position
	stepDeep                   // the part is at a position that logs never reach
	stepLeft                   // the subscription has been left
)

// step pushes the next events from the topics' logs, as many as half a queue takes. When nothing is left the part is
// live at once, under the same lock: there is no seam. told: by topic, the end of the gap that the replay has told already.
func (p *partition) step(pt *part, told map[string]broker.ID) (stepResult, []*topic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pt.left {
		return stepLeft, nil
	}
	if pt.crossed {
		pt.crossed = false
		pt.pushAllGaps(p.watermark, p.sureLocked(pt.pos), true, nil)
		return stepMore, nil
	}
	if pt.pos.Less(p.born) {
		return stepDeep, nil
	}
	var low []*topic
	for _, m := range pt.topics {
		if !m.topic.covers(pt.pos) {
			low = append(low, m.topic)
		}
	}
	if low != nil {
		return stepLow, low
	}
	limit := max(p.opts.QueueEvents/2, 1)
	items := pt.logged(limit, told)
	n := pt.push(items, limit)
	for _, it := range items[:n] {
		if it.gap {
			told[it.topic] = it.id
		}
	}
	if n < len(items) || n >= limit {
		return stepMore, nil
	}
	for _, end := range told {
		pt.moveLocked(broker.Earlier(end, p.watermark))
	}
	pt.live = true
	pt.finishLocked()
	return stepLive, nil
}

// logged collects what the logs hold above the part's position, in order: at least the first limit items and the one after
// them.
func (pt *part) logged(limit int, told map[string]broker.ID) []item {
	var items []item
	for _, m := range pt.topics {
		t := m.topic
		if has := broker.Later(pt.pos, told[t.name]); has.Less(t.from) {
			items = append(items, item{id: t.from, topic: t.name, gap: true, after: has, oldest: t.oldest()})
		}
		events := t.after(pt.pos)
		for _, e := range events[:min(len(events), limit+1)] {
			items = append(items, item{id: e.ID, topic: t.name, entry: e})
		}
	}
	arrange(items, pt.p.watermark)
	return items
}

// push pushes items until half of the queue's bounds is filled, at least one, and returns how many.
func (pt *part) push(items []item, limit int) int {
	size := 0
	for i := range items {
		it := &items[i]
		size += it.size()
		if i >= limit || (i > 0 && size > pt.p.opts.QueueBytes/2) {
			return i
		}
		if it.gap {
			pt.pushGap(it, nil)
		} else {
			pt.pushEvent(it.entry)
		}
	}
	return len(items)
}

// readDeep reads the broker's history from the part's position up to the watermark.
func (pt *part) readDeep(ctx context.Context) error {
	p := pt.p
	p.mu.Lock()
	end, born, from := p.watermark, p.born, pt.pos
	limit := max(p.opts.bounds.deepEvents/max(len(pt.topics), 1), p.opts.bounds.deepPage)
	m := &merge{broker: p.broker, part: p.index, end: end, expired: p.expired, limit: limit, bytes: p.opts.QueueBytes / 2}
	for i := range pt.topics {
		m.readers = append(m.readers, newReader(pt.topics[i].topic.name, pt.pos, pt.untold(born)))
	}
	p.mu.Unlock()
	if pt.sub.start.kind == startLast && pt.pos.IsBeginning() {
		if err := pt.skipToNewest(ctx, m); err != nil {
			return err
		}
	}
	if pt.pos.Less(born) && pt.untold(born).IsZero() {
		// The stream crosses the birth: what is left from before it, then a gap in every topic.
		m.end, m.crossing = born.Prior(), true
		if err := pt.drain(ctx, m); err != nil {
			return err
		}
		if err := pt.sub.sink.WaitRoom(ctx); err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		pt.pushAllGaps(born, from, true, nil)
		return nil
	}
	return pt.drain(ctx, m)
}

// untold is the id up to which a first visit is told no gap: it asked for what there is.
func (pt *part) untold(born broker.ID) broker.ID {
	switch {
	case pt.pos.IsBeginning():
		return broker.ID{MS: 1<<64 - 1}
	case pt.sub.start.kind == startTime && pt.pos == pt.sub.start.at:
		return broker.Later(born, pt.pos)
	}
	return broker.ID{}
}

// drain pushes a merge to its end, at the client's pace: nothing is read before there is room for it.
func (pt *part) drain(ctx context.Context, m *merge) error {
	for {
		if err := pt.sub.sink.WaitRoom(ctx); err != nil {
			return err
		}
		items, bound, err := pt.nextPage(ctx, m)
		if err != nil {
			if err := pause(ctx); err != nil {
				return err
			}
			continue
		}
		for len(items) > 0 {
			if err := pt.sub.sink.WaitRoom(ctx); err != nil {
				return err
			}
			pt.p.mu.Lock()
			items = items[pt.push(items, max(pt.p.opts.QueueEvents/2, 1)):]
			pt.p.mu.Unlock()
		}
		pt.moveTo(bound)
		if bound == m.end {
			return nil
		}
	}
}

// nextPage reads when it is the client's turn.
func (pt *part) nextPage(ctx context.Context, m *merge) ([]item, broker.ID, error) {
	end, err := pt.turn(ctx, m.bytes, min(len(m.readers), mergeBatch))
	if err != nil {
		return nil, broker.ID{}, err
	}
	defer end()
	return m.next(ctx)
}

// skipToNewest leaves out of a merge all but the newest events that the stream has asked for.
func (pt *part) skipToNewest(ctx context.Context, m *merge) error {
	for todo := m.newest(int(pt.sub.start.count)); len(todo) > 0; {
		end, err := pt.turn(ctx, m.bytes, min(len(todo), mergeBatch))
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
func (pt *part) turn(ctx context.Context, bytes, topics int) (end func(), err error) {
	return pt.sub.hub.reads.take(ctx, pt.sub.delivery.client, bytes+topics*pt.p.opts.EventBytes)
}

// moveTo moves the part's position on, which the client is not told now.
func (pt *part) moveTo(pos broker.ID) {
	pt.p.mu.Lock()
	defer pt.p.mu.Unlock()
	pt.moveLocked(pos)
}

func (pt *part) moveLocked(pos broker.ID) {
	defer pt.sub.order()()
	if pt.pos.Less(pos) {
		pt.pos, pt.sub.unsaid = pos, true
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
		s.parts[0].beat(sink)
		return
	}
	moved, old := false, false
	for _, pt := range s.parts {
		m, o := pt.advance()
		moved, old = moved || m, old || o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beatLocked(sink, moved, old)
}

// beat is the heartbeat of a stream with one partition.
func (pt *part) beat(sink Sink) {
	pt.p.mu.Lock()
	defer pt.p.mu.Unlock()
	moved, old := pt.advanceLocked()
	pt.sub.beatLocked(sink, moved, old)
}

// beatLocked pushes the heartbeat. The lock is that which guards the stream's position.
func (s *Subscription) beatLocked(sink Sink, moved, old bool) {
	if old || (moved && s.unsaid) {
		sink.Push(positionFrame(s.toldLocked()))
	} else {
		sink.Push(s.hub.comment)
	}
}

func (pt *part) advance() (moved, old bool) {
	pt.p.mu.Lock()
	defer pt.p.mu.Unlock()
	defer pt.sub.order()()
	return pt.advanceLocked()
}

// advanceLocked moves a live part's position to the watermark. moved: it is not that which the client was told. Nor does the
// client need it: whoever comes back with an older id is given nothing for the time between, since nothing came. But
// an old id may be older than what the broker remembers of a topic, which would be told as a gap.
func (pt *part) advanceLocked() (moved, old bool) {
	if !pt.live {
		return false, false
	}
	pt.pos = broker.Later(pt.pos, pt.p.watermark)
	return pt.told.Less(pt.pos), pt.pos.MS > pt.told.MS+uint64(pt.p.keep.LastID.Milliseconds()/4)
}

func positionFrame(id string) *sse.Frame {
	return sse.NewFrame(sse.AppendBlock(nil, "position", 0, []byte(`{"id":"`+id+`"}`)), id)
}
