package fanout

import (
	"sync"
	"sync/atomic"
	"time"

	"sse-gateway/internal/address"
	"sse-gateway/internal/broker"
)

// A Subscription is one stream's place in the hub: its topics, and the position up to which it has been given everything.
// It begins held: its topics are acknowledged, and nothing is pushed. Deliver brings it from its start to the present and
// leaves it live.
//
// Its position is one id per partition. Pushes of one partition come under that partition's dispatch lock, one after the other. A
// stream of several partitions takes mu for each push as well: the id of a frame names the positions in all of them. What the
// comments say to be guarded as the position is guarded by the dispatch lock if the gateway has one partition, and by mu if it
// has several.
type Subscription struct {
	hub   *Hub
	owner string
	raw   bool
	// eventsOnly: nothing is pushed but what was published. Where a gap would be told the stream ends.
	eventsOnly bool
	start      Start
	shares     []*share // by partition, those that the stream uses
	rest       cursor   // of several partitions: ids of those that the stream does not use now
	// unfinished counts the shares with public topics that are not finished.
	unfinished atomic.Int32

	sibling sibling // guarded by owners.mu

	// owesPosition: a replay or a gap has moved a position on, and the client is to be told. Guarded as the position is.
	owesPosition bool

	mu       sync.Mutex // guards all below, and with several partitions the order of pushes
	sink     Sink
	delivery *delivery // nil once the stream is live
	cut      bool
}

// A share is what a subscription has in one partition: its topics there, and its position. The dispatch lock guards it, but for
// pos and clientPos in a stream of several partitions: they are written under Subscription.mu as well, and clientPos is
// read under that. Until the share is live only the goroutine that joins and delivers writes pos and startUnknown, so it may
// read them without the lock.
type share struct {
	sub    *Subscription
	p      *partition
	topics []membership
	// pos: every event of the share's topics up to it has been pushed. It never falls, and what comes with an id up to it is
	// dropped (rule 6): with pos 20, event 20 is a repetition, and 21 is new.
	pos broker.ID
	// clientPos is pos as of the last id that the client was told; zero: it has none to go on from. It is at or below pos.
	clientPos broker.ID
	joined    chan struct{} // closed when waiting gets to 0; nil: nobody waits
	waiting   int32         // the topics that are not ready
	live      bool          // dispatched events are pushed as they come
	left      bool
	// startUnknown: the start could not be read, or is unknown to the broker. Everything before pos may be missing (rule 15).
	startUnknown bool
	// owesBirth: the broker was born again below pos, which is of before the loss. The stream is to be told.
	owesBirth bool
	// finished: every public topic of the share is closed, and the stream has all their events.
	finished bool
}

// membership is a topic of a share, and the share's place in the topic.
type membership struct {
	topic *topic
	slot  int
}

// StartID is the id of the stream's ready event (rule 9): where a client goes on that drops before its first event. It is empty
// where the client must come back as it came.
func (s *Subscription) StartID() string {
	if s.start.kind == startLast {
		return "" // a client that has not seen the latest events is to ask for them again
	}
	for _, sh := range s.shares {
		if sh.startUnknown {
			return ""
		}
		if s.start.kind == startTime && sh.pos.Less(sh.p.birth()) {
			return ""
		}
	}
	return s.positionLocked()
}

// Closed tells whether every topic is closed and the stream has all their events: there is nothing to wait for. An inbox
// never closes, and does not count (rule 21).
func (s *Subscription) Closed() bool {
	topics := 0
	for _, sh := range s.shares {
		open, all := sh.openTopics()
		if open > 0 || sh.startUnknown {
			return false
		}
		topics += all
	}
	return topics > 0
}

func (sh *share) openTopics() (open, all int) {
	sh.p.mu.Lock()
	defer sh.p.mu.Unlock()
	return sh.openTopicsLocked(time.Now())
}

func (sh *share) openTopicsLocked(now time.Time) (open, all int) {
	for _, m := range sh.topics {
		if !address.KindOf(m.topic.name).Public() {
			continue
		}
		all++
		if !m.topic.closedAt(sh.pos, now, &sh.p.keep) {
			open++
		}
	}
	return open, all
}

// Leave takes the subscription out of the hub; nothing is pushed any more. It may be called more than once.
func (s *Subscription) Leave() {
	s.hub.owners.remove(s)
	s.stopDelivery()
	for _, sh := range s.shares {
		sh.p.leave(sh)
	}
}

func (p *partition) leave(sh *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sh.left {
		return
	}
	sh.left, sh.live = true, false
	now := time.Now()
	for _, m := range sh.topics {
		if m.topic.remove(m.slot); len(m.topic.shares) == 0 {
			p.lapseLocked(m.topic, now)
		}
	}
	sh.topics = nil
}
