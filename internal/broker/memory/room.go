package memory

import (
	"fmt"
	"hash/maphash"
	"time"

	"sse-gateway/internal/broker"
)

const (
	forgottenSlots = 1 << 14 // of 16 bytes
	// followedLooks is how many topics that are followed are passed over at a time in the search for one that is not.
	followedLooks = 64
)

// forgotten is what is still known of topics that were forgotten for want of room, however many: for each slot, in which
// topics' names fall, the latest of their last ids. So every one of them is known not to have had an event after that id; a
// position before it may have missed one, and is told a gap, needlessly at worst.
type forgotten struct {
	seed  maphash.Seed
	slots []broker.ID // nil before the first
}

func (f *forgotten) slot(topic string) *broker.ID {
	return &f.slots[maphash.String(f.seed, topic)%forgottenSlots]
}

func (f *forgotten) note(topic string, last broker.ID) {
	if f.slots == nil {
		f.seed, f.slots = maphash.MakeSeed(), make([]broker.ID, forgottenSlots)
	}
	slot := f.slot(topic)
	*slot = broker.Later(*slot, last)
}

func (f *forgotten) last(topic string) broker.ID {
	if f.slots == nil {
		return broker.ID{}
	}
	return *f.slot(topic)
}

// lastBound is an id that no event of a topic that is not known lies after, or zero if it can only have lapsed. Since a
// topic that is followed is not forgotten, what has been forgotten later does not matter for one.
//
// An id that is older than last ids are kept counts as lapsed: a topic that has lapsed and shares the slot may have had
// a later one. Between LastID, before which every position is told a gap then, and LastIDKept, after which a topic lapses, less
// QuietLag by which the clock may be behind, half of what remains is on either side.
func (m *Broker) lastBound(topic string) broker.ID {
	last := m.gone.last(topic)
	for feed := range m.feeds {
		if since, follows := feed.topics[topic]; follows {
			last = broker.Earlier(last, since)
		}
	}
	keep := m.opts.Retention
	if last.Less(m.last.Minus(keep.LastID + (keep.LastIDKept()-keep.LastID-keep.QuietLag())/2)) {
		return broker.ID{}
	}
	return last
}

// makeRoom forgets topics without events, the one published to longest ago first, and where there is none that nobody
// follows, drops the events of the topic published to longest ago. It does not forget inUse.
func (m *Broker) makeRoom(inUse *topic) {
	for m.bytes > m.opts.MaxBytes {
		if m.forget(inUse) {
			continue
		}
		front := m.fresh.Front()
		if front == nil {
			return
		}
		t := front.Value.(*topic)
		m.drop(t, len(t.entries))
		m.move(t)
	}
}

// forget forgets the topic without events that was published to longest ago, if it finds one.
func (m *Broker) forget(inUse *topic) bool {
	for range min(followedLooks, m.stale.Len()) {
		front := m.stale.Front()
		t := front.Value.(*topic)
		if t != inUse && !m.followed(t.name) {
			m.gone.note(t.name, t.last)
			m.remove(t)
			return true
		}
		m.stale.MoveToBack(front)
	}
	return false
}

func (m *Broker) followed(topic string) bool {
	for feed := range m.feeds {
		if _, follows := feed.topics[topic]; follows {
			return true
		}
	}
	return false
}

// remove removes a topic without events.
func (m *Broker) remove(t *topic) {
	m.stale.Remove(t.place)
	delete(m.topics, t.name)
	m.bytes -= memoryOverhead + len(t.name)
}

// countKey counts n keys of a length.
func (m *Broker) countKey(key string, n int) {
	size := n * (memoryOverhead + len(key))
	m.bytes += size
	m.ofKeys += size
}

// Refused tells whether the broker is full of what it cannot let go: cuts, and topics that are followed.
func (m *Broker) Refused(int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(time.Now())
	m.makeRoom(nil)
	if m.bytes > m.opts.MaxBytes {
		return fmt.Errorf("%w: %d bytes of cuts, keys and topics that are followed, of at most %d", broker.ErrFull, m.bytes, m.opts.MaxBytes)
	}
	return nil
}

// drop forgets the oldest n events of a topic.
func (m *Broker) drop(t *topic, n int) {
	for _, e := range t.entries[:n] {
		m.bytes -= e.Frame.Len() + memoryOverhead
	}
	clear(t.entries[:n])
	if t.entries = t.entries[n:]; len(t.entries) == 0 {
		t.entries = nil
	}
}

// move puts a topic at the end of the list that it belongs to.
func (m *Broker) move(t *topic) {
	if t.in != nil {
		t.in.Remove(t.place)
	}
	t.in = &m.fresh
	if len(t.entries) == 0 {
		t.in = &m.stale
	}
	t.place = t.in.PushBack(t)
}

// expire drops the events, the last ids and the keys whose time is over.
func (m *Broker) expire(now time.Time) {
	for front := m.fresh.Front(); front != nil; front = m.fresh.Front() {
		t := front.Value.(*topic)
		if now.Before(t.touched.Add(m.opts.Retention.Events)) {
			break
		}
		m.drop(t, len(t.entries))
		m.move(t)
	}
	for front := m.stale.Front(); front != nil; front = m.stale.Front() {
		t := front.Value.(*topic)
		if now.Before(t.touched.Add(m.opts.Retention.LastIDKept())) {
			break
		}
		m.remove(t)
	}
	for len(m.spent) > 0 && !now.Before(m.keys[m.spent[0]].lapses) {
		delete(m.keys, m.spent[0])
		m.countKey(m.spent[0], -1)
		m.spent = m.spent[1:]
	}
}
