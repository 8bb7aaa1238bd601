package fanout

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"

	"sse-gateway/internal/broker"
)

// A partition is the state of this replica's side of one partition of the broker: which topics are followed here, and how far
// their events have been dispatched. It does no I/O. A session (session.go) is its connection: it asks for the next
// command, executes it, and hands the answer back; what it receives goes through receive. Subscriptions join, replay and leave.
// The parts have one job each:
//
//	evidence.go  how far the partition has come, and whether something was lost
//	marks.go     who waits for a mark
//	backlog.go   where a catch-up starts, and what waits behind it
//	commands.go  what the session is to do next
//	dispatch.go  what becomes of events, marks and births
//	caught.go    the same, for what a catch-up has read
//	audit.go     what an audit has found
//	lapse.go     topics that nobody follows any more
//
// The dispatch lock mu guards all of it. It is held while an event goes into the queues of all its streams: so every stream gets
// events in the order of their ids, and a stream that joins, leaves or goes live does so between two events.
type partition struct {
	index int
	keep  broker.Retention // what the broker keeps
	opts  Options
	log   *slog.Logger
	wake  chan struct{} // tells the session that there may be a command; one slot

	mu     sync.Mutex // the dispatch lock; guards all below
	topics map[string]*topic
	state  dispatchState
	// generation counts the Pub/Sub connections; what an older one delivers is dropped.
	generation uint64
	fault      error // why the last connection ended; nil: none has

	evidence evidence
	marks    marks
	backlog  backlog

	canary  canaryStage
	wanted  []*topic  // to be subscribed
	unacked int       // open topics that are to be acknowledged before a catch-up
	opening []*topic  // acknowledged, waiting for a mark
	loading []*topic  // open, waiting for their close markers to be read
	lapsing []lapsing // left by all, in that order

	changed chan struct{} // closed and replaced when state changes
	logSize int           // bytes in all topics' logs
	notes   []func()      // lines of the log, see noteLocked
}

// dispatchState says what becomes of the events that the connection delivers.
//
//	               the mark for the catch-up is back
//	+------+  ------------------------------------->  +----------+
//	| away |                                          | catching |
//	+------+  <-------------------------------------  +----------+
//	 ^          the connection ended, or too much           |
//	 |          came meanwhile                              |  all up to the mark has been
//	 |                                                      |  dispatched, then the backlog
//	 |                                                      v
//	 |          the connection ended, or an event        +------+
//	 +-------------------------------------------------  | live |
//	            is missing                               +------+
//
// The mark for the catch-up is sent when every open topic has been acknowledged on this connection (rule 16): from then on
// the connection brings whatever is published.
type dispatchState uint8

const (
	// away: there is no connection, or the mark for the catch-up is not back. Events are dropped; they are at or
	// below the mark's Head, and the catch-up reads them.
	away dispatchState = iota
	// catching: the mark is back. Events are above its Head, and wait in the backlog.
	catching
	// live: events are dispatched as they come.
	live
)

// errStarting: there has been no connection that could have ended.
var errStarting = errors.New("it has just been started")

func newPartition(index int, keep broker.Retention, opts Options) *partition {
	return &partition{
		index: index, keep: keep, opts: opts, log: opts.Log.With("partition", index),
		wake: make(chan struct{}, 1), topics: make(map[string]*topic), changed: make(chan struct{}),
	}
}

// poke tells the session that there may be a command.
func (p *partition) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *partition) setStateLocked(s dispatchState) {
	if p.state != s {
		p.state = s
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// noteLocked keeps a line of the log until the lock is released: who writes the log may be slow, and all streams wait.
func (p *partition) noteLocked(line func()) { p.notes = append(p.notes, line) }

// unlock releases the dispatch lock, and writes what was noted under it.
func (p *partition) unlock() {
	notes := p.notes
	p.notes = nil
	p.mu.Unlock()
	for _, line := range notes {
		line()
	}
}

// connected makes everything of older connections void: all topics are to be subscribed anew. It returns the generation of
// the new connection.
func (p *partition) connected() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
	p.evidence.connected()
	p.setStateLocked(away)
	p.backlog.startFrom(0)
	p.canary = canaryIdle
	p.wanted, p.opening, p.unacked = nil, nil, 0
	p.forgetUnusedLocked()
	for _, t := range p.topics {
		t.sent, t.acked = false, false
		p.wanted = append(p.wanted, t)
	}
	return p.generation
}

// disconnected stops the dispatch with the connection.
func (p *partition) disconnected(generation uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.generation == generation {
		p.generation++
		p.setStateLocked(away)
	}
}

// failed notes why the last connection ended.
func (p *partition) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = err
}

// health tells whether events are dispatched as they come; if not, why the last connection ended, or errStarting.
func (p *partition) health() (isLive bool, fault error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == live, cmp.Or(p.fault, errStarting)
}

// waitMark blocks until a mark that is sent from now on is back. It returns where the broker's clock was, and the
// generation of the connection.
func (p *partition) waitMark(ctx context.Context) (head broker.ID, generation uint64, err error) {
	p.mu.Lock()
	w := p.marks.wait()
	p.mu.Unlock()
	p.poke()
	select {
	case <-w.back:
		return w.head, w.generation, nil
	case <-ctx.Done():
		return broker.ID{}, 0, broker.ErrUnavailable
	}
}

// waitLive blocks until events are dispatched as they come.
func (p *partition) waitLive(ctx context.Context) error {
	return p.waitState(ctx, func(s dispatchState) bool { return s == live })
}

// waitAway blocks until the connection is lost, or has missed something.
func (p *partition) waitAway(ctx context.Context) error {
	return p.waitState(ctx, func(s dispatchState) bool { return s != live })
}

func (p *partition) waitState(ctx context.Context, want func(dispatchState) bool) error {
	for {
		p.mu.Lock()
		state, changed := p.state, p.changed
		p.mu.Unlock()
		if want(state) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return broker.ErrUnavailable
		}
	}
}

// saw notes an id that the broker gave out here.
func (p *partition) saw(id broker.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.evidence.saw(id)
}

// floor is the id that the next one must be above (rule 2).
func (p *partition) floor() broker.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.evidence.seen
}

// birth is the id since which the partition's data is known to be whole.
func (p *partition) birth() broker.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.evidence.born
}

// forgotten is the id that a topic's last id is not above if the broker does not know it any more.
func (p *partition) forgotten() broker.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forgottenLocked()
}

func (p *partition) forgottenLocked() broker.ID { return p.evidence.forgotten(p.keep.LastID) }
