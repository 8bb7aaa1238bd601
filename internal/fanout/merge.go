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
	// Of a replica's catch-up: the topic, the id of its close event, and whether the broker has forgotten its last id.
	t         *topic
	closed    broker.ID
	forgotten bool
	has       broker.ID // every event of the topic up to it has been read, or is told missing
	// known: no gap is told up to it (the stream did not ask for what was before).
	known broker.ID
	items []item // read, not yet handed out
	done  bool   // nothing is left up to the merge's end

	given      broker.ID // has, but of what has been handed out
	givenKnown broker.ID // and known
	// next is the place of what was read and dropped again for want of room: nothing of the topic is between given and it.
	next broker.ID
}

func newReader(topic string, has, known broker.ID) *reader {
	return &reader{topic: topic, has: has, known: known, given: has, givenKnown: known}
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

// place is the id that the item comes after, or at. A gap (rule 14) comes before all that is above what the stream had of the topic:
// whoever is cut off at an event from within the gap may go on at a replica that still has the gap's last events in its
// log, and that would not notice that others before them are missing.
func (it *item) place() broker.ID {
	if it.gap {
		return it.after
	}
	return it.id
}

// size is how many bytes the item takes in a stream's queue, about.
func (it *item) size() int {
	if it.gap {
		return len(it.topic) + 128
	}
	return it.entry.Frame.Len()
}

// A merge reads topics of one partition up to an id, merged in id order, with gaps as early as they can be told. The end
// of a full page bounds what is handed out (rule 10): above it there may be smaller ids that have not been read. Pages of
// two events, say, of topic a are 10 and 30, of topic b 20 and 21: what is handed out is 10, 20 and 21, and not 30, since b may have a 25.
type merge struct {
	broker    broker.Broker
	partition int
	readers   []*reader
	end       broker.ID // nothing above it is handed out
	// crossing: a birth follows end, and every topic is told a gap there. None is told at end itself.
	crossing  bool
	forgotten func() broker.ID // what a last id is not above that the broker does not know any more
	limit     int              // events of one page of one topic
	// bytes bounds what is handed out at once, and what is kept in hand for later, unless a single event is larger. While a
	// page is being read there is one more event of each topic of a batch.
	bytes int
}

// mergeBatch is how many topics a merge reads at once.
const mergeBatch = 128

// next returns the next items, in id order, and the id up to which the history is complete with them; that is end when
// there is nothing more.
func (m *merge) next(ctx context.Context) ([]item, broker.ID, error) {
	if err := m.refill(ctx); err != nil {
		return nil, broker.ID{}, err
	}
	bound := m.bound()
	items := m.upTo(bound)
	if cut := m.cut(items); !cut.IsZero() {
		bound = cut
		items = m.upTo(bound)
	}
	for i := range items {
		it := &items[i]
		r := it.from
		r.given = it.id
		if !it.gap {
			r.givenKnown = broker.ID{}
		}
		r.items = r.items[1:]
	}
	m.shed()
	arrange(items, bound)
	return items, bound, nil
}

// bound is the id up to which everything has been read.
func (m *merge) bound() broker.ID {
	bound := m.end
	for _, r := range m.readers {
		switch {
		case r.done:
		case !r.next.IsZero():
			bound = broker.Earlier(bound, r.next.Prior())
		default:
			bound = broker.Earlier(bound, r.items[len(r.items)-1].id)
		}
	}
	return bound
}

// upTo collects the items in hand up to bound, topic by topic.
func (m *merge) upTo(bound broker.ID) []item {
	var items []item
	for _, r := range m.readers {
		n := 0
		for n < len(r.items) && !bound.Less(r.items[n].place()) {
			n++
		}
		items = append(items, r.items[:n]...)
	}
	return items
}

// cut returns where items are to end that are too large to be handed out at once; zero if they are not. What comes first is
// handed out in any case.
func (m *merge) cut(items []item) broker.ID {
	size := 0
	for i := range items {
		size += items[i].size()
	}
	if size <= m.bytes {
		return broker.ID{}
	}
	sorted := slices.Clone(items)
	sortItems(sorted)
	size = 0
	for i := range sorted {
		place := sorted[i].place()
		if size += sorted[i].size(); size > m.bytes && sorted[0].place().Less(place) {
			return place.Prior()
		}
	}
	return broker.ID{}
}

// shed drops what is in hand beyond the bound, and notes where it is to be read again: that which is needed last first.
func (m *merge) shed() {
	size := 0
	var holding []*reader
	for _, r := range m.readers {
		if len(r.items) > 0 {
			holding = append(holding, r)
		}
		for i := range r.items {
			size += r.items[i].size()
		}
	}
	if size <= m.bytes {
		return
	}
	// An event and a gap may have the same place: the event comes first, and must stay, or it would be read and dropped for ever.
	slices.SortFunc(holding, func(a, b *reader) int { return compareItems(b.items[0], a.items[0]) })
	for _, r := range holding[:len(holding)-1] {
		if size <= m.bytes {
			return
		}
		for i := range r.items {
			size -= r.items[i].size()
		}
		r.next = r.items[0].place()
		if r.items[0].gap {
			r.next = r.next.Next() // which it is after
		}
		r.items, r.done, r.has, r.known = nil, false, r.given, r.givenKnown
	}
}

// arrange puts items in order; there is nothing else up to bound. The last of some gaps tells their end as the position if
// no event at or below it follows, so that who is cut off then is not told again.
func arrange(items []item, bound broker.ID) {
	sortItems(items)
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

func sortItems(items []item) { slices.SortStableFunc(items, compareItems) }

// compareItems compares items by place; of two at the same, an event comes before a gap.
func compareItems(a, b item) int {
	order := compareIDs(a.place(), b.place())
	switch {
	case order != 0 || a.gap == b.gap:
		return order
	case b.gap:
		return -1
	}
	return 1
}

func compareIDs(a, b broker.ID) int {
	switch {
	case a.Less(b):
		return -1
	case b.Less(a):
		return 1
	}
	return 0
}

// refill reads the next page of every topic that has nothing left in hand, and is not known to come later than others.
func (m *merge) refill(ctx context.Context) error {
	var empty []*reader
	first := m.end // of what was dropped
	for _, r := range m.readers {
		switch {
		case r.done || len(r.items) > 0:
		case r.next.IsZero():
			empty = append(empty, r)
		default:
			first = broker.Earlier(first, r.next)
		}
	}
	inHand := m.firstInHand()
	for _, r := range m.readers {
		// What was dropped is needed when nothing in hand comes before it.
		if !r.next.IsZero() && r.next == first && (inHand.IsZero() || !inHand.Less(first)) {
			empty = append(empty, r)
		}
	}
	for batch := range slices.Chunk(empty, mergeBatch) {
		if err := m.read(ctx, batch); err != nil {
			return err
		}
		m.shed()
	}
	return nil
}

// firstInHand is the place of the first item in hand; zero without one.
func (m *merge) firstInHand() broker.ID {
	var first broker.ID
	for _, r := range m.readers {
		if len(r.items) > 0 && (first.IsZero() || r.items[0].place().Less(first)) {
			first = r.items[0].place()
		}
	}
	return first
}

// read reads a page of each of some topics.
func (m *merge) read(ctx context.Context, batch []*reader) error {
	tails, err := m.tails(ctx, batch)
	if err != nil {
		return err
	}
	for i, r := range batch {
		r.next = broker.ID{}
		m.take(r, tails[i])
	}
	return nil
}

// tails asks the broker for a page of each of some topics.
func (m *merge) tails(ctx context.Context, batch []*reader) ([]broker.Tail, error) {
	reads := make([]broker.Read, len(batch))
	for i, r := range batch {
		reads[i] = broker.Read{Topic: r.topic, After: r.has, Limit: m.limit, Bytes: max(m.bytes/len(batch), 1)}
	}
	tails, err := m.broker.Read(ctx, m.partition, reads)
	if err != nil {
		return nil, fmt.Errorf("read the history of %d topics: %w", len(reads), err)
	}
	return tails, nil
}

// take adds a page to a reader. An event whose predecessor is later than what the reader has proves that something
// between was trimmed (rule 12); also the first event beyond the end, which is not handed out. The reader has 10: event 30 with
// predecessor 20 tells a gap up to 20, with predecessor 10 none. If nothing is left, the topic's last id is proof, or that
// there is none (rule 13): a last id of 20 tells a gap up to 20.
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
	if tail.Full {
		return
	}
	r.done = true
	if len(tail.Entries) > 0 {
		return
	}
	last := tail.Last
	if last.IsZero() {
		last = m.forgotten()
	}
	m.gap(r, last, broker.ID{})
}

// gap notes that nothing between what the reader has and id can be read any more, if that is so. Its id is not above the end (rule
// 14): what is above it the stream may still get.
func (m *merge) gap(r *reader, id, oldest broker.ID) {
	id = broker.Earlier(id, m.end)
	if !broker.Later(r.has, r.known).Less(id) || (m.crossing && id == m.end) {
		return
	}
	r.items = append(r.items, item{id: id, topic: r.topic, from: r, gap: true, after: r.has, oldest: oldest})
	r.has = id
}
