package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// maxCuts is how many cuts may wait for the broker to take them.
const maxCuts = 100_000

// A cut ends an owner's streams.
type cut struct {
	Owner string    `json:"owner"`
	At    time.Time `json:"at"` // by the broker's clock, which is the same for all replicas
}

// Errors of Cut. The hub goes on trying until the broker has taken the cut, or the hub is closed.
var (
	// ErrCutUntold: other replicas have not been told; this one has ended its streams.
	ErrCutUntold = errors.New("other replicas have not been told yet who was cut off")
	// ErrCutForgettable: all replicas that can be reached have been told, and the broker does not remember it for others.
	ErrCutForgettable = errors.New("the event store does not remember yet who was cut off")
)

// Cut ends all streams of an owner, on all replicas. With Options.CutTTL the broker remembers it, so that replicas that
// are away now, or start later, learn of it too. A broker that is full, and remembers nothing, carries it all the same.
func (h *Hub) Cut(ctx context.Context, owner string) error {
	at, err := h.broker.Now(ctx)
	if err != nil {
		at = time.Now() // by which it holds until the broker can be asked
	}
	c := cut{Owner: owner, At: at}
	h.cutLocal(c)
	owed := &owedCut{cut: c, undated: err != nil}
	err = h.settle(ctx, owed)
	if err == nil {
		return nil
	}
	if !h.owed.add(owed) {
		return fmt.Errorf("cut off %q: too many wait for the event store: %w", owner, broker.ErrUnavailable)
	}
	return fmt.Errorf("cut off %q: %w", owner, err)
}

// An owedCut is one that the broker has not taken yet.
type owedCut struct {
	cut
	undated bool // At is by this replica's clock
	told    bool // the other replicas that can be reached know
}

// settle does what is left to be done of a cut: other replicas first, since they may learn of it even though the broker can
// remember nothing.
func (h *Hub) settle(ctx context.Context, owed *owedCut) error {
	if owed.undated {
		at, err := h.broker.Now(ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCutUntold, err)
		}
		owed.At, owed.undated = at, false
	}
	if !owed.told {
		if _, err := h.send(ctx, "", controlMessage{Cut: &owed.cut}); err != nil {
			return fmt.Errorf("%w: %w", ErrCutUntold, err)
		}
		owed.told = true
	}
	if h.remembersCuts() {
		if err := h.broker.RememberCut(ctx, owed.Owner, owed.At, h.opts.CutTTL); err != nil {
			return fmt.Errorf("%w: %w", ErrCutForgettable, err)
		}
	}
	return nil
}

// owedCuts are the cuts that wait for the broker, the last of each owner.
type owedCuts struct {
	more chan struct{} // one slot

	mu      sync.Mutex
	byOwner map[string]*owedCut
}

func newOwedCuts() owedCuts {
	return owedCuts{more: make(chan struct{}, 1), byOwner: make(map[string]*owedCut)}
}

func (o *owedCuts) add(c *owedCut) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byOwner[c.Owner] == nil && len(o.byOwner) >= maxCuts {
		return false
	}
	o.byOwner[c.Owner] = c
	select {
	case o.more <- struct{}{}:
	default:
	}
	return true
}

// any returns one of the cuts, nil without one.
func (o *owedCuts) any() *owedCut {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.byOwner {
		return c
	}
	return nil
}

// settled forgets a cut, unless a later one has taken its place.
func (o *owedCuts) settled(c *owedCut) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byOwner[c.Owner] == c {
		delete(o.byOwner, c.Owner)
	}
}

// settleCuts tries again with what the broker has not taken.
func (h *Hub) settleCuts(ctx context.Context) {
	for {
		select {
		case <-h.owed.more:
		case <-ctx.Done():
			return
		}
		for owed := h.owed.any(); owed != nil; owed = h.owed.any() {
			if err := h.settle(ctx, owed); err == nil {
				h.owed.settled(owed)
			} else if pause(ctx) != nil {
				return
			}
		}
	}
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
				h.cutLocal(cut{Owner: owner, At: at})
			}
		}
		known = cuts // what the broker has forgotten needs no remembering here
		h.cutsKnown.Store(true)
		if p.waitAway(ctx) != nil {
			return
		}
	}
}

// cutLocal ends this replica's streams of an owner, also those that are still joining. It is called by the receiving
// goroutine, too, and leaves the work to endCut.
func (h *Hub) cutLocal(c cut) {
	if h.opts.OnCut != nil {
		h.opts.OnCut(c.Owner, c.At)
	}
	h.owners.cut(c.Owner)
}

// endCut ends the subscriptions that cutLocal found.
func (h *Hub) endCut(ctx context.Context) {
	for {
		select {
		case <-h.owners.more:
		case <-ctx.Done():
			return
		}
		for _, s := range h.owners.takeCut() {
			s.mu.Lock()
			s.cut = true
			sink := s.sink
			s.mu.Unlock()
			if sink != nil {
				sink.End(sse.EndCut)
			}
		}
	}
}
