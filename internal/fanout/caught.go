package fanout

import (
	"sse-gateway/internal/broker"
)

// What a catch-up has read is dispatched here, under the dispatch lock. The reading itself is in catchup.go.

// born takes note of the birth that the catch-up's mark tells of.
func (p *partition) born(born broker.ID) {
	p.mu.Lock()
	defer p.unlock()
	p.bornLocked(born)
}

// release goes live with what came after the mark, or starts over where that has been dropped.
func (p *partition) release(mark broker.Mark) {
	p.mu.Lock()
	defer p.unlock()
	if p.state != catching {
		return
	}
	p.evidence.passed(mark.Head)
	if p.backlog.overflowed {
		p.catchUpAnewLocked()
		return
	}
	backlog := p.backlog.take()
	p.setStateLocked(live)
	p.openLocked(mark.Seq)
	for i := range backlog {
		if p.state != live {
			return // it broke again: the next catch-up reads the rest
		}
		p.receiveLiveLocked(&backlog[i])
	}
}

// behind returns readers for those of some topics that have more than was dispatched, by their last ids. Say a topic's chain is
// 18, and the catch-up goes to 30. A last id of 25 is to be read from 18 on. No last id is to be read, too: whatever came after
// 18 has been forgotten. A last id of 12 proves that the broker has lost 18, if 18 was an event; before a birth nothing
// is proved, since the loss is known.
func (p *partition) behind(topics []*topic, tails []broker.Tail, end broker.ID, crossing bool) []*reader {
	p.mu.Lock()
	defer p.unlock()
	var readers []*reader
	for i, t := range topics {
		switch last := tails[i].Last; {
		case t.chain.Less(last) || (last.IsZero() && t.chain.Less(end)):
			r := newReader(t.name, t.chain, broker.ID{})
			r.t, r.closed, r.forgotten = t, tails[i].Closed, last.IsZero()
			readers = append(readers, r)
		case t.exact && last.Less(t.chain) && !last.IsZero() && !crossing:
			name, chain := t.name, t.chain
			p.noteLocked(func() { p.log.Warn("Redis has lost an event", "topic", name, "event_id", chain.String()) })
			t.exact = false
			p.evidence.suspect(true)
		}
	}
	return readers
}

// caught dispatches a page of the catch-up, with which everything up to bound has been.
func (p *partition) caught(items []item, bound broker.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range items {
		if it := &items[i]; it.gap {
			p.missingLocked(it)
		} else {
			p.caughtLocked(it.from.t, it.entry)
		}
	}
	p.evidence.passed(bound)
}

// caughtLocked dispatches one event of the catch-up.
func (p *partition) caughtLocked(t *topic, e broker.Entry) {
	p.evidence.suspect(t.exact && e.Prev.Less(t.chain))
	if !p.evidence.watermark.Less(e.ID) {
		p.lateLocked(t, e)
	}
	p.deliverLocked(t, e)
}

// lateLocked tells the streams whose position is beyond an event already, which a living connection did not bring, that they
// miss it: ids must not fall (rule 6).
func (p *partition) lateLocked(t *topic, e broker.Entry) {
	frames := make(gapFrames)
	for _, sh := range t.shares {
		if sh.live && !sh.pos.Less(e.ID) {
			sh.pushGapLocked(&item{id: e.ID, topic: t.name, after: t.chain, oldest: e.ID}, frames)
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
	for _, sh := range t.shares {
		if sh.live {
			sh.pushGapLocked(it, frames)
			sh.finishLocked()
		}
	}
}

// caughtUp ends a catch-up to end. gapped are the topics in which a gap was told.
//
// The chains of topics whose last id the broker has forgotten move to end: nothing has come since. The next event's predecessor is
// then not above the chain, and no second gap is told.
//
// The live subscriptions of gapped topics move to end, too. A gap may have left them before the close of its topic.
func (p *partition) caughtUp(readers []*reader, gapped []*topic, end broker.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range readers {
		if r.forgotten && r.t.chain.Less(end) {
			r.t.chain, r.t.exact = end, false
		}
	}
	for _, t := range gapped {
		for _, sh := range t.shares {
			if sh.live {
				sh.moveLocked(end)
				sh.finishLocked()
			}
		}
	}
}
