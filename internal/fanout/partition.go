package fanout

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sse-gateway/internal/broker"
)

// A partition is this replica's side of one partition of the broker: the topics it is subscribed to, and how far their
// events have been dispatched. Its run goroutine keeps the Pub/Sub connection and sends every command (session.go),
// one more goroutine per connection receives. Whatever reads or changes the dispatch holds mu.
type partition struct {
	index   int
	broker  broker.Broker
	keep    broker.Retention // what the broker keeps
	opts    Options
	log     *slog.Logger
	outage  *outage
	control func(payload []byte) // takes control messages; called without mu

	wake  chan struct{} // tells run that there is something to send; one slot
	heard atomic.Int64  // when the connection last delivered anything, Unix ns

	mu     sync.Mutex // the dispatch lock; guards all below
	topics map[string]*topic
	state  dispatchState
	// generation counts the Pub/Sub connections; what an older one delivers is dropped.
	generation uint64
	// watermark: every event up to it, of every open topic, has been dispatched. It stands still unless live.
	watermark broker.ID
	frozen    broker.ID // the watermark when the last connection ended
	seen      broker.ID // the largest id of the partition known here; every publish gives it to the broker as its floor
	born      broker.ID // as of the newest mark or birth
	lost      bool      // the broker is to be told that it lost events; until it has been born again
	told      bool      // a mark that tells so has been sent on this connection
	fault     error     // why the last connection ended; nil: none has

	marks    uint64           // Seq of the last mark sent
	waiters  []*markWaiter    // who waits for a mark
	catchSeq uint64           // the mark that the catch-up starts from; 0: not asked for yet
	catchTo  broker.Mark      // that mark, once it is back
	backlog  []broker.Message // what came after it, in order
	overflow bool             // the backlog was full and has been dropped: catch up once more
	held     int              // bytes in the backlog

	unacked int       // open topics that are to be acknowledged before a catch-up
	wanted  []*topic  // to be subscribed
	opening []*topic  // acknowledged, waiting for a mark
	loading []*topic  // open, waiting for their close markers to be read
	lapsing []lapsing // left by all, in that order

	changed chan struct{} // closed and replaced when state changes
	logSize int           // bytes in all topics' logs
	notes   []func()      // lines of the log, see noteLocked
}

// dispatchState says what becomes of the events that the connection delivers.
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

// markWaiter waits for a mark that is sent after it came.
type markWaiter struct {
	seq        uint64
	head       broker.ID // the watermark at that mark; set before back is closed
	generation uint64    // the connection that brought it; set before back is closed
	back       chan struct{}
}

func newPartition(index int, store broker.Broker, opts Options, outage *outage, control func([]byte)) *partition {
	return &partition{
		index: index, broker: store, keep: store.Retention(), opts: opts, log: opts.Log.With("partition", index), outage: outage, control: control,
		wake: make(chan struct{}, 1), topics: make(map[string]*topic), changed: make(chan struct{}),
	}
}

// poke wakes run.
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

// receive takes what the connection of a generation delivered.
func (p *partition) receive(generation uint64, messages []broker.Message) {
	p.heard.Store(time.Now().UnixNano())
	p.mu.Lock()
	defer p.unlock()
	if generation != p.generation {
		return
	}
	for i := range messages {
		switch m := &messages[i]; {
		case m.Kind == broker.MessageAck:
			p.ackLocked(m.Topic)
		case p.state == away:
			p.missLocked(m)
		case p.state == catching:
			p.holdLocked(m)
		default:
			p.takeLocked(m)
		}
	}
}

// ackLocked notes that a SUBSCRIBE took effect. A mark that is sent from now on opens the topic.
func (p *partition) ackLocked(name string) {
	t := p.topics[name]
	if t == nil || t.acked {
		return
	}
	t.acked = true
	if t.open {
		p.unacked--
	} else {
		t.opens = p.marks + 1
		p.opening = append(p.opening, t)
	}
	p.poke()
}

// missLocked drops what the catch-up will read, and starts it when its mark is back.
func (p *partition) missLocked(m *broker.Message) {
	switch {
	case m.Kind == broker.MessageEvent:
		p.seen = broker.Later(p.seen, m.Entry.ID)
	case m.Kind == broker.MessageMark && p.catchSeq > 0 && m.Mark.Seq >= p.catchSeq:
		p.seen = broker.Later(p.seen, m.Mark.Head)
		p.catchTo = m.Mark
		p.setStateLocked(catching)
		p.poke()
	}
}

// holdLocked keeps what came after the catch-up's mark.
func (p *partition) holdLocked(m *broker.Message) {
	if m.Kind == broker.MessageEvent {
		p.seen = broker.Later(p.seen, m.Entry.ID)
		p.held += m.Entry.Frame.Len()
	}
	if p.overflow || len(p.backlog) >= p.opts.bounds.backlogEvents || p.held > p.opts.bounds.backlogBytes {
		p.backlog, p.overflow = nil, true
		return
	}
	p.backlog = append(p.backlog, *m)
}

// takeLocked handles one message as it comes.
func (p *partition) takeLocked(m *broker.Message) {
	switch m.Kind {
	case broker.MessageEvent:
		p.eventLocked(m.Topic, m.Entry)
	case broker.MessageMark:
		p.markLocked(m.Mark)
	case broker.MessageBirth:
		p.birthLocked(m.Mark.Born)
	}
}

// eventLocked dispatches an event if it continues its topic's chain.
func (p *partition) eventLocked(name string, e broker.Entry) {
	t := p.topics[name]
	switch {
	case !p.watermark.Less(e.ID):
		p.breakLocked("an event's id is not above the one before it", name, e.ID, true)
	case t == nil || !t.open:
		p.watermark = e.ID
	case t.chain.Less(e.Prev):
		p.breakLocked("an event is missing", name, e.Prev, false)
	case t.exact && e.Prev.Less(t.chain):
		p.breakLocked("the broker has lost the event before this one", name, e.ID, true)
	default:
		p.deliverLocked(t, e)
		p.watermark = e.ID
	}
	p.seen = broker.Later(p.seen, e.ID)
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
	for _, pt := range t.parts {
		if pt.live {
			pt.pushEvent(e)
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

// markLocked moves the watermark to the broker's clock, and opens the topics that waited for it.
func (p *partition) markLocked(m broker.Mark) {
	p.bornLocked(m.Born)
	p.watermark = broker.Later(p.watermark, m.Head)
	p.seen = broker.Later(p.seen, m.Head)
	p.openLocked(m.Seq)
}

// openLocked opens the topics, and frees the waiters, that a mark up to seq was awaited by.
func (p *partition) openLocked(seq uint64) {
	opening := p.opening
	p.opening = nil
	for _, t := range opening {
		switch {
		case p.topics[t.name] != t || !t.acked:
		case t.opens > seq:
			p.opening = append(p.opening, t)
		default:
			t.start(p.watermark)
			p.loading = append(p.loading, t)
			p.poke()
		}
	}
	waiters := p.waiters
	p.waiters = nil
	for _, w := range waiters {
		if w.seq <= seq {
			w.head, w.generation = p.watermark, p.generation
			close(w.back)
		} else {
			p.waiters = append(p.waiters, w)
		}
	}
}

// breakLocked stops the dispatch until a catch-up has read what the connection did not bring.
func (p *partition) breakLocked(why, name string, id broker.ID, lost bool) {
	p.noteLocked(func() {
		p.log.Warn("catching up with Redis", "reason", why, "topic", name, "event_id", id.String())
	})
	p.lost = p.lost || lost
	p.restartLocked()
}

// restartLocked makes run catch up from a new mark.
func (p *partition) restartLocked() {
	p.setStateLocked(away)
	p.backlog, p.held, p.overflow = nil, 0, false
	p.catchSeq = p.marks + 1
	p.poke()
}

// waitMark blocks until a mark that is sent from now on is back. It returns where the broker's clock was, and the
// generation of the connection.
func (p *partition) waitMark(ctx context.Context) (head broker.ID, generation uint64, err error) {
	p.mu.Lock()
	w := &markWaiter{seq: p.marks + 1, back: make(chan struct{})}
	p.waiters = append(p.waiters, w)
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
	p.seen = broker.Later(p.seen, id)
	p.mu.Unlock()
}

// floor is the id that the next one must be above.
func (p *partition) floor() broker.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}
