package stream

import (
	"context"
	"sync"

	"sse-gateway/internal/sse"
)

// A Stream is one open subscriber connection. It is kept small, since most streams are idle most of the time.
//
// It ends in two steps. First it gets a reason: nothing more is accepted, and what is pending is written, unless the
// stream is cut. Then its writer lets go of it: the connection is closed, the source leaves.
type Stream struct {
	set    *Streams
	src    Source
	path   *handlerPath // nil: the engine writes this stream
	expiry *expiry      // nil: none
	slot   slot         // guarded by the wheel's lock
	next   *Stream      // link of the list in which the stream waits for its flusher or the reaper
	beat   int64        // tick of the next heartbeat; owned by the wheel
	fd     int32        // owned by the engine
	gen    int32        // tells streams apart that had the same descriptor

	mu     sync.Mutex
	q      *queue        // pending frames, nil when there are none; guarded by mu
	limit  int64         // tick of the end by age; of a stream that ends, the tick at which it is cut; guarded by mu
	done   chan struct{} // made by the first Done; guarded by mu
	reason reason        // guarded by mu
	cut    bool          // nothing more is to be written; guarded by mu
	gone   bool          // the writer lets go; guarded by mu
	left   bool          // release has been called; guarded by mu
	// queued: the writer has been told that there is something to do and has not looked yet. Guarded by mu.
	queued bool
	// blocked: the socket takes no more, and the engine will hear when it does. Guarded by mu.
	blocked bool
	// unfinished: the last line is a comment, which does not end its block. Guarded by mu.
	unfinished bool
	aside      bool // not counted
}

// expiry is what Params says about a stream's end. Owned by the wheel.
type expiry struct {
	at       int64 // of the wall clock, in ms since 1970
	cutAt    int64 // likewise
	noticeAt int64 // likewise
	notice   *sse.Frame
}

// Push appends a frame to the pending sequence. It never blocks and may be called from any goroutine. It reports false,
// and the frame is not sent, when the stream has ended or ends now for a full queue; then no later frame is either.
func (st *Stream) Push(frame *sse.Frame) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.reason != reasonNone {
		return false
	}
	if st.q != nil && (len(st.q.frames) >= st.set.opts.QueueEvents || st.q.bytes+frame.Len() > st.set.opts.QueueBytes) {
		st.endLocked(reasonSlow, true)
		return false
	}
	st.pushLocked(frame)
	st.wakeLocked()
	return true
}

func (st *Stream) pushLocked(frame *sse.Frame) {
	if st.q == nil {
		st.q = st.set.queues.Get().(*queue)
		st.q.since = st.set.wheel.now.Load()
	}
	st.q.push(frame)
	st.unfinished = frame.IsPing()
}

// WaitRoom blocks until the pending sequence is at most half full, the stream has ended (ErrEnded), or ctx is done.
// Before Serve is called on a stream that its handler writes, it is WaitRoom that writes.
func (st *Stream) WaitRoom(ctx context.Context) error {
	if st.path != nil && st.path.writer.TryLock() {
		st.path.flush(st)
		st.path.writer.Unlock()
	}
	for {
		room, err := st.room()
		if err != nil {
			return err
		}
		if room == nil {
			return ctx.Err()
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// room returns a channel that is closed when it is worth asking again, nil when there is room.
func (st *Stream) room() (<-chan struct{}, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.reason != reasonNone {
		return nil, ErrEnded
	}
	if st.roomyLocked() {
		return nil, nil
	}
	if st.q.room == nil {
		st.q.room = make(chan struct{})
	}
	return st.q.room, nil
}

// roomyLocked tells whether the pending sequence is at most half full.
func (st *Stream) roomyLocked() bool {
	opts := &st.set.opts
	return st.q == nil || (len(st.q.frames) <= opts.QueueEvents/2 && st.q.bytes <= opts.QueueBytes/2)
}

// End closes the stream once what is pending has been written, at the latest after Options.Stall; who was cut off gets
// nothing more. The first reason
// holds; one that is not of this package counts as an error. It never blocks and may be called from any goroutine.
func (st *Stream) End(reason string) {
	r := parseReason(reason)
	st.end(r, r == reasonCut)
}

// Done returns a channel that is closed when the stream is gone: nothing more is written, and the source has left.
func (st *Stream) Done() <-chan struct{} {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.done == nil {
		st.done = make(chan struct{})
		if st.left {
			close(st.done)
		}
	}
	return st.done
}

// Serve writes the stream until it has ended, unless the engine does: then it returns at once. With http.ErrAbortHandler, the
// handler is to panic: the response must not look whole.
func (st *Stream) Serve() error {
	if st.path == nil {
		return nil
	}
	return st.path.serve(st)
}

// end ends the stream, with cut without writing what is pending.
func (st *Stream) end(r reason, cut bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.endLocked(r, cut)
}

func (st *Stream) endLocked(r reason, cut bool) {
	if st.reason == reasonNone {
		st.reason = r
		st.limit = st.set.wheel.now.Load() + st.set.wheel.stall
		if !cut && st.wholeLocked() {
			st.finishLocked()
		}
		if st.q != nil {
			st.q.signal()
		}
	}
	heads := st.path != nil && st.path.headed != 0
	if heads && r == reasonDrain && !st.cut {
		st.limit = min(st.limit, st.set.wheel.now.Load()+st.set.wheel.ticks(headTime))
	} else if (cut || heads) && !st.cut {
		st.cut = true // before its head a stream has nothing that would be worth waiting for
		if st.path != nil && (st.q != nil || heads) && !st.gone {
			st.path.abort()
		}
	}
	st.wakeLocked()
}

// wholeLocked tells whether the stream is to end as a whole one: it has been closed, or there is no other way. Whoever is to come back
// sees the connection break, since many clients stop for good at the end of a response.
func (st *Stream) wholeLocked() bool {
	return !st.cut && (st.reason == reasonClosed || (st.path != nil && st.path.unframed))
}

// finishLocked appends what ends the response, and before it the block that a heartbeat has begun.
func (st *Stream) finishLocked() {
	if st.unfinished {
		st.pushLocked(st.set.blank)
	}
	st.pushLocked(st.set.last)
}

// wakeLocked tells the writer that there is something to do.
func (st *Stream) wakeLocked() {
	if st.queued || st.gone || (st.blocked && !st.cut) {
		return
	}
	st.queued = true
	if st.path != nil {
		st.path.wake()
	} else {
		st.set.engine.wake(st)
	}
}

// pending returns what the writer has to write: frames, of the first of which offset bytes have been written already.
// It returns over when nothing is left to be written and the writer is to let go.
func (st *Stream) pending() (frames []*sse.Frame, offset int, over bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.queued = false
	if st.cut || (st.reason != reasonNone && st.q == nil) {
		st.gone = true
		return nil, 0, true
	}
	if st.q == nil || st.blocked {
		return nil, 0, false
	}
	return st.q.frames, st.q.offset, false
}

// wrote tells that n bytes of what pending returned have been written. It returns how many frames that completed, and
// what is pending now.
func (st *Stream) wrote(n int) (events int, frames []*sse.Frame, offset int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	events = st.q.advance(n)
	if len(st.q.frames) > 0 {
		st.q.since = st.set.wheel.now.Load()
		if st.roomyLocked() {
			st.q.signal()
		}
		return events, st.q.frames, st.q.offset
	}
	st.set.free(st.q)
	st.q = nil
	if st.reason != reasonNone {
		st.wakeLocked() // for the writer to let go
	}
	return events, nil, 0
}

// block notes that the socket takes no more.
func (st *Stream) block() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.blocked = true
}

// unblock goes on after block.
func (st *Stream) unblock() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.blocked = false
	if st.q != nil {
		st.wakeLocked()
	}
}

// begin lets the writer look at a stream that Open has set up. Until then it counts as queued.
func (st *Stream) begin() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.queued = false
	if st.reason != reasonNone || st.q != nil {
		st.wakeLocked()
	}
}

// countOpen counts the stream in or out.
func (st *Stream) countOpen(n int64) {
	if !st.aside {
		st.set.counters.open.Add(n)
	}
}

// release is the last thing in a stream's life. Its writer has let go of it, and its connection is closed.
func (st *Stream) release() {
	st.set.wheel.remove(st)
	st.src.Leave()
	st.mu.Lock()
	st.countOpen(-1)
	if !st.aside {
		st.set.counters.closed[st.reason].Add(1)
	}
	if st.q != nil {
		st.set.free(st.q)
		st.q = nil
	}
	st.left = true
	if st.done != nil {
		close(st.done)
	}
	st.mu.Unlock()
	st.set.forget()
}
