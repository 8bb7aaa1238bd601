package fanout

import (
	"context"
	"errors"

	"sse-gateway/internal/broker"
)

var errUnderWay = errors.New("an event that follows is still on its way here")

// fill reads what is between the share's position and the logs of topics into the logs. Who comes while a topic is being read
// waits for that read. It reports true for a share that is too far back for the logs.
func (sh *share) fill(ctx context.Context, topics []*topic) (deep bool, err error) {
	end, err := sh.turn(ctx, sh.p.opts.bounds.fillBytes, len(topics))
	if err != nil {
		return false, err
	}
	f := sh.p.startFill(topics, sh.pos)
	if len(f.topics) > 0 {
		var tails []broker.Tail
		tails, err = sh.sub.hub.broker.Read(ctx, sh.p.index, f.reads)
		var underWay bool
		if deep, underWay = sh.p.filled(f, tails, err); underWay && err == nil {
			err = errUnderWay
		}
	}
	end()
	for _, other := range f.others {
		select {
		case <-other:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return deep, err
}

// A fill is a read of what is between a share's position and the logs of topics.
type fill struct {
	pos    broker.ID // the share's
	born   broker.ID // the birth that was known when the reading began
	topics []*topic  // to be read, by reads
	reads  []broker.Read
	others []chan struct{} // closed when topics that others are reading have been
}

// startFill tells what is to be read of topics for a share at pos.
func (p *partition) startFill(topics []*topic, pos broker.ID) *fill {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &fill{pos: pos, born: p.evidence.born}
	for _, t := range topics {
		switch {
		case t.covers(pos): // it has been read since
		case t.filling != nil:
			f.others = append(f.others, t.filling)
		default:
			t.filling = make(chan struct{})
			f.topics = append(f.topics, t)
			f.reads = append(f.reads, broker.Read{
				Topic: t.name, After: broker.Later(pos.Minus(p.opts.bounds.fillBack), broker.Earlier(f.born, pos)), Before: t.from,
				Limit: p.opts.bounds.fillEvents, Bytes: max(p.opts.bounds.fillBytes/len(topics), 1),
			})
		}
	}
	return f
}

// filled puts what was read into the logs, unless that failed, and frees who waited for it. deep: the share is too far back for
// the logs. underWay: the broker has an event that has to arrive here first.
func (p *partition) filled(f *fill, tails []broker.Tail, err error) (deep, underWay bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, t := range f.topics {
		close(t.filling)
		t.filling = nil
		if err != nil || p.evidence.born != f.born {
			continue
		}
		if t.from != f.reads[i].Before {
			deep = deep || !t.covers(f.pos) // the log moves on faster than it can be filled
			continue
		}
		before := t.bytes
		t.extend(f.reads[i], tails[i], p.forgottenLocked(), &p.opts.bounds)
		if p.topics[t.name] == t {
			p.logSize += t.bytes - before
		}
		if p.logSize > p.opts.bounds.partitionLogs {
			p.trimLogsLocked()
		}
		deep = deep || (len(tails[i].Entries) > 0 && !t.covers(f.pos))
		underWay = underWay || t.from == f.reads[i].Before && !t.covers(f.pos)
	}
	return deep, underWay && !deep
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
