package fanout

import "sse-gateway/internal/broker"

// A backlog is where a catch-up starts, and what has come since. Pure state, guarded by the dispatch lock.
//
// A catch-up reads the histories up to the Head of its mark; what the connection brings after the mark is above it and waits here:
// the two meet without a seam. Mark 8 comes back with Head 120. The catch-up reads up to 120, the backlog begins above it.
type backlog struct {
	markSeq uint64      // the mark that the catch-up starts from; 0: none has been asked for yet
	mark    broker.Mark // that mark, once it is back

	messages []broker.Message // what came after it, in order
	bytes    int              // in them
	// overflowed: there was too much, and it has been dropped. The catch-up that is under way is followed by another one, from a
	// new mark, which reads what was dropped.
	overflowed bool
}

// startFrom waits for a mark anew; 0: it is not to be asked for yet.
func (b *backlog) startFrom(markSeq uint64) { *b = backlog{markSeq: markSeq} }

// begins tells whether m is the mark that the catch-up starts from, and keeps it.
func (b *backlog) begins(m *broker.Message) bool {
	if m.Kind != broker.MessageMark || b.markSeq == 0 || m.Mark.Seq < b.markSeq {
		return false
	}
	b.mark = m.Mark
	return true
}

// add keeps what came after the mark, within bounds.
func (b *backlog) add(m *broker.Message, bounds *bounds) {
	if m.Kind == broker.MessageEvent {
		b.bytes += m.Entry.Frame.Len()
	}
	if b.overflowed || len(b.messages) >= bounds.backlogEvents || b.bytes > bounds.backlogBytes {
		b.messages, b.overflowed = nil, true
		return
	}
	b.messages = append(b.messages, *m)
}

// take empties the backlog.
func (b *backlog) take() []broker.Message {
	messages := b.messages
	b.messages, b.bytes = nil, 0
	return messages
}
