// Package check holds every delivery against what was published: each event must reach each subscriber of its topic
// once, and all of them in one order that agrees with the order of publishing.
package check

import (
	"math"
	"slices"
)

// A Book keeps what was published and what was delivered. It is owned by one goroutine.
//
// The order of a topic is the order in which its events first arrived anywhere. Every other stream must show the same
// order, and that order must not put an event before one whose publish had been acknowledged when it was sent. Where
// publishes are pipelined over one connection (Pipelined), it must be the order of sending.
type Book struct {
	topics    []topic
	streams   []*Stream
	pipelined bool
	expected  int // deliveries that the publishes so far ask for
	delivered int // those that have come
	faults    Faults
}

// topic holds one topic's events. An event is named by its sequence number: its index in order of sending.
type topic struct {
	events  []event
	log     []int32 // sequence numbers in order of arrival
	highest int32   // sequence number in log
	streams int32   // that are open on the topic
}

type event struct {
	place   int32 // 1 + index in log; 0: has not arrived
	acked   int32 // number of events sent when the acknowledgement came; 0: not acknowledged
	reached int32 // streams that have it
}

// A Stream is the book's view of one subscriber.
type Stream struct {
	first   int
	next    []int32            // per topic from first on: the index in log of the event that comes next
	missing map[place]struct{} // skipped, and may yet come late
}

type place struct{ topic, index int32 }

// NewBook returns a book for topics 0 to topics-1.
func NewBook(topics int, pipelined bool) *Book {
	b := &Book{topics: make([]topic, topics), pipelined: pipelined}
	for i := range b.topics {
		b.topics[i].highest = -1
	}
	return b
}

// Open adds a stream of topics first to first+count-1, none of which has an event under way.
func (b *Book) Open(first, count int) *Stream {
	s := &Stream{first: first, next: make([]int32, count)}
	for i := range s.next {
		t := &b.topics[first+i]
		t.streams++
		s.next[i] = int32(len(t.log))
	}
	b.streams = append(b.streams, s)
	return s
}

// Sent notes that an event is being sent to a topic and returns its sequence number.
func (b *Book) Sent(topic int) (seq int) {
	t := &b.topics[topic]
	t.events = append(t.events, event{})
	b.expected += int(t.streams)
	return len(t.events) - 1
}

// Acked notes that the server has accepted an event.
func (b *Book) Acked(topic, seq int) {
	t := &b.topics[topic]
	t.events[seq].acked = int32(len(t.events))
}

// Refused notes that the server has not accepted an event, which is a fault, but lets nobody wait for it.
func (b *Book) Refused(topic, seq int) {
	t := &b.topics[topic]
	b.expected -= int(t.streams - t.events[seq].reached)
	b.faults.add(&b.faults.Refused, "event %d of topic %d was refused", seq, topic)
}

// Ended notes that the server has ended a stream, or sent something that a healthy stream does not hold.
func (b *Book) Ended(s *Stream, reason string) {
	b.faults.add(&b.faults.Ended, "stream of topic %d: %s", s.first, reason)
}

// Outstanding returns how many deliveries are still to come.
func (b *Book) Outstanding() int { return b.expected - b.delivered }

// Delivered notes that an event has reached a stream, and reports whether it has now reached all of its topic.
func (b *Book) Delivered(s *Stream, topic, seq int) (all bool) {
	i := topic - s.first
	if i < 0 || i >= len(s.next) || seq < 0 || seq >= len(b.topics[topic].events) {
		b.faults.add(&b.faults.Misrouted, "event %d of topic %d on a stream of topic %d", seq, topic, s.first)
		return false
	}
	t := &b.topics[topic]
	e := &t.events[seq]
	if e.place == 0 {
		b.arrived(topic, seq)
	}
	at, next := e.place-1, s.next[i]
	switch {
	case at == next:
		s.next[i]++
	case at > next:
		s.skip(topic, next, at)
		s.next[i] = at + 1
	case s.late(topic, at):
		b.faults.add(&b.faults.Reordered, "event %d of topic %d came late on a stream", seq, topic)
	default:
		b.faults.add(&b.faults.Doubled, "event %d of topic %d came twice on a stream", seq, topic)
		return false
	}
	b.delivered++
	e.reached++
	return e.reached == t.streams
}

// arrived gives an event its place in its topic's order.
func (b *Book) arrived(topic, seq int) {
	t := &b.topics[topic]
	e := &t.events[seq]
	mayPrecede := int32(math.MaxInt32) // events from this one on were sent after e was acknowledged
	switch {
	case b.pipelined:
		mayPrecede = int32(seq)
	case e.acked > 0:
		mayPrecede = e.acked
	}
	if t.highest >= mayPrecede {
		b.faults.add(&b.faults.Reordered, "event %d of topic %d came after %d, which was sent later", seq, topic, t.highest)
	}
	t.highest = max(t.highest, int32(seq))
	t.log = append(t.log, int32(seq))
	e.place = int32(len(t.log))
}

func (s *Stream) skip(topic int, from, to int32) {
	if s.missing == nil {
		s.missing = make(map[place]struct{})
	}
	for at := from; at < to; at++ {
		s.missing[place{int32(topic), at}] = struct{}{}
	}
}

func (s *Stream) late(topic int, at int32) bool {
	p := place{int32(topic), at}
	_, ok := s.missing[p]
	delete(s.missing, p)
	return ok
}

// Finish looks for the deliveries that have not come, now that no more can, and returns all faults.
func (b *Book) Finish() Faults {
	f := b.faults
	f.Examples = slices.Clone(f.Examples)
	for _, s := range b.streams {
		for p := range s.missing {
			f.add(&f.Lost, "event %d of topic %d was skipped on a stream", b.topics[p.topic].log[p.index], p.topic)
		}
		for i, next := range s.next {
			for _, seq := range b.topics[s.first+i].log[next:] {
				f.add(&f.Lost, "event %d of topic %d never came on a stream", seq, s.first+i)
			}
		}
	}
	for i := range b.topics {
		for seq, e := range b.topics[i].events {
			if e.place > 0 || e.acked == 0 {
				continue
			}
			for range b.topics[i].streams {
				f.add(&f.Lost, "event %d of topic %d came nowhere", seq, i)
			}
		}
	}
	return f
}
