package fanout

import (
	"slices"

	"sse-gateway/internal/broker"
)

// heal lets everything come to rest, and checks that it does.
func (w *modelWorld) heal() {
	w.log("healing")
	for range 16 {
		if w.failure != "" {
			return
		}
		for _, c := range w.clients {
			c.stalled = false
			if c.session == nil && !c.stopped {
				c.connect(w.rng.IntN(len(w.hubs)))
			}
		}
		for range 2 {
			w.calm()
			w.sleep(w.opts.Canary / 2)
		}
	}
	w.calm()
	for w.clocksMove() && w.failure == "" {
		continue // a mark has moved a quiet partition's clock on; all replicas are to hear of it
	}
	for _, c := range w.clients {
		if c.session != nil {
			c.session.beat()
		}
	}
	w.calm()
	for _, c := range w.clients {
		w.checkRest(c)
	}
	w.checkEvidence()
}

// clocksMove tells whether a beat of all replicas has moved a clock.
func (w *modelWorld) clocksMove() bool {
	clocks := make([]broker.ID, len(w.stores))
	for i, s := range w.stores {
		clocks[i] = s.data.clock
	}
	w.sleep(w.opts.Canary)
	w.calm()
	return slices.ContainsFunc(w.stores, func(s *modelStore) bool { return s.data.clock != clocks[s.part] })
}

// checkRest: in the end every stream is live, nothing is owed, and its client has been told a position that is not old.
func (w *modelWorld) checkRest(c *modelClient) {
	if c.stopped || w.failure != "" {
		return
	}
	if c.session == nil || !c.session.isLive() {
		w.fail("%s has no live stream in the end", c.name)
		return
	}
	for _, topic := range c.topics {
		part := partitionOf(topic, len(w.stores))
		at, clock := c.session.pos[part], w.stores[part].data.clock
		if at.Less(clock.Minus(w.keep.LastID/4)) || clock.Less(at) {
			w.fail("%s is at %s in the end, and the broker at %s", c.name, at, clock)
		}
	}
	for _, debt := range c.owed {
		if !w.unknowable(debt) {
			w.fail("%s has neither got %s nor been told a gap", c.name, debt.event)
		}
	}
}
