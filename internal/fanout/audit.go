package fanout

import "sse-gateway/internal/broker"

// An audit compares the last ids of some topics with what has been dispatched (rule 19): it finds what was lost on a connection
// that lives on, in topics in which nothing is published that would tell.
type audit struct {
	topics    []audited
	watermark broker.ID // as it was before the broker was asked
	born      broker.ID // the same
}

// audited is a topic as it was before the broker was asked for its last id.
type audited struct {
	topic *topic
	chain broker.ID
	exact bool
}

// reads asks for the topics' last ids.
func (a *audit) reads() []broker.Read {
	reads := make([]broker.Read, len(a.topics))
	for i := range a.topics {
		reads[i].Topic = a.topics[i].topic.name
	}
	return reads
}

// startAuditLocked picks the topics of an audit. A map's order is random enough for all to get their turn.
func (p *partition) startAuditLocked() audit {
	a := audit{watermark: p.evidence.watermark, born: p.evidence.born}
	for _, t := range p.topics {
		if len(a.topics) == auditBatch || p.state != live {
			break
		}
		if t.ready {
			a.topics = append(a.topics, audited{topic: t, chain: t.chain, exact: t.exact})
		}
	}
	return a
}

// audited takes the answer to an audit.
func (p *partition) audited(a *audit, tails []broker.Tail) {
	p.mu.Lock()
	defer p.unlock()
	for i := range a.topics {
		if p.state == live && p.evidence.born == a.born && p.topics[a.topics[i].topic.name] == a.topics[i].topic {
			p.auditLocked(&a.topics[i], tails[i].Last, a.watermark)
		}
	}
}

// auditLocked judges the last id of a topic. Say its chain was 18, the id of an event, when the broker was asked, and is
// still. With a watermark of 30
//
//	a last id of 25 proves that the connection has not brought 25; one of 31 is on its way
//	a last id of 12 proves that the broker has lost 18
//
// No last id proves a loss if 18 is young. An old one expires: before the broker forgets it the chain is moved on to the
// watermark, since nothing has come in the topic up to there (rule 23).
func (p *partition) auditLocked(was *audited, last, watermark broker.ID) {
	t, k := was.topic, p.keep.LastID
	young := watermark.Minus(k / 2).Less(was.chain)
	switch {
	case t.chain.Less(last) && !p.evidence.watermark.Less(last):
		p.interruptLocked("an audit found an event that was never delivered", t.name, last, false)
	case was.exact && last.Less(was.chain) && (young || !last.IsZero()):
		p.interruptLocked("an audit found that Redis has lost an event", t.name, was.chain, true)
	case t.chain == was.chain && !t.chain.Less(last) && t.chain.Less(watermark.Minus(k/4)):
		t.chain, t.exact = watermark, false
	}
}
