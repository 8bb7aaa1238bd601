package fanout

import (
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// pushEventLocked gives the stream an event, unless it has it.
func (sh *share) pushEventLocked(e broker.Entry) {
	if !sh.pos.Less(e.ID) {
		return
	}
	if e.Close && sh.sub.eventsOnly {
		sh.moveLocked(e.ID)
		sh.finishLocked()
		return
	}
	frame := e.Frame
	if sh.sub.raw {
		frame = frame.Raw()
	}
	if !sh.pushAtLocked(e.ID, frame) {
		sh.live = false
	} else if e.Close {
		sh.finishLocked()
	}
}

// pushAtLocked pushes a frame that moves the share's position to id.
func (sh *share) pushAtLocked(id broker.ID, frame *sse.Frame) bool {
	defer sh.sub.order()()
	sh.pos, sh.clientPos, sh.sub.owesPosition = id, id, false
	if len(sh.sub.hub.partitions) > 1 {
		frame = frame.WithID(sh.sub.noteToldLocked())
	}
	return sh.sub.sink.Push(frame)
}

// order makes the pushes of a stream's partitions one sequence. With one partition its dispatch lock does that already.
func (s *Subscription) order() func() {
	if len(s.hub.partitions) == 1 {
		return func() {}
	}
	s.mu.Lock()
	return s.mu.Unlock
}

// positionLocked is the stream's cursor. The lock is that which guards the position.
func (s *Subscription) positionLocked() string {
	if len(s.hub.partitions) == 1 {
		return s.shares[0].pos.String()
	}
	position := make(cursor, len(s.hub.partitions))
	copy(position, s.rest)
	for _, sh := range s.shares {
		position[sh.p.index] = sh.pos
	}
	return position.String()
}

// noteToldLocked notes that the client is told the stream's position, which it returns. The lock is the same.
func (s *Subscription) noteToldLocked() string {
	for _, sh := range s.shares {
		sh.clientPos = sh.pos
	}
	s.owesPosition = false
	return s.positionLocked()
}

// sayPositionLocked tells the client the stream's position if it has not been told. The lock is that which guards the position.
func (s *Subscription) sayPositionLocked() {
	if s.owesPosition && !s.eventsOnly {
		s.sink.Push(positionFrame(s.noteToldLocked()))
	}
}

// moveTo moves the share's position on, which the client is not told now.
func (sh *share) moveTo(pos broker.ID) {
	sh.p.mu.Lock()
	defer sh.p.mu.Unlock()
	sh.moveLocked(pos)
}

func (sh *share) moveLocked(pos broker.ID) {
	defer sh.sub.order()()
	if sh.pos.Less(pos) {
		sh.pos, sh.sub.owesPosition = pos, true
	}
}

// finishLocked (rule 21) ends the stream when this was the last of its partitions with an open topic. The client is told its position
// first: it comes back with it, and is answered that there is nothing more.
func (sh *share) finishLocked() {
	if !sh.live || sh.finished {
		return
	}
	if open, all := sh.openTopicsLocked(time.Now()); all == 0 || open > 0 {
		return
	}
	sh.finished = true
	unlock := sh.sub.order()
	sh.sub.sayPositionLocked()
	unlock()
	if sh.sub.unfinished.Add(-1) == 0 {
		sh.sub.sink.End(sse.EndClosed)
	}
}
