package fanout

import (
	"context"
	"fmt"
	"slices"

	"sse-gateway/internal/broker"
)

// A reader reads one topic's history, a page at a time, and finds the gaps in it.
type reader struct {
	topic string
	// t and closed: of a replica's catch-up, the topic and the id of its close event.
	t      *topic
	closed broker.ID
	has    broker.ID // every event of the topic up to it has been read, or is told missing
	// known: no gap is told up to it (the stream did not ask for what was before).
	known broker.ID
	items []item // read, not yet handed out
	done  bool   // nothing is left up to the merge's end
}

// An item is one event of a merged history, or a gap in one topic.
type item struct {
	id     broker.ID
	topic  string
	from   *reader      // unless from a topic's log
	entry  broker.Entry // unless gap
	gap    bool
	after  broker.ID // gap: something after it may be missing, up to id
	oldest broker.ID // gap: the oldest event kept after the gap; zero: none
	tell   broker.ID // gap: the position that the stream has with it; zero: as before
}

// place is the id that the item comes after, or at. A gap comes before all that is above what the stream had of the topic:
// whoever is cut off at an event from within the gap may go on at a replica that still has the gap's last events in its
// log, and that would not notice that others before them are missing.
func (it *item) place() broker.ID {
	if it.gap {
		return it.after
	}
	return it.id
}

// A merge reads topics of one partition up to an id, merged in id order, with gaps as early as they can be told. The end
// of a full page bounds what is handed out: above it there may be smaller ids that have not been read.
type merge struct {
	broker  broker.Broker
	part    int
	readers []*reader
	end     broker.ID // nothing above it is handed out
	// crossing: a birth follows end, and every topic is told a gap there. None is told at end itself.
	crossing bool
	expired  func() broker.ID // what a last id is not above that the broker does not know any more
	limit    int
}

// next returns the next items, in id order, and the id up to which the history is complete with them; that is end when
// there is nothing more.
func (m *merge) next(ctx context.Context) ([]item, broker.ID, error) {
	if err := m.refill(ctx); err != nil {
		return nil, broker.ID{}, err
	}
	bound := m.end
	for _, r := range m.readers {
		if !r.done {
			bound = broker.Earlier(bound, r.items[len(r.items)-1].id)
		}
	}
	var items []item
	for _, r := range m.readers {
		n := 0
		for n < len(r.items) && !bound.Less(r.items[n].place()) {
			n++
		}
		items = append(items, r.items[:n]...)
		r.items = r.items[n:]
	}
	arrange(items, bound)
	return items, bound, nil
}

// arrange puts items in order; there is nothing else up to bound. The last of some gaps tells their end as the position if
// no event at or below it follows, so that who is cut off then is not told again.
func arrange(items []item, bound broker.ID) {
	slices.SortStableFunc(items, func(a, b item) int {
		at, other := a.place(), b.place()
		switch {
		case at.Less(other) || (at == other && b.gap && !a.gap):
			return -1
		case other.Less(at) || (at == other && a.gap && !b.gap):
			return 1
		}
		return 0
	})
	var end broker.ID
	for i := range items {
		it := &items[i]
		if !it.gap {
			end = broker.ID{}
			continue
		}
		end = broker.Later(end, it.id)
		last := i+1 == len(items) || (!items[i+1].gap && end.Less(items[i+1].id))
		if last && !bound.Less(end) {
			it.tell = end
		}
	}
}

// refill reads the next page of every topic that has nothing left in hand.
func (m *merge) refill(ctx context.Context) error {
	var reads []broker.Read
	var empty []*reader
	for _, r := range m.readers {
		if !r.done && len(r.items) == 0 {
			reads = append(reads, broker.Read{Topic: r.topic, After: r.has, Limit: m.limit})
			empty = append(empty, r)
		}
	}
	if len(reads) == 0 {
		return nil
	}
	for start := 0; start < len(reads); start += subscribeBatch {
		stop := min(start+subscribeBatch, len(reads))
		tails, err := m.broker.Read(ctx, m.part, reads[start:stop])
		if err != nil {
			return fmt.Errorf("read the history of %d topics: %w", stop-start, err)
		}
		for i, tail := range tails {
			m.take(empty[start+i], tail)
		}
	}
	return nil
}

// take adds a page to a reader. An event whose predecessor is later than what the reader has proves that something
// between was trimmed; also the first event beyond the end, which is not handed out.
func (m *merge) take(r *reader, tail broker.Tail) {
	for _, e := range tail.Entries {
		m.gap(r, e.Prev, e.ID)
		if m.end.Less(e.ID) {
			r.done = true
			return
		}
		r.items = append(r.items, item{id: e.ID, topic: r.topic, from: r, entry: e})
		r.has, r.known = e.ID, broker.ID{}
	}
	if len(tail.Entries) == m.limit {
		return
	}
	r.done = true
	if len(tail.Entries) > 0 {
		return
	}
	last := tail.Last
	if last.IsZero() {
		last = m.expired()
	}
	m.gap(r, last, broker.ID{})
}

// gap notes that nothing between what the reader has and id can be read any more, if that is so.
func (m *merge) gap(r *reader, id, oldest broker.ID) {
	id = broker.Earlier(id, m.end)
	if !broker.Later(r.has, r.known).Less(id) || (m.crossing && id == m.end) {
		return
	}
	r.items = append(r.items, item{id: id, topic: r.topic, from: r, gap: true, after: r.has, oldest: oldest})
	r.has = id
}
