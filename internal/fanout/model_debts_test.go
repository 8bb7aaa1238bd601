package fanout

import "slices"

// published notes an event that a store has given an id.
func (w *modelWorld) published(s *modelStore, e *modelEvent) {
	s.events = append(s.events, e)
	w.byNumber[e.n] = e
	w.log("published %s", e)
	if e.doubtful {
		w.owe(e, nil)
	}
}

// lost notes an event that the broker has lost. If somebody notices, everybody is told.
func (w *modelWorld) lost(e *modelEvent) {
	w.log("lost %s", e)
	var witnesses []*topic
	for _, h := range w.hubs {
		if t := h.partitions[e.part].topics[e.topic]; t != nil && t.open && t.exact && !t.chain.Less(e.id) {
			witnesses = append(witnesses, t)
		}
	}
	w.owe(e, witnesses)
}

// unknowable tells whether nobody can have known that the debt's event was lost, or to whom to tell it.
func (w *modelWorld) unknowable(d modelDebt) bool {
	store := w.stores[d.event.part]
	if store.twice || !d.event.lost || len(store.births) > d.births {
		return store.twice
	}
	return !slices.ContainsFunc(d.witnesses, func(t *topic) bool {
		return slices.ContainsFunc(w.hubs, func(h *Hub) bool { return h.partitions[d.event.part].topics[t.name] == t })
	})
}

// checkEvidence: no replica has dispatched an event that the broker has lost, and keeps quiet about it.
func (w *modelWorld) checkEvidence() {
	for _, h := range w.hubs {
		for i, p := range h.partitions {
			for name, t := range p.topics {
				if last := w.stores[i].topic(name).last; t.open && t.exact && !last.IsZero() && last.Less(t.chain) {
					w.fail("replica %s has dispatched %s of topic %s, and the broker's last is %s", h.broker.Replica(), t.chain, name, last)
				}
			}
		}
	}
}

// checkOrder: while a partition is live its ids stand in the order that evidence promises.
func (w *modelWorld) checkOrder() {
	for _, h := range w.hubs {
		for _, p := range h.partitions {
			p.mu.Lock()
			e := &p.evidence
			if p.state == live && (e.seen.Less(e.watermark) || e.watermark.Less(e.born)) {
				w.fail("replica %s, partition %d: born %s, watermark %s, seen %s do not rise", h.broker.Replica(), p.index, e.born, e.watermark, e.seen)
			}
			for name, t := range p.topics {
				if p.state == live && t.open && e.watermark.Less(t.chain) {
					w.fail("replica %s: the chain of topic %s is at %s, above the watermark %s", h.broker.Replica(), name, t.chain, e.watermark)
				}
			}
			p.mu.Unlock()
		}
	}
}

// owe notes what clients have to be told of, or to get: those that follow the topic and have not got the event.
func (w *modelWorld) owe(e *modelEvent, witnesses []*topic) {
	for _, c := range w.clients {
		if !c.got[e] && slices.Contains(c.topics, e.topic) && c.hasBegunBefore(e) {
			c.owe(modelDebt{event: e, witnesses: witnesses})
		}
	}
}

// hasBegunBefore tells whether a client has a position, and is not yet past an event that has been lost.
func (c *modelClient) hasBegunBefore(e *modelEvent) bool {
	s := c.session
	switch {
	case s != nil && s.ready && (s.moved[e.part] || (!s.all[e.part] && !s.timed)):
		return e.doubtful || s.pos[e.part].Less(e.id)
	case c.lastID == "" || s != nil:
		return false
	}
	at, err := parseCursor(c.lastID, len(c.w.stores))
	return err == nil && at[e.part].MS > 0 && (e.doubtful || at[e.part].Less(e.id))
}
