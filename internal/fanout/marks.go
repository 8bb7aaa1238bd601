package fanout

import "sse-gateway/internal/broker"

// Marks count those that this replica has sent through the broker and back, and know who waits for one. A mark that comes
// back proves two things: the connection lives, and every event up to the mark's Head has been received before it. Pure state,
// guarded by the dispatch lock.
//
// Whoever needs such a proof needs a mark that is sent after the question: if 7 marks have been sent, that is number 8 or a
// later one. Number 7 may be on its way back, and its Head from before an event that the question is about.
type marks struct {
	sent    uint64 // how many; the last one's Seq
	waiters []*markWaiter
}

// markWaiter waits for a mark that is sent after it came.
type markWaiter struct {
	seq        uint64
	head       broker.ID // the watermark at that mark; set before back is closed
	generation uint64    // the connection that brought it; set before back is closed
	back       chan struct{}
}

// next is the first mark that is not sent yet.
func (m *marks) next() uint64 { return m.sent + 1 }

// wait makes a waiter for the next mark.
func (m *marks) wait() *markWaiter {
	w := &markWaiter{seq: m.next(), back: make(chan struct{})}
	m.waiters = append(m.waiters, w)
	return w
}

// awaited tells whether somebody waits for a mark that has not been sent.
func (m *marks) awaited() bool {
	for _, w := range m.waiters {
		if w.seq > m.sent {
			return true
		}
	}
	return false
}

// cameBack frees who waited for a mark up to seq.
func (m *marks) cameBack(seq uint64, head broker.ID, generation uint64) {
	waiters := m.waiters
	m.waiters = nil
	for _, w := range waiters {
		if w.seq > seq {
			m.waiters = append(m.waiters, w)
			continue
		}
		w.head, w.generation = head, generation
		close(w.back)
	}
}
