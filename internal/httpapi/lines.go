package httpapi

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// batchLines and batchBytes bound what is read ahead of the publishing of lines.
	batchLines = 256
	batchBytes = 256 << 10
	// readBytes is how much is read at once.
	readBytes = 32 << 10
)

// errLinesStopped: stop was called.
var errLinesStopped = errors.New("reading lines was stopped")

// A deadliner bounds the time of reads, as http.ResponseController does.
type deadliner interface{ SetReadDeadline(time.Time) error }

// A lineReader splits a body into lines and gathers those that have come until they are taken. run reads ahead while
// take's caller is busy, a bounded amount.
type lineReader struct {
	body    io.Reader
	control deadliner
	max     int // bytes of one line

	buf      []byte    // what has been read of a line that has not ended; owned by run
	skipping bool      // the rest of a line that is too long is passed over; owned by run
	began    time.Time // when the line that has not ended began; owned by run

	mu      sync.Mutex
	changed sync.Cond // of what mu guards
	filling *lineBatch
	spare   *lineBatch // the one taken last: its buffers are used again
	err     error      // why run has ended
	stopped bool
}

// A lineBatch holds lines without their ends.
type lineBatch struct {
	text  []byte
	lines []span
}

type span struct{ start, end int } // end -1: the line was too long

func (b *lineBatch) line(i int) (text []byte, tooLong bool) {
	s := b.lines[i]
	if s.end < 0 {
		return nil, true
	}
	return b.text[s.start:s.end], false
}

func (b *lineBatch) reset() {
	b.lines = b.lines[:0]
	if b.text = b.text[:0]; cap(b.text) > 4*batchBytes {
		b.text = nil // one huge line should not be paid for to the end
	}
}

func newLineReader(body io.Reader, control deadliner, maxLine int) *lineReader {
	l := &lineReader{body: body, control: control, max: maxLine, filling: &lineBatch{}, spare: &lineBatch{}}
	l.changed.L = &l.mu
	return l
}

// take waits for at least one line, and returns all that have come. The batch is valid until the next call.
// When there are none left, it returns why: io.EOF, errLinesStopped, or the body's error.
func (l *lineReader) take() (*lineBatch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.filling.lines) == 0 {
		if l.err != nil {
			return nil, l.err
		}
		l.changed.Wait()
	}
	l.spare.reset()
	l.filling, l.spare = l.spare, l.filling
	l.changed.Broadcast()
	return l.spare, nil
}

// stop makes run end soon. What it has read can still be taken.
func (l *lineReader) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || l.stopped {
		return
	}
	l.stopped = true
	_ = l.control.SetReadDeadline(time.Unix(1, 0)) // wakes run
	l.changed.Broadcast()
}

// run reads until the body ends or stop is called.
func (l *lineReader) run() {
	chunk := make([]byte, readBytes)
	for {
		if !l.allow() {
			l.end(errLinesStopped)
			return
		}
		n, err := l.body.Read(chunk)
		if !l.add(chunk[:n]) {
			l.end(errLinesStopped)
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) && len(l.buf) > 0 {
				l.add([]byte{'\n'}) // the last line needs no end
			}
			l.end(err)
			return
		}
	}
}

// allow sets the time of the next read: none between two lines, but a line that has begun must go on. It reports false
// when reading has been stopped.
func (l *lineReader) allow() bool {
	var deadline time.Time
	if len(l.buf) > 0 || l.skipping {
		if l.began.IsZero() {
			l.began = time.Now()
		}
		deadline = l.began.Add(bodyGrace + time.Duration(len(l.buf))*time.Second/bodyRate)
	} else {
		l.began = time.Time{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		_ = l.control.SetReadDeadline(deadline)
	}
	return !l.stopped
}

// add splits what has been read, and waits while too much has not been taken. It reports false when stopped meanwhile.
func (l *lineReader) add(chunk []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		end := bytes.IndexByte(chunk, '\n')
		if end < 0 {
			l.keepLocked(chunk)
			l.changed.Broadcast()
			return true
		}
		for len(l.filling.lines) >= batchLines || len(l.filling.text) >= batchBytes {
			l.changed.Broadcast()
			if l.stopped {
				return false
			}
			l.changed.Wait()
		}
		l.keepLocked(chunk[:end])
		if !l.skipping {
			l.appendLocked(l.buf)
		}
		l.buf, l.skipping, l.began = l.buf[:0], false, time.Time{}
		chunk = chunk[end+1:]
	}
}

// keepLocked adds a piece to the line that has not ended.
func (l *lineReader) keepLocked(piece []byte) {
	switch {
	case l.skipping:
	case len(l.buf)+len(piece) > l.max:
		l.filling.lines = append(l.filling.lines, span{0, -1})
		l.skipping = true
		l.buf = nil
	default:
		l.buf = append(l.buf, piece...)
	}
}

func (l *lineReader) appendLocked(text []byte) {
	b := l.filling
	start := len(b.text)
	b.text = append(b.text, text...)
	b.lines = append(b.lines, span{start, len(b.text)})
}

func (l *lineReader) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	if l.stopped {
		l.err = errLinesStopped // whatever woke the read
	} else {
		_ = l.control.SetReadDeadline(time.Time{}) // what net/http reads afterwards has no time
	}
	l.changed.Broadcast()
}
