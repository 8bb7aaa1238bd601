package fanout

import (
	"sse-gateway/internal/broker"
)

// receive takes what the connection of a generation delivered.
func (p *partition) receive(generation uint64, messages []broker.Message) {
	p.mu.Lock()
	defer p.unlock()
	if generation != p.generation {
		return // rule 16: what an older connection brought is read by the catch-up
	}
	for i := range messages {
		switch m := &messages[i]; {
		case m.Kind == broker.MessageAck:
			p.ackLocked(m.Topic)
		case p.state == away:
			p.receiveAwayLocked(m)
		case p.state == catching:
			p.receiveCatchingLocked(m)
		default:
			p.receiveLiveLocked(m)
		}
	}
}

// ackLocked notes that a SUBSCRIBE took effect. A mark that is sent from now on opens the topic (rule 8).
func (p *partition) ackLocked(name string) {
	t := p.topics[name]
	if t == nil || t.acked {
		return
	}
	t.acked = true
	if t.open {
		p.unacked--
	} else {
		t.openedBy = p.marks.next()
		p.opening = append(p.opening, t)
	}
	p.poke()
}

// receiveAwayLocked drops what the catch-up will read, and starts it when its mark is back.
func (p *partition) receiveAwayLocked(m *broker.Message) {
	switch {
	case m.Kind == broker.MessageEvent:
		p.evidence.saw(m.Entry.ID)
	case p.backlog.begins(m):
		p.evidence.saw(m.Mark.Head)
		p.setStateLocked(catching)
		p.poke()
	}
}

// receiveCatchingLocked keeps what came after the catch-up's mark.
func (p *partition) receiveCatchingLocked(m *broker.Message) {
	if m.Kind == broker.MessageEvent {
		p.evidence.saw(m.Entry.ID)
	}
	p.backlog.add(m, &p.opts.bounds)
}

// receiveLiveLocked handles one message as it comes.
func (p *partition) receiveLiveLocked(m *broker.Message) {
	switch m.Kind {
	case broker.MessageEvent:
		p.eventLocked(m.Topic, m.Entry)
	case broker.MessageMark:
		p.markLocked(m.Mark)
	case broker.MessageBirth:
		p.birthLocked(m.Mark.Born)
	}
}

// eventLocked dispatches an event if it continues its topic's chain (rule 16). Say the watermark is 20, and the chain of the
// event's topic is 18, which is the id of an event. Then of an event
//
//	21 with prev 18 is the next one
//	20 or less proves that the broker gives ids out twice: it has gone back to before 20
//	21 with prev 19 proves that the connection has not brought 19
//	21 with prev 17 proves that the broker has forgotten 18
func (p *partition) eventLocked(name string, e broker.Entry) {
	t := p.topics[name]
	switch {
	case !p.evidence.watermark.Less(e.ID):
		p.interruptLocked("an event's id is not above the one before it", name, e.ID, true)
	case t == nil || !t.open:
		p.evidence.passed(e.ID)
	case t.chain.Less(e.Prev):
		p.interruptLocked("an event is missing", name, e.Prev, false)
	case t.exact && e.Prev.Less(t.chain):
		p.interruptLocked("the broker has lost the event before this one", name, e.ID, true)
	default:
		p.deliverLocked(t, e)
		p.evidence.passed(e.ID)
	}
	p.evidence.saw(e.ID)
}

// deliverLocked appends an event to its topic's log and gives it to every live subscription.
func (p *partition) deliverLocked(t *topic, e broker.Entry) {
	p.logSize += t.append(e, &p.opts.bounds)
	if p.logSize > p.opts.bounds.partitionLogs {
		p.trimLogsLocked()
	}
	if t.closed = (broker.ID{}); e.Close {
		t.closed = e.ID
	}
	for _, sh := range t.shares {
		if sh.live {
			sh.pushEventLocked(e)
		}
	}
}

// trimLogsLocked halves logs, in no particular order, until all together are well below their bound.
func (p *partition) trimLogsLocked() {
	for _, t := range p.topics {
		before := t.bytes
		for range (len(t.log) + 1) / 2 {
			t.dropOldest()
		}
		if p.logSize += t.bytes - before; p.logSize < p.opts.bounds.partitionLogs*3/4 {
			return
		}
	}
}

// markLocked moves the watermark to the broker's clock, and opens the topics that waited for it: every event up to the mark's
// Head has been received before it.
func (p *partition) markLocked(m broker.Mark) {
	p.bornLocked(m.Born)
	p.evidence.passed(m.Head)
	p.openLocked(m.Seq)
}

// openLocked opens the topics, and frees the waiters, that a mark up to seq was awaited by. A topic's chain starts here
// (rules 8 and 17): what comes next in it is above the watermark.
func (p *partition) openLocked(seq uint64) {
	opening := p.opening
	p.opening = nil
	for _, t := range opening {
		switch {
		case p.topics[t.name] != t || !t.acked:
		case t.openedBy > seq:
			p.opening = append(p.opening, t)
		default:
			t.start(p.evidence.watermark)
			p.loading = append(p.loading, t)
			p.poke()
		}
	}
	p.marks.cameBack(seq, p.evidence.watermark, p.generation)
}

// interruptLocked stops the dispatch until a catch-up has read what the connection did not bring. lost: the broker itself has
// lost events.
func (p *partition) interruptLocked(why, name string, id broker.ID, lost bool) {
	p.noteLocked(func() {
		p.log.Warn("catching up with Redis", "reason", why, "topic", name, "event_id", id.String())
	})
	p.evidence.suspect(lost)
	p.catchUpAnewLocked()
}

// catchUpAnewLocked has the session catch up from a new mark.
func (p *partition) catchUpAnewLocked() {
	p.setStateLocked(away)
	p.backlog.startFrom(p.marks.next())
	p.poke()
}

// bornLocked takes note of the birth that a mark tells of. One before that known here has come back from the past.
func (p *partition) bornLocked(born broker.ID) {
	p.birthLocked(born)
	p.evidence.returned(born)
}

// birthLocked takes note that the broker lost events before born: every topic of every stream has a gap there, since
// nobody can tell any more what was lost (rule 22).
func (p *partition) birthLocked(born broker.ID) {
	first := p.evidence.born.IsZero()
	if !p.evidence.reborn(born) || first {
		return
	}
	p.noteLocked(func() {
		p.log.Warn("Redis has lost events; every stream is told a gap", "event_id", born.String())
	})
	at := broker.Later(born, p.evidence.watermark)
	p.tellBirthLocked(born, at)
	for _, t := range p.topics {
		if t.open {
			p.logSize -= t.bytes
			t.start(at)
			t.closed = broker.ID{}
			p.loading = append(p.loading, t)
		}
	}
	p.evidence.passed(at)
	p.poke()
}

// tellBirthLocked tells every live stream a gap in all of its topics, whose end is at. One that is being replayed tells itself
// when it gets there, if its position is below the birth; if it is not, it is told so.
func (p *partition) tellBirthLocked(born, at broker.ID) {
	done, frames := make(map[*share]bool), make(gapFrames)
	for _, t := range p.topics {
		for _, sh := range t.shares {
			if sh.live && !done[sh] {
				done[sh] = true
				sh.pushAllGapsLocked(at, p.evidence.sure(sh.pos), true, frames)
				sh.finishLocked()
			}
			// What a joining client claims may be above the watermark, and then of after the loss: see resume.
			sh.owesBirth = sh.owesBirth || (!sh.live && !sh.pos.Less(born) && !p.evidence.watermark.Less(sh.pos))
		}
	}
}
