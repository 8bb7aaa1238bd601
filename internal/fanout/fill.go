package fanout

import (
	"context"
	"errors"

	"sse-gateway/internal/broker"
)

var errUnderWay = errors.New("an event that follows is still on its way here")

// fill reads what is between the part's position and the logs of topics into the logs. Who comes while a topic is being read
// waits for that read. It reports true for a part that is too far back for the logs.
func (pt *part) fill(ctx context.Context, topics []*topic) (deep bool, err error) {
	end, err := pt.turn(ctx, pt.p.opts.bounds.fillBytes, len(topics))
	if err != nil {
		return false, err
	}
	others, deep, err := pt.p.fill(ctx, topics, pt.pos)
	end()
	for _, other := range others {
		select {
		case <-other:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return deep, err
}

// fill reads what is between pos and the logs of topics that others are not reading. It returns when those others are done.
func (p *partition) fill(ctx context.Context, topics []*topic, pos broker.ID) (others []chan struct{}, deep bool, err error) {
	var mine []*topic
	var reads []broker.Read
	p.mu.Lock()
	born := p.born
	for _, t := range topics {
		switch {
		case t.covers(pos): // it has been read since
		case t.filling != nil:
			others = append(others, t.filling)
		default:
			t.filling = make(chan struct{})
			mine = append(mine, t)
			reads = append(reads, broker.Read{
				Topic: t.name, After: broker.Later(pos.Minus(p.opts.bounds.fillBack), broker.Earlier(born, pos)), Before: t.from,
				Limit: p.opts.bounds.fillEvents, Bytes: max(p.opts.bounds.fillBytes/len(topics), 1),
			})
		}
	}
	p.mu.Unlock()
	if len(mine) == 0 {
		return others, false, nil
	}
	tails, err := p.broker.Read(ctx, p.index, reads)
	deep, stuck := p.filled(mine, reads, tails, pos, born, err)
	if stuck && err == nil {
		err = errUnderWay
	}
	return others, deep, err
}

// filled puts what was read into the logs, and frees who waited for it.
// stuck: the broker has an event that has to arrive here first.
func (p *partition) filled(topics []*topic, reads []broker.Read, tails []broker.Tail, pos, born broker.ID, err error) (deep, stuck bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, t := range topics {
		close(t.filling)
		t.filling = nil
		if err != nil || p.born != born {
			continue
		}
		if t.from != reads[i].Before {
			deep = deep || !t.covers(pos) // the log moves on faster than it can be filled
			continue
		}
		before := t.bytes
		t.extend(reads[i], tails[i], p.expiredLocked(), &p.opts.bounds)
		if p.topics[t.name] == t {
			p.logSize += t.bytes - before
		}
		if p.logSize > p.opts.bounds.partitionLogs {
			p.trimLogsLocked()
		}
		deep = deep || (len(tails[i].Entries) > 0 && !t.covers(pos))
		stuck = stuck || t.from == reads[i].Before && !t.covers(pos)
	}
	return deep, stuck && !deep
}

// extend takes the answer to a read of what is below the log.
func (t *topic) extend(read broker.Read, tail broker.Tail, expired broker.ID, b *bounds) {
	older := tail.Entries
	if len(older) > 0 {
		bottom := older[0].Prev
		t.prepend(older, bottom, !tail.Full && read.After.Less(bottom), b)
		return
	}
	// Nothing is kept below the log: the predecessor of what follows, or the last id, tells since when.
	var last broker.ID
	switch {
	case len(t.log) > 0:
		last = t.log[0].Prev
	case tail.Beyond != nil && !t.from.Less(tail.Beyond.Prev):
		last = tail.Beyond.Prev
	case tail.Beyond != nil || t.from.Less(tail.Last):
		return // an event is on its way here; its predecessor will tell
	case !tail.Last.IsZero():
		last = tail.Last
	default:
		last = expired
	}
	t.from = broker.Earlier(last, t.from)
	t.trimmed = read.After.Less(t.from)
}
