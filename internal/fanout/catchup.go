package fanout

import (
	"context"
	"fmt"
	"time"

	"sse-gateway/internal/broker"
)

// catchUp dispatches what the connection did not bring, from the chain of each topic to the mark that has come back,
// then what has waited behind it, and goes live.
func (p *partition) catchUp(ctx context.Context) error {
	p.mu.Lock()
	mark, born := p.catchTo, p.born
	var topics []*topic
	for _, t := range p.topics {
		if t.open {
			topics = append(topics, t)
		}
	}
	p.mu.Unlock()

	if born.Less(mark.Born) && len(topics) > 0 {
		if err := p.readThrough(ctx, topics, mark.Born.Prior(), true); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.bornLocked(mark.Born)
	p.unlock()
	if err := p.readThrough(ctx, topics, mark.Head, false); err != nil {
		return err
	}
	p.heard.Store(time.Now().UnixNano())
	p.mu.Lock()
	defer p.unlock()
	p.releaseLocked(mark)
	return nil
}

// releaseLocked goes live with what came after the mark, or starts over where that has been dropped.
func (p *partition) releaseLocked(mark broker.Mark) {
	if p.state != catching {
		return
	}
	p.watermark = broker.Later(p.watermark, mark.Head)
	if p.overflow {
		p.restartLocked()
		return
	}
	backlog := p.backlog
	p.backlog, p.held = nil, 0
	p.setStateLocked(live)
	p.openLocked(mark.Seq)
	for i := range backlog {
		if p.state != live {
			return // it broke again: the next catch-up reads the rest
		}
		p.takeLocked(&backlog[i])
	}
}

// readThrough dispatches everything up to end that has not been. crossing: a birth follows end.
func (p *partition) readThrough(ctx context.Context, topics []*topic, end broker.ID, crossing bool) error {
	readers, err := p.behind(ctx, topics, end, crossing)
	if err != nil {
		return fmt.Errorf("catch up to %s: %w", end, err)
	}
	if len(readers) == 0 {
		return nil
	}
	m := merge{
		broker: p.broker, part: p.index, readers: readers, end: end, crossing: crossing,
		limit: p.opts.bounds.catchPage, bytes: p.opts.bounds.catchBytes,
	}
	m.expired = func() broker.ID { return broker.Later(p.expired(), end.Minus(p.keep.LastID)) } // the watermark may be older than K
	var gapped []*topic
	for bound := (broker.ID{}); bound != end; {
		var items []item
		if items, bound, err = m.next(ctx); err != nil {
			return fmt.Errorf("catch up to %s: %w", end, err)
		}
		p.mu.Lock()
		for i := range items {
			if it := &items[i]; it.gap {
				p.missingLocked(it)
				gapped = append(gapped, it.from.t)
			} else {
				p.caughtLocked(it.from.t, it.entry)
			}
		}
		p.watermark = broker.Later(p.watermark, bound)
		p.mu.Unlock()
	}
	if !crossing {
		p.passForgotten(readers, end)
		p.moveAll(gapped, end)
	}
	return nil
}

// passForgotten moves the chains of topics whose last id the broker has forgotten: nothing has come since, up to end. The
// next event's predecessor is then not above the chain, and no second gap is told.
func (p *partition) passForgotten(readers []*reader, end broker.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range readers {
		if r.forgotten && r.t.chain.Less(end) {
			r.t.chain, r.t.exact = end, false
		}
	}
}

// moveAll moves the live subscriptions of topics to where they are after a catch-up. A gap may have left them before the
// close of its topic.
func (p *partition) moveAll(topics []*topic, pos broker.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range topics {
		for _, pt := range t.parts {
			if pt.live {
				pt.moveLocked(pos)
				pt.finishLocked()
			}
		}
	}
}

// expired is the id that a topic's last id is not above if the broker does not know it any more.
func (p *partition) expired() broker.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expiredLocked()
}

func (p *partition) expiredLocked() broker.ID {
	return broker.Later(p.born, p.watermark.Minus(p.keep.LastID))
}

// behind asks for the topics' last ids and returns readers for those that have more than was dispatched.
func (p *partition) behind(ctx context.Context, topics []*topic, end broker.ID, crossing bool) ([]*reader, error) {
	var readers []*reader
	for start := 0; start < len(topics); start += subscribeBatch {
		batch := topics[start:min(start+subscribeBatch, len(topics))]
		tails, err := p.broker.Read(ctx, p.index, lastReads(batch))
		if err != nil {
			return nil, fmt.Errorf("read the last ids of %d topics: %w", len(batch), err)
		}
		p.mu.Lock()
		for i, t := range batch {
			switch last := tails[i].Last; {
			case t.chain.Less(last) || (last.IsZero() && t.chain.Less(end)):
				r := newReader(t.name, t.chain, broker.ID{})
				r.t, r.closed, r.forgotten = t, tails[i].Closed, last.IsZero()
				readers = append(readers, r)
			case t.exact && last.Less(t.chain) && !last.IsZero() && !crossing:
				name, chain := t.name, t.chain
				p.noteLocked(func() { p.log.Warn("Redis has lost an event", "topic", name, "event_id", chain.String()) })
				t.exact, p.lost = false, true
			}
		}
		p.unlock()
	}
	return readers, nil
}

// caughtLocked dispatches one event of the catch-up.
func (p *partition) caughtLocked(t *topic, e broker.Entry) {
	if t.exact && e.Prev.Less(t.chain) {
		p.lost = true
	}
	if !p.watermark.Less(e.ID) {
		p.lateLocked(t, e)
	}
	p.deliverLocked(t, e)
}

// lateLocked tells the streams whose position is beyond an event already, which a living connection did not bring, that they
// miss it: ids must not fall.
func (p *partition) lateLocked(t *topic, e broker.Entry) {
	frames := make(gapFrames)
	for _, pt := range t.parts {
		if pt.live && !pt.pos.Less(e.ID) {
			pt.pushGap(&item{id: e.ID, topic: t.name, after: t.chain, oldest: e.ID}, frames)
		}
	}
}

// missingLocked tells every live subscription of the topic that events up to the item's id can't be read any more.
func (p *partition) missingLocked(it *item) {
	t := it.from.t
	p.logSize -= t.bytes
	t.reset(it.id, true)
	if closed := it.from.closed; t.chain.Less(closed) && !it.id.Less(closed) {
		t.closed = closed
	}
	t.chain, t.exact = it.id, false
	frames := make(gapFrames)
	for _, pt := range t.parts {
		if pt.live {
			pt.pushGap(it, frames)
			pt.finishLocked()
		}
	}
}

// bornLocked takes note of the birth that a mark tells of. One before that known here has come back from the past.
func (p *partition) bornLocked(born broker.ID) {
	p.birthLocked(born)
	p.lost = p.lost || born.Less(p.born)
}

// birthLocked takes note that the broker lost events before born: every topic of every stream has a gap there, since
// nobody can tell any more what was lost.
func (p *partition) birthLocked(born broker.ID) {
	if !p.born.Less(born) {
		return
	}
	first := p.born.IsZero()
	p.born, p.lost, p.told = born, false, false
	p.seen = broker.Later(p.seen, born)
	if first {
		return
	}
	p.noteLocked(func() {
		p.log.Warn("Redis has lost events; every stream is told a gap", "event_id", born.String())
	})
	at := broker.Later(born, p.watermark)
	told, frames := make(map[*part]bool), make(gapFrames)
	for _, t := range p.topics {
		for _, pt := range t.parts {
			if pt.live && !told[pt] {
				told[pt] = true
				pt.pushAllGaps(at, p.sureLocked(pt.pos), true, frames)
				pt.finishLocked()
			}
			// What a joining client claims may be above the watermark, and then of after the loss: see resume.
			pt.crossed = pt.crossed || (!pt.live && !pt.pos.Less(born) && !p.watermark.Less(pt.pos))
		}
	}
	for _, t := range p.topics {
		if t.open {
			p.logSize -= t.bytes
			t.start(at)
			t.closed = broker.ID{}
			p.loading = append(p.loading, t)
		}
	}
	p.watermark = at
	p.poke()
}

// sureLocked is the id after which a stream at pos may miss something at a birth. The broker came back before anybody
// noticed that it had lost events, and what it published meanwhile seemed to continue what was left: so it is not pos, but
// the watermark at which the last connection ended.
func (p *partition) sureLocked(pos broker.ID) broker.ID {
	if p.frozen.IsZero() {
		return pos
	}
	return broker.Earlier(pos, p.frozen)
}
