package fanout

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// The oracle checks every frame when its client receives it. Its main rule: a client that takes over a position has, of each
// of its topics, every event between its start and that position, or has been told a gap that covers it.

// begin notes where the stream starts.
func (s *modelSession) begin(start Start) {
	w := s.client.w
	s.start, s.all = make([]broker.ID, len(w.stores)), make([]bool, len(w.stores))
	s.moved = make([]bool, len(w.stores))
	s.told = slices.Repeat([]bool{start.kind != startCursor}, len(w.stores))
	for _, store := range w.stores {
		s.births = append(s.births, len(store.births))
	}
	switch start.kind {
	case startAll:
		for part := range s.all {
			s.all[part] = true
		}
	case startTime:
		s.timed = true
		for i := range s.start {
			s.start[i] = start.at
		}
	case startCursor:
		c, err := parseCursor(start.cursor, len(w.stores))
		if err != nil {
			s.forged = true
			break
		}
		oldest := c.oldest()
		for part, id := range c {
			if s.start[part] = id; id.IsZero() {
				s.start[part] = oldest
			}
			s.all[part], s.told[part] = s.start[part].IsBeginning(), id.IsZero()
		}
	}
	// Who comes back to begin with what there is, having taken over no position, asks for nothing that was before.
	s.client.owed = slices.DeleteFunc(s.client.owed, func(d modelDebt) bool { return s.all[d.event.part] })
	if s.pos = slices.Clone(s.start); s.timed {
		clear(s.pos) // it may begin earlier: at the clock
	}
}

// numberOf finds an event's number in what was published or received. Its id does not tell an event from others: after a
// loss it may be given out again.
func numberOf(frame *sse.Frame) int {
	_, rest, found := bytes.Cut(frame.Bytes(), []byte("#"))
	if !found {
		return -1
	}
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	n, _ := strconv.Atoi(string(rest[:digits]))
	return n
}

// take is what the client does with a frame that it has received.
func (s *modelSession) take(frame *sse.Frame) {
	w, c := s.client.w, s.client
	w.log("%s receives %q", c.name, frame.Bytes())
	decoder := sse.NewDecoder(bytes.NewReader(frame.Bytes()))
	decoder.Comments = true
	for event, err := decoder.Next(); err == nil; event, err = decoder.Next() {
		if event.Comment != "" {
			continue
		}
		var at []broker.ID
		if event.ID != "" {
			if at, err = parseCursor(event.ID, len(w.stores)); err != nil {
				w.fail("%s got the unreadable id %q", c.name, event.ID)
				return
			}
		}
		switch event.Type {
		case "ready":
			s.takeReady(at)
		case "gap":
			s.takeGap(frame, event.Data)
		case "message", "close":
			s.takeEvent(w.byNumber[numberOf(frame)], at)
		}
		if at == nil {
			continue
		}
		if event.Type != "ready" {
			s.arrive(at)
		}
		c.lastID = event.ID
	}
}

// takeReady: the stream begins, at its start or at an id that it is told now.
func (s *modelSession) takeReady(at []broker.ID) {
	if s.ready {
		s.client.w.fail("%s got ready twice", s.client.name)
	}
	s.ready = true
	for part, id := range at {
		if s.told[part] && !s.all[part] && !id.IsZero() {
			s.start[part], s.pos[part] = id, id
		}
	}
}

func (s *modelSession) takeEvent(e *modelEvent, at []broker.ID) {
	c, w := s.client, s.client.w
	switch {
	case e == nil || !slices.Contains(c.topics, e.topic):
		w.fail("%s got an event that nobody published, or of a topic that is not its: %v", c.name, e)
		return
	case c.got[e]:
		w.fail("%s got event %s twice", c.name, e)
	case at == nil || at[e.part] != e.id:
		w.fail("%s got event %s under another id: %v", c.name, e, at)
	}
	for _, debt := range c.owed {
		if debt.inOrder && debt.event.topic == e.topic && debt.event != e {
			w.fail("%s got %s before the gap for %s", c.name, e, debt.event)
		}
	}
	c.got[e], s.got[e] = true, true
	c.owed = slices.DeleteFunc(c.owed, func(d modelDebt) bool { return d.event == e })
}

func (s *modelSession) takeGap(frame *sse.Frame, data string) {
	w := s.client.w
	var gap struct{ Topic, After, Oldest string }
	if err := json.Unmarshal([]byte(data), &gap); err != nil || !slices.Contains(s.client.topics, gap.Topic) {
		w.fail("%s got a strange gap: %s, %v", s.client.name, data, err)
		return
	}
	after, _ := broker.ParseID(gap.After)
	part := partitionOf(gap.Topic, len(w.stores))
	if after.IsZero() && (s.forged || s.ahead(part)) {
		s.start[part], s.pos[part], s.all[part] = broker.ID{}, broker.ID{}, false // the one place where ids may fall
	}
	oldest, _ := broker.ParseID(gap.Oldest)
	s.open = append(s.open, modelGap{topic: gap.Topic, after: after, until: s.end(frame, oldest)})
	s.client.owed = slices.DeleteFunc(s.client.owed, func(d modelDebt) bool { return d.event.topic == gap.Topic })
}

// ahead tells whether the stream came with an id that the broker has forgotten.
func (s *modelSession) ahead(part int) bool {
	return slices.ContainsFunc(s.client.w.stores[part].losses, func(clock broker.ID) bool { return clock.Less(s.start[part]) })
}

// arrive: the stream is complete up to at.
func (s *modelSession) arrive(at []broker.ID) {
	w, c := s.client.w, s.client
	s.open = slices.DeleteFunc(s.open, func(gap modelGap) bool {
		part := partitionOf(gap.topic, len(at))
		if at[part] == s.pos[part] {
			return false // its id is still to come
		}
		gap.until = broker.Later(gap.until, at[part])
		s.gaps = append(s.gaps, gap)
		s.checkGap(gap)
		return true
	})
	rises := false
	for part, id := range at {
		if id.IsZero() {
			continue
		}
		if id.Less(s.pos[part]) {
			w.fail("%s: ids fall from %s to %s", c.name, s.pos[part], id)
		}
		rises, s.moved[part] = rises || s.pos[part].Less(id), s.moved[part] || s.start[part].Less(id)
		for _, e := range w.stores[part].events {
			if s.pos[part].Less(e.id) && s.start[part].Less(e.id) && !id.Less(e.id) && slices.Contains(c.topics, e.topic) && !s.hasOrMayMiss(e) {
				w.fail("%s is at %s and has not got %s", c.name, id, e)
			}
		}
		s.pos[part] = id
	}
	if !rises {
		w.fail("%s: the id %v does not rise", c.name, at)
	}
}

func (s *modelSession) hasOrMayMiss(e *modelEvent) bool {
	w, store := s.client.w, s.client.w.stores[e.part]
	switch {
	case s.got[e] || e.lost || e.doubtful:
		return true // the two last are debts
	case slices.ContainsFunc(s.gaps, func(g modelGap) bool { return g.topic == e.topic && g.after.Less(e.id) && !g.until.Less(e.id) }):
		return true
	case w.dropped[s.hub][e]:
		return true // a debt as well
	case store.kept(e):
		return false
	case (s.all[e.part] || (s.timed && !store.births[len(store.births)-1].Less(e.id))) &&
		!slices.ContainsFunc(store.events, func(o *modelEvent) bool { return o.topic == e.topic && s.got[o] && o.id.Less(e.id) }):
		return true // it asked for what there is; what had gone before its first event of the topic it did not ask for
	}
	// A loss may be noticed when the stream is beyond it: the gap comes then, but before the next event of its topic.
	s.client.owe(modelDebt{event: e, inOrder: true})
	return true
}

// checkGap: a gap is told only where there may be one.
func (s *modelSession) checkGap(g modelGap) {
	w, part := s.client.w, partitionOf(g.topic, len(s.client.w.stores))
	store := w.stores[part]
	for _, e := range store.events {
		// What is missing may be beyond the gap's id: then it proves that nothing is known of what is before. Without a
		// history that may even be on its way.
		missing := !store.kept(e) && (!s.got[e] || w.keep.Size == 0)
		if e.topic == g.topic && g.after.Less(e.id) && (missing || w.dropped[s.hub][e]) {
			return
		}
	}
	old := broker.ID{MS: uint64(time.Now().Add(store.skew).UnixMilli())}.Minus(w.keep.LastID)
	switch {
	case store.lossy, len(store.births) > max(s.births[part], 1): // the broker has told of a loss since
	case !g.after.IsBeginning() && slices.ContainsFunc(store.births, func(born broker.ID) bool { return !born.Less(g.after) }):
	case g.after.Less(old):
	case s.all[part]: // it asked for what there is
		w.fail("%s asked for what there is, and was told the gap %+v", s.client.name, g)
	case g.after.IsBeginning() && s.start[part].IsZero(): // its cursor was unreadable, or is unknown
	default:
		w.fail("%s was told a false gap: %+v", s.client.name, g)
	}
}

// checkStopped: 204 is for who has everything of closed topics.
func (s *modelSession) checkStopped() {
	for _, topic := range s.client.topics {
		store := s.client.w.stores[partitionOf(topic, len(s.client.w.stores))]
		closed := false
		for _, e := range store.events {
			if e.topic == topic {
				closed = e.close
			}
		}
		if !closed && len(store.losses) == 0 {
			s.client.w.fail("%s was told to stop, and topic %s is not closed", s.client.name, topic)
		}
	}
}

// checkClosed: a stream ends as closed when it has all its topics' close events.
func (s *modelSession) checkClosed() {
	w := s.client.w
	for _, topic := range s.client.topics {
		part := partitionOf(topic, len(w.stores))
		if !slices.ContainsFunc(w.stores[part].events, func(e *modelEvent) bool {
			return e.topic == topic && e.close && (!s.pos[part].Less(e.id) || !w.stores[part].kept(e))
		}) {
			w.fail("%s ended as closed, and topic %s has no close event up to %s", s.client.name, topic, s.pos[part])
		}
	}
}

func (e *modelEvent) String() string {
	flags := ""
	for flag, set := range map[string]bool{"close": e.close, "lost": e.lost, "doubtful": e.doubtful} {
		if set {
			flags += " " + flag
		}
	}
	return "#" + strconv.Itoa(e.n) + " " + strings.TrimSpace(e.topic+" "+e.id.String()+flags)
}
