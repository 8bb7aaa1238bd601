package fanout

import "sync"

// Owners find the subscriptions of an owner. Those of one are a list through the subscriptions themselves, since most owners
// have one.
type owners struct {
	more chan struct{} // one slot; tells that some have been cut

	mu    sync.Mutex               // guards all below, and every Subscription.sibling
	first map[string]*Subscription // by owner
	ended []*Subscription          // cut, and not yet ended
}

// sibling is a subscription's place among its owner's.
type sibling struct {
	next, prev *Subscription
	listed     bool
}

func newOwners() owners {
	return owners{more: make(chan struct{}, 1), first: make(map[string]*Subscription)}
}

// add lists a subscription. One without owner cannot be cut.
func (o *owners) add(s *Subscription) {
	if s.owner == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.first[s.owner]
	s.sibling = sibling{next: next, listed: true}
	if next != nil {
		next.sibling.prev = s
	}
	o.first[s.owner] = s
}

// remove takes a subscription off its list, unless it is off already.
func (o *owners) remove(s *Subscription) {
	if s.owner == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !s.sibling.listed {
		return
	}
	next, prev := s.sibling.next, s.sibling.prev
	s.sibling = sibling{}
	if next != nil {
		next.sibling.prev = prev
	}
	switch {
	case prev != nil:
		prev.sibling.next = next
	case next != nil:
		o.first[s.owner] = next
	default:
		delete(o.first, s.owner)
	}
}

// cut takes all of an owner's off their list, to be ended. Who comes later is not among them.
func (o *owners) cut(owner string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.first[owner]
	if s == nil {
		return
	}
	delete(o.first, owner)
	for s != nil {
		next := s.sibling.next
		s.sibling = sibling{}
		o.ended = append(o.ended, s)
		s = next
	}
	select {
	case o.more <- struct{}{}:
	default:
	}
}

func (o *owners) takeCut() []*Subscription {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.ended
	o.ended = nil
	return all
}
