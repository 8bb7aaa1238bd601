package stream

import "sse-gateway/internal/sse"

// queueRoom is the capacity of a new queue. One that grew beyond queueKeep is not used again.
const (
	queueRoom = 8
	queueKeep = 256
)

// A queue is the pending sequence of a stream that has one: frames to be written, in order. The stream's lock guards it.
// A stream with nothing pending has no queue.
type queue struct {
	frames []*sse.Frame
	offset int           // bytes of the first frame that have been written
	bytes  int           // still to be written
	since  int64         // tick of the last write progress, or of the first frame
	room   chan struct{} // closed when there is room again; nil while nobody waits
}

func newQueue() *queue { return &queue{frames: make([]*sse.Frame, 0, queueRoom)} }

// push appends a frame.
func (q *queue) push(frame *sse.Frame) {
	q.frames = append(q.frames, frame)
	q.bytes += frame.Len()
}

// advance takes n written bytes off the front and returns how many events they completed. It moves frames within the
// slice: only the writer, which looks at them without the lock, may call it.
func (q *queue) advance(n int) (events int) {
	q.bytes -= n
	q.offset += n
	done := 0
	for done < len(q.frames) && q.offset >= q.frames[done].Len() {
		q.offset -= q.frames[done].Len()
		if q.frames[done].IsEvent() {
			events++
		}
		done++
	}
	kept := copy(q.frames, q.frames[done:])
	clear(q.frames[kept:])
	q.frames = q.frames[:kept]
	return events
}

// signal wakes whoever waits for room.
func (q *queue) signal() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// free gives a queue back for the next stream that needs one.
func (s *Streams) free(q *queue) {
	q.signal()
	clear(q.frames)
	if cap(q.frames) > queueKeep {
		return
	}
	*q = queue{frames: q.frames[:0]}
	s.queues.Put(q)
}
