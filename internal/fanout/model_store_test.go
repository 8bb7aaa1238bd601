package fanout

import (
	"maps"
	"slices"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// A modelStore is one partition of the model's broker: what Redis does in its scripts, as simply as it can be said. Only the
// driver touches it.
type modelStore struct {
	w      *modelWorld
	part   int
	data   modelData
	before []modelData // as it was before each of the last publishes
	skew   time.Duration
	feeds  []*modelFeed

	unchecked bool // a birth is no fault: the suite of the contract asks for some

	// What the oracle knows of the store.
	events []*modelEvent // every event ever given out
	births []broker.ID
	lossy  bool      // events have been lost that the last birth does not tell of
	top    broker.ID // the largest id that was lost
	// twice: ids may have been given out twice, since whoever noticed a loss did not know the largest id lost. A client that
	// then goes to a replica that did not see the loss either may not be told.
	twice  bool
	losses []broker.ID // the clock after each loss
}

// modelData is what a store loses when it rewinds.
type modelData struct {
	clock, born broker.ID
	topics      map[string]modelTopic
	keys        map[string]modelKey
	events      int // len(modelStore.events) at the time
}

type modelTopic struct {
	entries []broker.Entry
	last    broker.ID
	closed  broker.ID
	stopped time.Time
	touched time.Time
}

type modelKey struct {
	id     broker.ID
	lapses time.Time
}

// modelEvent is one event that the broker gave an id.
type modelEvent struct {
	n     int // in the order of publishing, over all partitions
	part  int
	topic string
	id    broker.ID
	close bool
	// lost: the broker has lost it. doubtful: it came after a loss that no birth had told of yet.
	// gone: it had been trimmed when the broker went back to a time before that.
	lost, doubtful, gone bool
}

func newModelData() modelData {
	return modelData{topics: make(map[string]modelTopic), keys: make(map[string]modelKey)}
}

func (d modelData) clone() modelData {
	d.topics, d.keys = maps.Clone(d.topics), maps.Clone(d.keys)
	for name, t := range d.topics {
		t.entries = slices.Clip(t.entries)
		d.topics[name] = t
	}
	return d
}

func (s *modelStore) nextID(floor broker.ID) broker.ID {
	id := broker.Later(broker.ID{MS: uint64(time.Now().Add(s.skew).UnixMilli())}, s.data.clock.Next())
	if !floor.Less(id) {
		id = floor.Next()
	}
	s.data.clock = id
	return id
}

// topic is a topic as it is now, after what has expired.
func (s *modelStore) topic(name string) modelTopic {
	t, now := s.data.topics[name], time.Now()
	if !now.Before(t.touched.Add(s.w.keep.Events)) {
		t.entries = nil
	}
	if !now.Before(t.touched.Add(s.w.keep.Close)) {
		t.closed = broker.ID{}
	}
	if !now.Before(t.touched.Add(s.w.keep.LastIDKept())) {
		t.last = broker.ID{}
	}
	return t
}

func (s *modelStore) birth(floor broker.ID) {
	if !s.unchecked && len(s.births) > 0 && !s.lossy && !s.data.clock.Less(floor) {
		s.w.fail("a birth after %s, and nothing was lost since the last", s.data.clock)
	}
	s.data.born = s.nextID(floor)
	s.w.log("birth of partition %d at %s", s.part, s.data.born)
	// A birth at or below an id that was lost leaves the same ids to be given out twice.
	s.twice = s.twice || (!s.top.IsZero() && !s.top.Less(s.data.born))
	s.births, s.lossy = append(s.births, s.data.born), s.lossy && !s.top.Less(s.data.born)
	s.broadcast(broker.Message{Kind: broker.MessageBirth, Mark: broker.Mark{Born: s.data.born}})
}

func (s *modelStore) broadcast(m broker.Message) {
	for _, f := range s.feeds {
		f.send(m)
	}
}

// publish is luaPublish.
func (s *modelStore) publish(op *broker.Op) broker.Result {
	t, now := s.topic(op.Topic), time.Now()
	if s.data.clock.Less(op.Floor) {
		s.birth(op.Floor)
	}
	if !t.closed.IsZero() {
		if op.Close {
			return broker.Result{ID: t.closed}
		}
		return broker.Result{Err: broker.ErrTopicClosed}
	}
	if op.Stop {
		t.stopped = now
		s.data.topics[op.Topic] = t
		return broker.Result{}
	}
	if !op.Close && s.w.keep.Stopped(t.stopped, now) {
		return broker.Result{Err: broker.ErrTopicStopped}
	}
	if known, ok := s.data.keys[op.Key]; ok && op.Key != "" && now.Before(known.lapses) {
		return broker.Result{ID: known.id}
	}
	s.data.events = len(s.events)
	s.before = append(s.before, s.data.clone())
	if len(s.before) > 8 {
		s.before = s.before[1:]
	}
	floor := broker.Later(op.Floor, t.last)
	if t.last.IsZero() && s.data.born.IsZero() {
		s.birth(floor)
	}
	for _, block := range op.Last {
		t = s.add(t, op.Topic, block, op.Floor, false)
	}
	t = s.add(t, op.Topic, op.Block, op.Floor, op.Close)
	if op.Key != "" {
		s.data.keys[op.Key] = modelKey{id: t.last, lapses: now.Add(s.w.keep.Key)}
	}
	s.data.topics[op.Topic] = t
	return broker.Result{ID: t.last}
}

// add puts an event at the end of its topic, which it returns, and sends it to the feeds.
func (s *modelStore) add(t modelTopic, name string, block []byte, floor broker.ID, closes bool) modelTopic {
	id := s.nextID(broker.Later(floor, t.last))
	s.twice = s.twice || (!s.top.IsZero() && !s.top.Less(id))
	prev := t.last
	if prev.IsZero() {
		prev = broker.Later(s.data.born, id.Minus(s.w.keep.LastID))
	}
	entry := broker.Entry{ID: id, Prev: prev, Close: closes, Frame: sse.NewFrame(block, id.String())}
	if s.w.keep.Size > 0 {
		t.entries = append(slices.Clip(t.entries), entry)
		t.entries = t.entries[max(len(t.entries)-s.w.keep.Size, 0):]
	}
	t.last, t.touched, t.closed, t.stopped = id, time.Now(), broker.ID{}, time.Time{}
	if closes {
		t.closed = id
	}
	s.w.published(s, &modelEvent{n: numberOf(entry.Frame), part: s.part, topic: name, id: id, close: closes, doubtful: s.lossy})
	for _, f := range s.feeds {
		if f.topics[name] {
			f.send(broker.Message{Kind: broker.MessageEvent, Topic: name, Entry: entry})
		}
	}
	return t
}

// mark is luaMark.
func (s *modelStore) mark(replica string, seq uint64, floor, rebirth broker.ID) {
	d := &s.data
	if d.clock.IsZero() || d.born.IsZero() || d.clock.Less(floor) || (!rebirth.IsZero() && !rebirth.Less(d.born)) {
		s.birth(floor)
	}
	if now := (broker.ID{MS: uint64(time.Now().Add(s.skew).UnixMilli())}); d.clock.Less(now.Minus(s.w.keep.QuietLag())) {
		s.nextID(floor) // a quiet partition's clock goes on, so that nobody's position grows older than last ids are kept
	}
	for _, f := range s.feeds {
		if f.replica == replica {
			f.send(broker.Message{Kind: broker.MessageMark, Mark: broker.Mark{Seq: seq, Head: d.clock, Born: d.born}})
		}
	}
}

// readEntries is what a broker.Read asks of a topic's stream, without its ends.
func (s *modelStore) readEntries(r *broker.Read, tail *broker.Tail) {
	var all []broker.Entry
	for _, e := range s.topic(r.Topic).entries {
		if r.After.Less(e.ID) && (r.Before.IsZero() || !r.Before.Less(e.ID)) {
			all = append(all, e)
		}
	}
	newest := !r.Before.IsZero()
	if newest {
		slices.Reverse(all)
	}
	size := 0
	for _, e := range all {
		size += e.Frame.Len()
		if tail.Full = len(tail.Entries) > 0 && r.Bytes > 0 && size > r.Bytes; tail.Full {
			break
		}
		tail.Entries = append(tail.Entries, e)
		if tail.Full = len(tail.Entries) == r.Limit; tail.Full {
			break
		}
	}
	if newest {
		slices.Reverse(tail.Entries)
	}
}

func (s *modelStore) readBeyond(r *broker.Read, tail *broker.Tail) {
	for _, e := range s.topic(r.Topic).entries {
		if r.Before.Less(e.ID) {
			tail.Beyond = &e
			return
		}
	}
}

// rewind takes back the last n publishes and all that came after the first of them; lose takes back everything.
func (s *modelStore) rewind(n int) {
	if n = min(n, len(s.before)); n == 0 {
		return
	}
	s.restore(s.before[len(s.before)-n].clone())
	s.before = s.before[:len(s.before)-n]
}

func (s *modelStore) lose() {
	s.restore(newModelData())
	s.before = nil
}

func (s *modelStore) restore(d modelData) {
	for _, e := range s.events {
		e.gone = e.gone || !s.kept(e)
	}
	s.data, s.lossy = d, true
	s.losses = append(s.losses, d.clock)
	for _, e := range s.events[d.events:] {
		if !e.lost {
			e.lost, s.top = true, broker.Later(s.top, e.id)
			s.w.lost(e)
		}
	}
}

// kept tells whether the history still has an event.
func (s *modelStore) kept(e *modelEvent) bool {
	return !e.lost && !e.gone && slices.ContainsFunc(s.topic(e.topic).entries, func(k broker.Entry) bool { return k.ID == e.id })
}
