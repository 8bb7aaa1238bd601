package fanout

import (
	"time"

	"sse-gateway/internal/broker"
)

// Evidence is what this replica knows of how far a partition has come, and of whether the broker has lost something. It is pure
// state: no lock, no I/O. Its owner's dispatch lock guards it.
//
// While the partition is live, for every topic that is open:
//
//	chain ≤ watermark ≤ seen    and    born ≤ watermark
//
// An example. Topics a and b are followed, c is not. The broker gives out 10 (a), 11 (b), 12 (c), and answers 13 to a publish
// into c made here. The connection has brought 10, 11, and a mark with Head 12. Then the chain of a is 10, that of b is 11, the
// watermark is 12 and seen is 13. Only a catch-up may put a chain above the watermark for a while: a gap up to 12 in topic
// a is told at its start, before the events of b up to 12 have been read.
type evidence struct {
	// watermark: every event up to it, of every open topic, has been dispatched (rule 18). It never falls. Events and marks
	// move it while the partition is live, a catch-up page by page; it stands still while there is no connection.
	watermark broker.ID
	// seen is the largest id of the partition known here, dispatched or not. Every publish and every mark gives it to the
	// broker as its floor: an id at or below it would be one that has been given out before (rule 2). It never falls.
	seen broker.ID
	// born is the id since which the broker's data is known to be whole, as of the newest mark or birth. What was published
	// before it may be lost without a trace.
	born broker.ID
	// watermarkAtEnd is the watermark as it was when the last connection ended. Up to it nothing can have been lost between
	// two connections. See sure.
	watermarkAtEnd broker.ID
	// lossFound: something proves that the broker has lost events, and it has not been born again since.
	lossFound bool
	// lossReported: a mark that tells the broker so has been sent on this connection. One is enough, unless it was lost with
	// the connection.
	lossReported bool
}

// connected notes that there is a new connection.
func (e *evidence) connected() { e.watermarkAtEnd, e.lossReported = e.watermark, false }

// saw notes an id that the broker has given out.
func (e *evidence) saw(id broker.ID) { e.seen = broker.Later(e.seen, id) }

// passed notes that everything up to id has been dispatched.
func (e *evidence) passed(id broker.ID) {
	e.watermark = broker.Later(e.watermark, id)
	e.saw(id)
}

// suspect notes, if lost is true, that the broker has lost events.
func (e *evidence) suspect(lost bool) { e.lossFound = e.lossFound || lost }

// mustReport tells whether the broker is still to be told of a loss, on this connection.
func (e *evidence) mustReport() bool { return e.lossFound && !e.lossReported }

// report is what the next mark proves: the last known birth if events were lost after it, or zero.
func (e *evidence) report() (rebirth broker.ID) {
	if !e.lossFound {
		return broker.ID{}
	}
	e.lossReported = true
	return e.born
}

// reborn notes a birth, and tells whether it is news. A birth answers every suspicion: what was lost was lost before it.
// An older birth than that known here is none, but see returned.
func (e *evidence) reborn(born broker.ID) (news bool) {
	if !e.born.Less(born) {
		return false
	}
	e.born, e.lossFound, e.lossReported = born, false, false
	e.saw(born)
	return true
}

// returned notes the birth that a mark names. One before that known here can only have come back from the past: with it, the
// broker has lost all that came after. It was born at 50, then lost its data back to before 50, and now says 20.
func (e *evidence) returned(born broker.ID) { e.suspect(born.Less(e.born)) }

// forgotten is the id that a topic's last id is not above if the broker does not know it any more: it has either expired, after
// keep, or was lost before the birth (rule 13). With keep of one day, a watermark of today noon and a birth of last week it is
// yesterday noon: an event after that would have left a last id.
func (e *evidence) forgotten(keep time.Duration) broker.ID {
	return broker.Later(e.born, e.watermark.Minus(keep))
}

// sure (rule 22) is the id after which a stream at pos may miss something at a birth. The broker came back before anybody noticed that it
// had lost events, and what it published meanwhile seemed to continue what was left: so it is not pos, but the watermark at
// which the last connection ended. The connection ended at 40, the broker forgot 41 and 42, gave 43 to a new event, and only then
// was born again at 44: a stream at 43 is told a gap after 40.
func (e *evidence) sure(pos broker.ID) broker.ID {
	if e.watermarkAtEnd.IsZero() {
		return pos
	}
	return broker.Earlier(pos, e.watermarkAtEnd)
}
