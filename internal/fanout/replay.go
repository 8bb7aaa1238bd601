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
		sink.End(sse.EndCut)
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
	// begins: what Look has seen of a stream that wants the whole of its topics. By topic: what is above the id is to be there.
	begins map[string]broker.ID
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
		unlock := s.order()
		if sh.clientPos.IsBeginning() {
			s.sayPositionLocked()
		}
		unlock()
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

// step (rule 10) pushes the next events from the topics' logs, as many as half a queue takes. When nothing is left the share is
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
