package fanout

import (
	"slices"
	"sort"
	"time"

	"sse-gateway/internal/broker"
)

// A topic is what this replica knows of one topic that it is subscribed to. Guarded by partition.mu.
type topic struct {
	name   string
	shares []*share // its subscriptions

	sent     bool   // a SUBSCRIBE is on its way or acknowledged, on this connection
	acked    bool   // acknowledged on this connection
	openedBy uint64 // the first mark that opens it: the first sent after the acknowledgement (rule 8)
	// open: chain, from and the log are valid. It outlives the connection.
	open bool
	// ready: its close marker has been read too; subscriptions may join.
	ready      bool
	emptySince time.Time // since when nobody has subscribed; zero: somebody has
	// lapsing: it is in partition.lapsing.
	lapsing bool

	// chain: everything of the topic up to it has been dispatched, or was before the topic was opened (rule 17). The next event
	// names it as its predecessor, or an earlier id if nothing was published in between. Never above the watermark while
	// the partition is live.
	chain broker.ID
	// exact: chain is the id of an event. Only then does an event with an earlier predecessor prove a loss: the topic was opened
	// at 20, say, or told a gap up to there, and its last event is 12, which the next one names.
	exact  bool
	closed broker.ID // of the close event; zero: open

	// The log holds every event of the topic in (from, chain]. With from 12 and chain 20 it may be 14 and 20: a stream at 12 or above
	// can be served from it, one at 11 needs what lies between.
	log   []broker.Entry
	bytes int
	from  broker.ID
	// trimmed: the broker has nothing between a reader at or below from and the log. A reader below from has a gap.
	trimmed bool
	filling chan struct{} // closed when the read that extends the log downwards has ended
}

// start opens the topic's chain and log at head.
func (t *topic) start(head broker.ID) {
	t.open, t.chain, t.exact = true, head, false
	t.reset(head, false)
}

// reset empties the log: it is complete above from only.
func (t *topic) reset(from broker.ID, trimmed bool) {
	t.log, t.bytes, t.from, t.trimmed = nil, 0, from, trimmed
}

// covers tells whether a reader at pos can be served without the broker.
func (t *topic) covers(pos broker.ID) bool { return t.trimmed || !pos.Less(t.from) }

// append adds the newest event and returns how many bytes the log grew by.
func (t *topic) append(e broker.Entry, b *bounds) int {
	before := t.bytes
	t.log = append(t.log, e)
	t.bytes += e.Frame.Len()
	t.chain, t.exact = e.ID, true
	for len(t.log) > 1 && (len(t.log) > b.logEvents || t.bytes > b.logBytes) {
		t.dropOldest()
	}
	return t.bytes - before
}

// dropOldest forgets the log's oldest event; the broker may still have it.
func (t *topic) dropOldest() {
	t.bytes -= t.log[0].Frame.Len()
	t.from, t.trimmed = t.log[0].ID, false
	t.log[0] = broker.Entry{}
	if t.log = t.log[1:]; len(t.log) == 0 {
		t.log = nil
	}
}

// prepend extends the log downwards by what a read of (…, t.from] brought. It keeps to the log's bounds.
func (t *topic) prepend(older []broker.Entry, from broker.ID, trimmed bool, b *bounds) {
	size := 0
	for i, e := range slices.Backward(older) {
		size += e.Frame.Len()
		if len(t.log)+len(older)-i > b.logEvents || t.bytes+size > b.logBytes {
			size -= e.Frame.Len()
			older, from, trimmed = older[i+1:], e.ID, false
			break
		}
	}
	t.log = append(slices.Clone(older), t.log...)
	t.bytes += size
	t.from, t.trimmed = from, trimmed
}

// after returns the log's events above pos.
func (t *topic) after(pos broker.ID) []broker.Entry {
	return t.log[sort.Search(len(t.log), func(i int) bool { return pos.Less(t.log[i].ID) }):]
}

// oldest is the id of the oldest event in the log; zero if there is none.
func (t *topic) oldest() broker.ID {
	if len(t.log) == 0 {
		return broker.ID{}
	}
	return t.log[0].ID
}

// closedAt tells whether a stream at pos has the topic's close event behind it.
func (t *topic) closedAt(pos broker.ID, now time.Time, keep *broker.Retention) bool {
	return keep.Closed(t.closed, now) && !pos.Less(t.closed)
}

// add and remove keep the topic's subscriptions; each share knows its place.
func (t *topic) add(sh *share, at int) {
	sh.topics[at].slot = len(t.shares)
	t.shares = append(t.shares, sh)
	t.emptySince = time.Time{}
}

func (t *topic) remove(slot int) {
	last := len(t.shares) - 1
	moved := t.shares[last]
	t.shares[slot], t.shares[last] = moved, nil
	t.shares = t.shares[:last]
	for i := range moved.topics {
		if moved.topics[i].topic == t && moved.topics[i].slot == last {
			moved.topics[i].slot = slot
			break
		}
	}
	if last == 0 {
		t.shares = nil
	}
}
