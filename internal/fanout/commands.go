package fanout

import "sse-gateway/internal/broker"

const (
	subscribeBatch = 1000 // topics in one SUBSCRIBE, one UNSUBSCRIBE or one read
	auditBatch     = 64   // topics that one canary compares with the broker
)

// A command is what the session is to do next. The kind says which fields are set.
type command struct {
	kind   commandKind
	names  []string  // subscribe, unsubscribe
	topics []*topic  // load: at most a batch; catchUp: those that are open
	born   broker.ID // load, catchUp: the birth that was known when the command was given
	mark   broker.Mark
	floor  broker.ID // sendMark: see Broker.Mark
	// rebirth, for sendMark: see evidence.report.
	rebirth broker.ID
	audit   audit
}

type commandKind uint8

const (
	nothing     commandKind = iota // until the partition pokes
	subscribe                      // to names; acknowledgements come through receive
	unsubscribe                    // from names
	sendMark                       // with mark.Seq, floor and rebirth; it comes back through receive
	catchUp                        // to mark, and then release
	load                           // the ends of topics, for loaded
	sendAudit                      // of audit, for audited
)

// canaryStage is what is left of a canary. It lets go of topics that have lapsed, sends a mark that proves the connection, and
// audits some topics (rule 19): one after the other, and before anything else.
type canaryStage uint8

const (
	canaryIdle  canaryStage = iota
	canaryLapse             // topics that have lapsed, then the mark
	canaryAudit
)

// startCanary asks for what is to be done from time to time.
func (p *partition) startCanary() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.canary = canaryLapse
}

// next is the next command. The order matters: topics are subscribed before marks are sent, so that one mark opens all topics that
// have come together.
func (p *partition) next() command {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.canaryCommandLocked(); c.kind != nothing {
		return c
	}
	if names := p.takeWantedLocked(); len(names) > 0 {
		return command{kind: subscribe, names: names}
	}
	if p.markDueLocked() {
		return p.markCommandLocked()
	}
	if p.state == catching {
		return p.catchUpCommandLocked()
	}
	if len(p.loading) > 0 {
		return command{kind: load, topics: p.loading[:min(len(p.loading), subscribeBatch)], born: p.evidence.born}
	}
	return command{}
}

func (p *partition) canaryCommandLocked() command {
	switch p.canary {
	case canaryLapse:
		if names := p.takeLapsedLocked(); len(names) > 0 {
			return command{kind: unsubscribe, names: names}
		}
		p.canary = canaryAudit
		return p.markCommandLocked()
	case canaryAudit:
		p.canary = canaryIdle
		if a := p.startAuditLocked(); len(a.topics) > 0 {
			return command{kind: sendAudit, audit: a}
		}
	}
	return command{}
}

// takeWantedLocked takes the next topics to subscribe to.
func (p *partition) takeWantedLocked() []string {
	var names []string
	for len(p.wanted) > 0 && len(names) < subscribeBatch {
		t := p.wanted[0]
		p.wanted = p.wanted[1:]
		if p.topics[t.name] == t && !t.sent {
			t.sent = true
			if t.open {
				p.unacked++
			}
			names = append(names, t.name)
		}
	}
	if len(p.wanted) == 0 {
		p.wanted = nil
	}
	return names
}

// markDueLocked tells whether somebody waits for a mark that has not been sent.
func (p *partition) markDueLocked() bool {
	if p.state == away && p.backlog.markSeq == 0 && p.unacked == 0 {
		p.backlog.startFrom(p.marks.next()) // rule 16: not before all topics have been acknowledged
	}
	if p.backlog.markSeq > p.marks.sent || (p.state == live && p.evidence.mustReport()) || (p.state != away && p.marks.awaited()) {
		return true
	}
	for _, t := range p.opening {
		if t.openedBy > p.marks.sent {
			return true
		}
	}
	return false
}

// markCommandLocked counts a mark as sent. It carries what is known of a loss.
func (p *partition) markCommandLocked() command {
	p.marks.sent++
	return command{kind: sendMark, mark: broker.Mark{Seq: p.marks.sent}, floor: p.evidence.seen, rebirth: p.evidence.report()}
}

func (p *partition) catchUpCommandLocked() command {
	c := command{kind: catchUp, mark: p.backlog.mark, born: p.evidence.born}
	for _, t := range p.topics {
		if t.open {
			c.topics = append(c.topics, t)
		}
	}
	return c
}

// loaded takes what was read of topics that have just been opened: subscriptions may join them now.
func (p *partition) loaded(topics []*topic, born broker.ID, tails []broker.Tail) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.evidence.born != born {
		return // what was read may be from before the loss: they are read again
	}
	for i, t := range topics {
		p.loadedLocked(t, tails[i])
	}
	if p.loading = p.loading[len(topics):]; len(p.loading) == 0 {
		p.loading = nil
	}
}

// loadedLocked makes a topic ready. What its last id proves spares later readers a read: nothing lies between it and from.
func (p *partition) loadedLocked(t *topic, tail broker.Tail) {
	if len(t.log) == 0 && t.closed.IsZero() {
		t.closed = tail.Closed
	}
	if len(t.log) == 0 && !t.exact {
		switch {
		case tail.Last.IsZero():
			t.from, t.trimmed = broker.Earlier(t.from, p.forgottenLocked()), true
		case !t.from.Less(tail.Last):
			t.chain, t.exact, t.from = tail.Last, true, broker.Later(tail.Last, p.evidence.born)
		}
	}
	wasReady := t.ready
	t.ready = true
	for _, sh := range t.shares {
		if !wasReady {
			sh.readyLocked()
		}
		sh.finishLocked()
	}
}

// lastReads asks for the last ids and the close markers of topics.
func lastReads(topics []*topic) []broker.Read {
	reads := make([]broker.Read, len(topics))
	for i, t := range topics {
		reads[i].Topic = t.name
	}
	return reads
}
