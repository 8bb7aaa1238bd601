package fanout

import (
	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// Beat pushes a heartbeat: a comment, or the position where the client has to be told it.
func (s *Subscription) Beat() {
	s.mu.Lock()
	sink := s.sink
	s.mu.Unlock()
	if sink == nil {
		return
	}
	if len(s.hub.partitions) == 1 {
		s.shares[0].beat(sink)
		return
	}
	moved, old := false, false
	for _, sh := range s.shares {
		m, o := sh.advance()
		moved, old = moved || m, old || o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beatLocked(sink, moved, old)
}

// beat is the heartbeat of a stream with one partition.
func (sh *share) beat(sink Sink) {
	sh.p.mu.Lock()
	defer sh.p.mu.Unlock()
	moved, old := sh.advanceLocked()
	sh.sub.beatLocked(sink, moved, old)
}

// beatLocked pushes the heartbeat. The lock is that which guards the stream's position.
func (s *Subscription) beatLocked(sink Sink, moved, old bool) {
	if (old || (moved && s.owesPosition)) && !s.eventsOnly {
		sink.Push(positionFrame(s.noteToldLocked()))
	} else {
		sink.Push(s.hub.comment)
	}
}

func (sh *share) advance() (moved, old bool) {
	sh.p.mu.Lock()
	defer sh.p.mu.Unlock()
	defer sh.sub.order()()
	return sh.advanceLocked()
}

// advanceLocked (rule 18) moves a live share's position to the watermark. moved: it is not that which the client was told. Nor does the
// client need it: whoever comes back with an older id is given nothing for the time between, since nothing came. But
// an old id may be older than what the broker remembers of a topic, which would be told as a gap.
func (sh *share) advanceLocked() (moved, old bool) {
	if !sh.live {
		return false, false
	}
	sh.pos = broker.Later(sh.pos, sh.p.evidence.watermark)
	return sh.clientPos.Less(sh.pos), sh.pos.MS > sh.clientPos.MS+uint64(sh.p.keep.LastID.Milliseconds()/4)
}

func positionFrame(id string) *sse.Frame {
	return sse.NewFrame(sse.AppendBlock(nil, sse.TypePosition, 0, []byte(`{"id":"`+id+`"}`)), id)
}
