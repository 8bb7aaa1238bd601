package stream

import (
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sse-gateway/internal/sse"
)

// passGap is the least time from the start of one pass to that of the next. Events gather meanwhile, and the flusher
// does not keep the processor from those who publish.
const passGap = time.Millisecond

// maxRest bounds the rest after a long pass, which is an eighth of it: whoever waited for their event to reach the last
// stream publish their next ones now, and these leave together.
const maxRest = 15 * time.Millisecond

// pieceBytes is how much the flusher puts together for one write.
const pieceBytes = 64 << 10

// A shard is a share of the engine's streams, all written by one goroutine.
type shard struct {
	engine *epollEngine
	dirty  *list

	// owned by run
	scratch scratch
	tally   tally
}

// run writes all dirty streams, in passes.
func (s *shard) run() {
	gap := time.NewTimer(0)
	defer gap.Stop()
	for {
		select {
		case <-s.dirty.signal:
		case <-s.engine.stop:
			return
		}
		<-gap.C // after a pause it is over, and the pass starts at once
		start := time.Now()
		s.pass()
		took := time.Since(start)
		gap.Reset(max(passGap-took, min(took/8, maxRest)))
	}
}

// pass visits the streams that are dirty now.
func (s *shard) pass() {
	for st := s.dirty.take(); st != nil; {
		next := st.next
		st.next = nil // before pending, which lets the stream into the list again
		s.visit(st)
		st = next
	}
	s.scratch.forget()
	s.report()
}

// report adds the shard's work to the counters.
func (s *shard) report() {
	s.engine.set.counters.add(s.tally)
	s.tally = tally{}
}

// visit writes all that is pending of a stream, or as much as its socket takes.
func (s *shard) visit(st *Stream) {
	frames, offset, over := st.pending()
	if over {
		s.report()
		s.engine.reaper.push(st)
		return
	}
	for whole := false; !whole && len(frames) > 0; {
		piece, count := s.scratch.gather(frames, offset)
		whole = count == len(frames)
		n, err := write(int(st.fd), piece)
		if err != nil && err != unix.EAGAIN { //nolint:errorlint // an errno as the system call returns it
			st.end(ioReason(err), true)
			return
		}
		if n > 0 {
			var events int
			events, frames, offset = st.wrote(n)
			s.tally.events += events
			s.tally.bytes += n
			s.tally.writes++
		}
		if n < len(piece) {
			s.block(st)
			return
		}
	}
}

// block leaves a stream alone until its socket has room.
func (s *shard) block(st *Stream) {
	st.block()
	if err := s.engine.poller.awaitRoom(st); err != nil {
		s.engine.set.opts.Log.Error("wait for room in a socket", "err", err)
		st.end(reasonError, true)
	}
}

// write writes to a non-blocking socket and returns how many bytes it took.
func write(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		if err == nil {
			return n, nil
		}
		if err != unix.EINTR {
			return 0, err
		}
	}
}

// scratch puts frames together for one write. Streams that are visited one after the other mostly have the very same
// frames pending, so that the bytes can be used again.
type scratch struct {
	frames []*sse.Frame // what bytes was made for
	count  int          // how many of them are in bytes
	bytes  []byte
}

// gather returns the bytes of the first count frames without the first offset bytes: all of them, unless they make more
// than a piece. The bytes are valid until the next call.
func (s *scratch) gather(frames []*sse.Frame, offset int) (piece []byte, count int) {
	if len(frames) == 1 || frames[0].Len()-offset >= pieceBytes {
		return frames[0].Chunk()[offset:], 1
	}
	if offset == 0 && slices.Equal(frames, s.frames) {
		return s.bytes, s.count
	}
	s.forget()
	s.bytes = append(s.bytes[:0], frames[0].Chunk()[offset:]...)
	count = 1
	for _, frame := range frames[1:] {
		if len(s.bytes)+frame.Len() > pieceBytes {
			break
		}
		s.bytes = append(s.bytes, frame.Chunk()...)
		count++
	}
	if offset == 0 {
		s.frames = append(s.frames, frames...)
		s.count = count
	}
	return s.bytes, count
}

// forget lets go of the frames.
func (s *scratch) forget() {
	clear(s.frames)
	s.frames = s.frames[:0]
}

// A list hands streams over to a goroutine. Pushing is lock-free; a stream is in one list at a time.
type list struct {
	head   atomic.Pointer[Stream]
	signal chan struct{} // holds a token while the list is not empty
}

func newList() *list { return &list{signal: make(chan struct{}, 1)} }

// push adds a stream.
func (l *list) push(st *Stream) {
	for {
		head := l.head.Load()
		st.next = head
		if l.head.CompareAndSwap(head, st) {
			if head == nil {
				select {
				case l.signal <- struct{}{}:
				default:
				}
			}
			return
		}
	}
}

// take empties the list and returns its first stream, linked to the others by next.
func (l *list) take() *Stream { return l.head.Swap(nil) }
