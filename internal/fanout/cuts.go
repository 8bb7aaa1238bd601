package fanout

import (
	"context"
	"fmt"
	"time"
)

// A cut ends an owner's streams.
type cut struct {
	Owner string    `json:"owner"`
	At    time.Time `json:"at"`
}

// Cut ends all streams of an owner, on all replicas. With Options.CutTTL the broker remembers it, so that replicas that
// are away now, or start later, learn of it too.
func (h *Hub) Cut(ctx context.Context, owner string) error {
	c := cut{Owner: owner, At: time.Now()}
	h.cutLocal(c)
	if h.remembersCuts() {
		if err := h.broker.RememberCut(ctx, owner, c.At, h.opts.CutTTL); err != nil {
			return fmt.Errorf("remember that %q was cut off: %w", owner, err)
		}
	}
	if _, err := h.send(ctx, "", controlMessage{Cut: &c}); err != nil {
		return fmt.Errorf("cut off %q on all replicas: %w", owner, err)
	}
	return nil
}

func (h *Hub) remembersCuts() bool { return h.opts.CutTTL > 0 }

// watchCuts loads the cuts that the broker remembers whenever the hub's control channel has been without connection.
func (h *Hub) watchCuts(ctx context.Context) {
	if !h.remembersCuts() {
		return
	}
	known := make(map[string]time.Time)
	p := h.partitions[0]
	for p.waitLive(ctx) == nil {
		cuts, err := h.broker.Cuts(ctx)
		if err != nil {
			h.opts.Log.Warn("the cuts could not be loaded", "err", err)
			if pause(ctx) != nil {
				return
			}
			continue
		}
		for owner, at := range cuts {
			if known[owner].Before(at) {
				known[owner] = at
				h.cutLocal(cut{Owner: owner, At: at})
			}
		}
		h.cutsKnown.Store(true)
		if p.waitAway(ctx) != nil {
			return
		}
	}
}

// cutLocal ends this replica's streams of an owner, also those that are still joining.
func (h *Hub) cutLocal(c cut) {
	if h.opts.OnCut != nil {
		h.opts.OnCut(c.Owner, c.At)
	}
	subs := make(map[*Subscription]struct{})
	for _, p := range h.partitions {
		p.mu.Lock()
		for _, t := range p.topics {
			for _, pt := range t.parts {
				if pt.sub.owner == c.Owner {
					subs[pt.sub] = struct{}{}
				}
			}
		}
		p.mu.Unlock()
	}
	for s := range subs {
		s.mu.Lock()
		s.cut = true
		sink := s.sink
		s.mu.Unlock()
		if sink != nil {
			sink.End("cut")
		}
	}
}
