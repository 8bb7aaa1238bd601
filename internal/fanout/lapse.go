package fanout

import "time"

// lapsing is a topic that nobody subscribed to any more at a time. If nobody does for a while, it is let go of.
type lapsing struct {
	topic *topic
	since time.Time
}

// lapseLocked notes that a topic's last subscription has left.
func (p *partition) lapseLocked(t *topic, now time.Time) {
	t.emptySince = now
	if !t.lapsing {
		t.lapsing = true
		p.lapsing = append(p.lapsing, lapsing{t, now})
	}
}

// takeLapsedLocked forgets the next topics that nobody has subscribed to for a while, at most a batch. Only those are looked at
// that were left, in that order: there may be many others.
func (p *partition) takeLapsedLocked() []string {
	var names []string
	now := time.Now()
	for len(names) < subscribeBatch && len(p.lapsing) > 0 && now.Sub(p.lapsing[0].since) >= p.opts.Linger {
		t := p.lapsing[0].topic
		p.lapsing[0] = lapsing{}
		p.lapsing = p.lapsing[1:]
		switch {
		case len(t.shares) > 0:
			t.lapsing = false
		case now.Sub(t.emptySince) < p.opts.Linger: // somebody came, and left again
			p.lapsing = append(p.lapsing, lapsing{t, t.emptySince})
		case !t.acked || !t.ready: // it is on its way to somebody who has gone
			p.lapsing = append(p.lapsing, lapsing{t, now})
		default:
			p.forgetLocked(t)
			names = append(names, t.name)
		}
	}
	if len(p.lapsing) == 0 {
		p.lapsing = nil
	}
	return names
}

// forgetUnusedLocked forgets all topics that nobody subscribes to: a new connection need not know of them.
func (p *partition) forgetUnusedLocked() {
	for _, l := range p.lapsing {
		if l.topic.lapsing = false; len(l.topic.shares) == 0 {
			p.forgetLocked(l.topic)
		}
	}
	p.lapsing = nil
}

func (p *partition) forgetLocked(t *topic) {
	p.logSize -= t.bytes
	delete(p.topics, t.name)
}
