package stream

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	wheelSlots = 512
	minTick    = 5 * time.Millisecond
	maxTick    = 250 * time.Millisecond
	never      = math.MaxInt64 // a tick that does not come
)

// A wheel does what is due by time for all streams, in one goroutine: heartbeats, notices, ends by age, expiry and stall.
// Each stream stands in the slot of its next turn; one that is due after a full round is passed over until then. The
// wheel is also the list of all open streams.
//
// Ticks are of the time that timers run by, which goes on evenly. Expiries are of the wall clock, which may be set: they are
// compared with it at each turn, and when it has moved against the ticks every stream has a turn.
type wheel struct {
	tick      time.Duration
	heartbeat int64 // ticks
	stall     int64 // ticks
	maxAge    int64 // ticks; 0: none
	start     time.Time
	clock     func() time.Time // the wall clock
	wall      int64            // what it shows, in ms since 1970; owned by run
	ahead     int64            // how far it was ahead of the ticks, in ms, when every stream had a turn; owned by run
	now       atomic.Int64     // tick; the first is 1
	stop      chan struct{}
	done      sync.WaitGroup

	mu    sync.Mutex
	slots [wheelSlots]*Stream // heads of lists; guarded by mu
}

// slot is a stream's place in the wheel.
type slot struct {
	next, prev *Stream
	due        int64 // tick of the next turn; 0: not in the wheel
}

func newWheel(opts Options) *wheel {
	w := &wheel{
		tick:  min(max(min(opts.Heartbeat, opts.Stall)/50, minTick), maxTick),
		start: time.Now(),
		clock: opts.Clock,
		stop:  make(chan struct{}),
	}
	w.wall = w.clock().UnixMilli()
	w.ahead = w.wall
	w.heartbeat, w.stall, w.maxAge = w.ticks(opts.Heartbeat), w.ticks(opts.Stall), w.ticks(opts.MaxAge)
	w.now.Store(1)
	w.done.Go(w.run)
	return w
}

// close ends the wheel's goroutine and waits for it.
func (w *wheel) close() {
	close(w.stop)
	w.done.Wait()
}

// ticks is a duration in ticks, rounded up.
func (w *wheel) ticks(d time.Duration) int64 { return int64((d + w.tick - 1) / w.tick) }

// add takes a new stream in and draws when its first heartbeat comes and how old it gets.
func (w *wheel) add(st *Stream, p Params) {
	now := w.now.Load()
	st.beat = now + 1 + rand.Int64N(w.heartbeat)
	limit := int64(never)
	if w.maxAge > 0 {
		limit = now + max(1, w.maxAge*4/5+rand.Int64N(w.maxAge*2/5+1))
	}
	due := min(st.beat, limit, now+w.stall)
	if !p.Expiry.IsZero() {
		st.expiry = &expiry{at: p.Expiry.UnixMilli(), cutAt: never, notice: p.Notice, noticeAt: never}
		if !p.Deadline.IsZero() {
			st.expiry.cutAt = p.Deadline.UnixMilli()
		}
		if p.Notice != nil {
			st.expiry.noticeAt = p.NoticeAt.UnixMilli()
		}
		due = now + 1 // then it is seen how far that is: run alone knows whether the clock has been set
	}
	st.mu.Lock()
	st.limit = limit
	st.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.linkLocked(st, due)
}

// remove takes a stream out.
func (w *wheel) remove(st *Stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlinkLocked(st)
}

// all returns every stream of the wheel.
func (w *wheel) all() []*Stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	var streams []*Stream
	for _, st := range w.slots {
		for ; st != nil; st = st.slot.next {
			streams = append(streams, st)
		}
	}
	return streams
}

func (w *wheel) run() {
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	var due []*Stream
	for last := w.now.Load(); ; {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
		}
		elapsed := time.Since(w.start)
		now := 1 + int64(elapsed/w.tick)
		w.now.Store(now)
		if w.hasMoved(elapsed) {
			due = w.all()
		} else {
			due = w.due(due[:0], last, now)
		}
		last = now
		for _, st := range due {
			w.move(st, max(now+1, st.turn(now)))
		}
		clear(due)
	}
}

// hasMoved looks at the wall clock, and tells whether it has been set, or has drifted away, by a tick or more.
func (w *wheel) hasMoved(elapsed time.Duration) bool {
	w.wall = w.clock().UnixMilli()
	ahead := w.wall - elapsed.Milliseconds()
	if moved := time.Duration(ahead-w.ahead) * time.Millisecond; moved.Abs() < w.tick {
		return false
	}
	w.ahead = ahead
	return true
}

// untilWall is the number of whole ticks until the wall clock shows a time, so that nothing happens later than it should.
func (w *wheel) untilWall(at int64) int64 {
	left := min(max(0, at-w.wall), never/2/int64(time.Millisecond)) // which is a century and more
	return int64(time.Duration(left) * time.Millisecond / w.tick)
}

// due appends the streams whose turn has come after the tick last, up to now.
func (w *wheel) due(streams []*Stream, last, now int64) []*Stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	for tick := max(last+1, now-wheelSlots+1); tick <= now; tick++ {
		for st := w.slots[tick%wheelSlots]; st != nil; st = st.slot.next {
			if st.slot.due <= now {
				streams = append(streams, st)
			}
		}
	}
	return streams
}

// move sets a stream's next turn, unless it has been taken out.
func (w *wheel) move(st *Stream, due int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if st.slot.due != 0 {
		w.unlinkLocked(st)
		w.linkLocked(st, due)
	}
}

// hasten gives a stream a turn at a tick at the latest.
func (w *wheel) hasten(st *Stream, due int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if st.slot.due > due {
		w.unlinkLocked(st)
		w.linkLocked(st, due)
	}
}

// linkLocked puts a stream into the slot of its next turn. A tick that has begun meanwhile may have been walked through
// already: the stream would wait there for a full round, a minute or two. The lock orders the two: run counts the tick
// first and walks its slot under the lock later, so the tick after the one that is counted here is still to come.
func (w *wheel) linkLocked(st *Stream, due int64) {
	due = max(due, w.now.Load()+1)
	head := &w.slots[due%wheelSlots]
	st.slot = slot{next: *head, due: due}
	if *head != nil {
		(*head).slot.prev = st
	}
	*head = st
}

func (w *wheel) unlinkLocked(st *Stream) {
	if st.slot.prev != nil {
		st.slot.prev.slot.next = st.slot.next
	} else {
		w.slots[st.slot.due%wheelSlots] = st.slot.next
	}
	if st.slot.next != nil {
		st.slot.next.slot.prev = st.slot.prev
	}
	st.slot = slot{}
}

// turn does what is due for the stream, and returns the tick at which it wants to be looked at again.
func (st *Stream) turn(now int64) int64 {
	next := int64(never)
	if e := st.expiry; e != nil {
		w := st.set.wheel
		if e.notice != nil && w.untilWall(e.noticeAt) == 0 {
			st.Push(e.notice)
			e.notice, e.noticeAt = nil, never
		}
		switch {
		case w.untilWall(e.at) == 0:
			st.end(reasonExpired, false) // what is pending has a tick at least to be written
			e.at = never
		case w.untilWall(e.cutAt) == 0:
			st.end(reasonExpired, true)
			e.cutAt = never
		}
		next = now + w.untilWall(min(e.at, e.cutAt, e.noticeAt))
	}
	idle, check := st.check(now)
	if st.beat <= now {
		st.beat = max(st.beat+st.set.wheel.heartbeat, now+1)
		if idle {
			st.src.Beat()
		}
	}
	return min(next, check, st.beat, now+st.set.wheel.stall)
}

// check ends the stream if it is too old or makes no progress. It tells whether a heartbeat would be the only thing
// pending, and the tick at which to check again at the latest.
func (st *Stream) check(now int64) (idle bool, next int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.limit <= now {
		st.endLocked(reasonMaxAge, st.reason != reasonNone)
	}
	var since int64
	switch {
	case st.path != nil && st.path.headed != 0:
		since = st.path.headed
	case st.q != nil:
		since = st.q.since
	default:
		return st.reason == reasonNone, st.limit
	}
	stalled := since + st.set.wheel.stall
	if stalled <= now {
		st.endLocked(reasonStalled, true)
	}
	return false, min(st.limit, max(stalled, now+1))
}
