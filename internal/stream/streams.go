// Package stream owns the open streams of a replica: the pending sequence of each, the writing of it, heartbeats, ages
// and ends. It knows frames, not topics: a Source, the stream's subscription, pushes them in.
//
// A stream has one ordered pending sequence and one writer. On Linux, a stream over plain HTTP/1.1 is taken over by the
// engine: a descriptor in one epoll set, written by the flusher of its shard, with neither goroutine nor buffer of its
// own. Every other stream is written by the goroutine of its HTTP handler. What a subscriber sees is the same.
package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"sse-gateway/internal/sse"
)

var (
	// ErrEnded: the stream has ended, or is ending.
	ErrEnded = errors.New("the stream has ended")
	// ErrClosed: Streams has been closed.
	ErrClosed = errors.New("the streams have been closed")
)

const (
	// minStall is the least default of Options.Stall.
	minStall = 30 * time.Second
	// headTime is for the head of a stream that is drained before it has been written.
	headTime = time.Second
)

// Options are the bounds and times of all streams.
type Options struct {
	QueueBytes  int           // bound of one stream's pending sequence; a single frame always fits
	QueueEvents int           // the same in frames
	Heartbeat   time.Duration // from one Source.Beat to the next; the first is spread over it
	MaxAge      time.Duration // streams end at this age, spread by ±20 %; 0: never
	Stall       time.Duration // without write progress for so long a stream is cut; 0: max(2 × Heartbeat, 30 s)
	Engine      bool          // take plain HTTP/1.1 over from net/http where the system allows it
	Log         *slog.Logger  // nil: discards

	// Clock is the wall clock that expiries are told by; nil: time.Now. It may step.
	Clock func() time.Time
}

// A Source is where a stream's frames come from. Its methods are called with no lock of this package held.
type Source interface {
	// Beat asks for a heartbeat, to be pushed into the stream before Beat returns. It must be short: all streams
	// share the goroutine that calls it.
	Beat()
	// Leave tells that the stream has ended. It is called once for every stream that Open returned, and Beat may
	// be under way meanwhile.
	Leave()
}

// Params are what Open needs to know about one stream.
type Params struct {
	First    []byte     // sent in one write with the head: whole blocks, or lines of one that does not go on
	Aside    bool       // it is not counted as a stream: it only says that there is none
	Expiry   time.Time  // when the stream ends as expired; zero: never
	Deadline time.Time  // when an expired stream is cut, whatever is pending; zero: Options.Stall after Expiry
	Notice   *sse.Frame // pushed at NoticeAt, to tell that the expiry is near; nil: none
	NoticeAt time.Time
}

// Streams is the set of a replica's open streams. Its methods may be called from any goroutine.
type Streams struct {
	opts     Options
	wheel    *wheel
	engine   engine // nil: every stream stays with its handler
	counters counters
	queues   sync.Pool  // of *queue, all empty
	blank    *sse.Frame // an empty line
	last     *sse.Frame // the last chunk

	closing  sync.Once
	mu       sync.Mutex
	count    int           // streams that Open has admitted and that are not gone; guarded by mu
	draining bool          // guarded by mu
	closed   bool          // guarded by mu
	empty    chan struct{} // closed and forgotten when count is 0; guarded by mu
}

// New starts the goroutines that serve all streams; Close ends them.
func New(opts Options) (*Streams, error) {
	if opts.QueueBytes < 1 || opts.QueueEvents < 1 {
		return nil, fmt.Errorf("queue of %d bytes and %d events: both must be positive", opts.QueueBytes, opts.QueueEvents)
	}
	if opts.Heartbeat <= 0 || opts.MaxAge < 0 || opts.Stall < 0 {
		return nil, fmt.Errorf("heartbeat %v, max age %v, stall %v: out of range", opts.Heartbeat, opts.MaxAge, opts.Stall)
	}
	if opts.Stall == 0 {
		opts.Stall = max(2*opts.Heartbeat, minStall)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Streams{opts: opts, blank: sse.NewFrame(nil, ""), last: sse.NewLast(), queues: sync.Pool{New: func() any { return newQueue() }}}
	s.wheel = newWheel(opts)
	if opts.Engine {
		engine, err := newEngine(s)
		if err != nil {
			s.wheel.close()
			return nil, fmt.Errorf("start the stream engine: %w", err)
		}
		s.engine = engine
	}
	return s, nil
}

// An engine writes streams without their handlers.
type engine interface {
	// adopt takes the connection over from net/http and sends the head and first. Where it cannot watch it, adopt
	// sets the stream's path; where net/http does not give it away, it returns http.ErrNotSupported and has done nothing.
	// The engine leaves the stream alone until it is woken.
	adopt(st *Stream, w http.ResponseWriter, r *http.Request, first []byte) error
	// wake has the stream looked at soon. It never blocks.
	wake(st *Stream)
	// close ends the engine's goroutines and waits for them. There must be no stream left.
	close()
}

// Open answers r with status 200, the headers set on w and p.First, all in one write, and owns the connection from then
// on: the caller must not use w again, and must call Serve, once, before its handler returns, whatever happens.
// After an error there is no stream, src is not called, and nothing can be sent any more unless the error is ErrClosed.
func (s *Streams) Open(w http.ResponseWriter, r *http.Request, src Source, p Params) (*Stream, error) {
	if err := s.admit(); err != nil {
		return nil, err
	}
	st := &Stream{set: s, src: src, queued: true, aside: p.Aside, unfinished: !bytes.HasSuffix(p.First, []byte("\n\n"))}
	st.countOpen(1) // before a client can know that it has a stream
	var err error = http.ErrNotSupported
	if s.engineTakes(r) {
		err = s.engine.adopt(st, w, r, p.First)
	}
	switch {
	case errors.Is(err, http.ErrNotSupported):
		// What ends streams, counts them and bounds them is in force before the head is written: that may take its time.
		st.path = newResponsePath(w, r, s.wheel.now.Load())
		s.enter(st, p)
		st.path.writeHead(st, p.First)
	case err != nil:
		st.countOpen(-1)
		s.forget()
		return nil, fmt.Errorf("open stream: %w", err)
	default:
		s.enter(st, p)
	}
	st.begin()
	return st, nil
}

// engineTakes tells whether r's stream is for the engine.
func (s *Streams) engineTakes(r *http.Request) bool {
	// It speaks HTTP/1.1 in the clear, and has a body to send.
	return s.engine != nil && r.TLS == nil && r.ProtoMajor == 1 && r.ProtoMinor == 1 && r.Method != http.MethodHead
}

// enter puts a stream among the open ones.
func (s *Streams) enter(st *Stream, p Params) {
	s.wheel.add(st, p)
	// Whoever drains or closes looks at the wheel after having said so: one of the two sees the other.
	if draining, closed := s.stopping(); draining {
		s.drain(st, closed)
	}
}

// drain ends a stream because the replica stops. One whose head is being written ends after it: the client is to see an answer.
// But that is not waited for for long.
func (s *Streams) drain(st *Stream, cut bool) {
	st.end(reasonDrain, cut)
	s.wheel.hasten(st, s.wheel.now.Load()+s.wheel.ticks(headTime))
}

// Drain ends every stream, evenly spread over the given time, each after its pending frames have been written.
// Streams opened from now on end at once. It returns when no stream is left or ctx is done.
func (s *Streams) Drain(ctx context.Context, over time.Duration) {
	empty := s.stop(false)
	all := s.wheel.all()
	start := time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for i, st := range all {
		due := start.Add(time.Duration(float64(over) * float64(i) / float64(len(all))))
		if wait := time.Until(due); wait > 0 {
			pause.Reset(wait)
			select {
			case <-pause.C:
			case <-empty: // the rest has left by itself
				return
			case <-ctx.Done():
				return
			}
		}
		s.drain(st, false)
	}
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// Close cuts every stream that is still open, waits until all are gone, and ends the goroutines. Open fails afterwards.
// Since it waits for handlers to call Serve, whatever they may be waiting for must have ended or be about to.
func (s *Streams) Close() error {
	s.closing.Do(func() {
		empty := s.stop(true)
		for _, st := range s.wheel.all() {
			s.drain(st, true)
		}
		<-empty
		s.wheel.close()
		if s.engine != nil {
			s.engine.close()
		}
	})
	return nil
}

// admit counts a stream in.
func (s *Streams) admit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.count++
	return nil
}

// forget counts a stream out: nothing of it runs any more.
func (s *Streams) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count--
	if s.count == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// stopping tells what Drain and Close have set.
func (s *Streams) stopping() (draining, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining, s.closed
}

// stop makes new streams end, or with closed fail, and returns a channel that is closed once no stream is left.
func (s *Streams) stop(closed bool) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	s.closed = s.closed || closed
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	if s.count == 0 {
		close(empty)
		s.empty = nil
	}
	return empty
}
