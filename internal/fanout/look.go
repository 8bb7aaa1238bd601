package fanout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sse-gateway/internal/address"
	"sse-gateway/internal/broker"
)

// ErrLost: events that a stream asks for can't be read any more, and it has no other way to be told.
var ErrLost = errors.New("events have been lost")

// Look finds out what a stream of events only will be given, before anything has been sent. It fails with ErrLost where a gap would be
// told. nothing: the stream asks for what there is, and there is nothing: its topics are not known, or closed with all
// their events read. An inbox does not count, as in Closed. What is lost from now on ends the stream.
//
// Such a stream that asks for all there is wants the whole: the first events of a topic must not be missing either.
func (s *Subscription) Look(ctx context.Context) (nothing bool, err error) {
	if s.start.kind == startNow || s.start.kind == startLast {
		return false, nil
	}
	s.delivery.begins = make(map[string]broker.ID)
	topics, over := 0, 0
	for _, sh := range s.shares {
		seen, err := sh.look(ctx)
		if err != nil {
			return false, fmt.Errorf("look at what the stream will be given: %w", err)
		}
		topics, over = topics+seen.topics, over+seen.over
	}
	return topics > 0 && over == topics && s.start.kind != startTime, nil
}

// A glance is what has been seen of some topics. Inboxes are left out.
type glance struct {
	topics int
	over   int // those of which there is nothing to be given
}

// look reads the next event of each topic of the share.
func (sh *share) look(ctx context.Context) (glance, error) {
	m, born := sh.merge(1)
	m.bytes = 1 // one event each
	if sh.startUnknown || (sh.pos.Less(born) && sh.quietUpTo(born).IsZero()) {
		return glance{}, ErrLost
	}
	var seen glance
	for batch := range slices.Chunk(m.readers, mergeBatch) {
		tails, err := sh.lookAt(ctx, m, batch)
		if err != nil {
			return glance{}, err
		}
		for i, r := range batch {
			over, err := sh.foresee(m, r, &tails[i], born)
			if err != nil {
				return glance{}, err
			}
			if !address.KindOf(r.topic).Public() {
				continue
			}
			if seen.topics++; over {
				seen.over++
			}
		}
	}
	return seen, nil
}

// lookAt reads when it is the client's turn.
func (sh *share) lookAt(ctx context.Context, m *merge, batch []*reader) ([]broker.Tail, error) {
	ctx, cancel := context.WithTimeout(ctx, sh.p.opts.Timeout)
	defer cancel()
	end, err := sh.turn(ctx, 0, len(batch))
	if err != nil {
		return nil, err
	}
	defer end()
	return m.tails(ctx, batch)
}

// foresee tells whether a topic has nothing for the stream, and notes where it begins for one that wants the whole of it.
func (sh *share) foresee(m *merge, r *reader, tail *broker.Tail, born broker.ID) (over bool, err error) {
	if sh.pos.IsBeginning() {
		begins := sh.p.beginningOf(tail, born, m.end)
		if begins.IsZero() {
			return false, ErrLost
		}
		sh.sub.delivery.begins[r.topic] = begins
	} else if m.take(r, *tail); len(r.items) > 0 && r.items[0].gap {
		return false, ErrLost
	}
	if len(tail.Entries) > 0 {
		return tail.Entries[0].Close && tail.Entries[0].ID == tail.Last, nil // a stream of events only is not given the close
	}
	return tail.Last.IsZero() || !tail.Closed.IsZero(), nil
}

// beginningOf is an id that nothing of a topic is at or below, and above which nothing is missing; zero: something is. What comes
// next in a topic that is not known is above end. See Entry.Prev for the first event of a topic; of one that was there before
// a birth nobody can tell what is missing, unless it was closed by then.
func (p *partition) beginningOf(tail *broker.Tail, born, end broker.ID) broker.ID {
	if len(tail.Entries) == 0 {
		if tail.Last.IsZero() || !tail.Closed.IsZero() {
			return broker.Later(end, beginning())
		}
		return broker.ID{}
	}
	first := &tail.Entries[0]
	whole := !broker.Later(born, first.ID.Minus(p.keep.LastID)).Less(first.Prev)
	if first.ID.Less(born) {
		whole = tail.Closed.Less(born) && !tail.Closed.IsZero() && !first.ID.Minus(p.keep.LastID).Less(first.Prev)
	}
	if !whole {
		return broker.ID{}
	}
	return broker.Later(first.Prev, beginning())
}
