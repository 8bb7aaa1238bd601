package fanout

import (
	"context"

	"sse-gateway/internal/broker"
)

// readDeep reads the broker's history from the share's position up to the watermark.
func (sh *share) readDeep(ctx context.Context) error {
	p, from := sh.p, sh.pos
	m, born := sh.merge(p.opts.bounds.deepPage)
	m.limit = max(m.limit, p.opts.bounds.deepEvents/max(len(m.readers), 1)) // the share's own topics go when the stream is left
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

// merge returns one of the topics' histories from the share's position up to the watermark, by pages of so many events, and the birth
// that is known by then.
func (sh *share) merge(limit int) (m *merge, born broker.ID) {
	p := sh.p
	p.mu.Lock()
	defer p.mu.Unlock()
	born = p.evidence.born
	m = &merge{broker: sh.sub.hub.broker, partition: p.index, end: p.evidence.watermark, forgotten: p.forgotten, limit: limit, bytes: p.opts.QueueBytes / 2}
	for i := range sh.topics {
		r := newReader(sh.topics[i].topic.name, sh.pos, sh.quietUpTo(born))
		if begins, known := sh.sub.delivery.begins[r.topic]; known && sh.pos.IsBeginning() {
			r = newReader(r.topic, begins, broker.ID{})
		}
		m.readers = append(m.readers, r)
	}
	return m, born
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

// drain pushes a merge to its end, at the client's pace (rule 11): nothing is read before there is room for it.
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
