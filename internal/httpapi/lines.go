package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
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

// lineTimes bound the reading of lines.
type lineTimes struct {
	grace time.Duration // how long a line that has begun may rest
	idle  time.Duration // how long the next one may take to begin; 0: for ever
}

// A deadliner bounds the time of reads, as http.ResponseController does.
type deadliner interface{ SetReadDeadline(time.Time) error }

// A line is what a line of NDJSON says, or what is wrong with it.
type line struct {
	item item
	err  error
}

// A lineReader splits a body into lines, has them parsed, and gathers them until they are taken. run does so ahead,
// while take's caller is busy, a bounded amount.
type lineReader struct {
	body    io.Reader
	control deadliner
	times   lineTimes
	max     int                    // bytes of one line
	parse   func(line []byte) line // called by run, not for lines without anything in them
	tooLong line                   // stands for a line that is longer than max

	buf      []byte    // what has been read of a line that has not ended; owned by run
	skipping bool      // the rest of a line that is too long is passed over; owned by run
	began    time.Time // when the line that has not ended began; owned by run

	mu      sync.Mutex
	changed sync.Cond // what mu guards has changed
	lines   []line    // parsed and not taken; guarded by mu
	size    int       // of lines, in bytes; guarded by mu
	spare   []line    // those taken last: their room is used again; guarded by mu
	err     error     // why run has ended; guarded by mu
	stopped bool      // guarded by mu
	woken   bool      // take is to return though there is nothing; guarded by mu
}

func newLineReader(body io.Reader, control deadliner, times lineTimes, maxLine int, parse func([]byte) line) *lineReader {
	l := &lineReader{
		body: body, control: control, times: times, max: maxLine, parse: parse,
		tooLong: line{err: tooLarge("line: larger than %d bytes", maxLine)},
	}
	l.changed.L = &l.mu
	return l
}

// take waits for at least one line, or wake, and returns all that there are. They are valid until the next call. When there are
// none left, it returns why: io.EOF, errLinesStopped, that none came for too long, or the body's error.
func (l *lineReader) take() ([]line, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.lines) == 0 && !l.woken {
		if l.err != nil {
			return nil, l.err
		}
		l.changed.Wait()
	}
	l.woken = false
	clear(l.spare)
	l.lines, l.spare, l.size = l.spare[:0], l.lines, 0
	l.changed.Broadcast()
	return l.spare, nil
}

// wake makes take return, now or when it is called next.
func (l *lineReader) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.woken = true
	l.changed.Broadcast()
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
		deadline, ok := l.allow()
		if !ok {
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
			if errors.Is(err, os.ErrDeadlineExceeded) && !deadline.IsZero() && !time.Now().Before(deadline) {
				err = l.late()
			}
			l.end(err)
			return
		}
	}
}

// begun tells whether there is a part of a line.
func (l *lineReader) begun() bool { return len(l.buf) > 0 || l.skipping }

// late is the problem of a publisher whose time is over.
func (l *lineReader) late() *problem {
	if l.begun() {
		return newProblem(http.StatusRequestTimeout, "timeout", "Too slow", "line: it came too slowly")
	}
	return idle(l.times.idle)
}

// allow sets the time of the next read, and returns it: between two lines the publisher may rest, but a line that has begun
// must go on. It reports false when reading has been stopped.
func (l *lineReader) allow() (deadline time.Time, ok bool) {
	switch now := time.Now(); {
	case l.begun():
		if l.began.IsZero() {
			l.began = now
		}
		deadline = l.began.Add(l.times.grace + time.Duration(len(l.buf))*time.Second/bodyRate)
		if latest := now.Add(l.times.grace); latest.Before(deadline) {
			deadline = latest // what came fast earns no rest
		}
	case l.times.idle > 0:
		deadline = now.Add(l.times.idle)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		_ = l.control.SetReadDeadline(deadline)
	}
	return deadline, !l.stopped
}

// add splits what has been read, and waits while too much has not been taken. It reports false when stopped meanwhile.
func (l *lineReader) add(chunk []byte) bool {
	defer l.changed.Broadcast()
	for {
		end := bytes.IndexByte(chunk, '\n')
		if end < 0 {
			return l.keep(chunk)
		}
		if !l.keep(chunk[:end]) {
			return false
		}
		if len(bytes.TrimSpace(l.buf)) > 0 && !l.push(l.parse(l.buf), len(l.buf)) {
			return false
		}
		l.skipping, l.began = false, time.Time{}
		if l.buf = l.buf[:0]; cap(l.buf) > batchBytes {
			l.buf = nil // one huge line should not be paid for to the end
		}
		chunk = chunk[end+1:]
	}
}

// keep adds a piece to the line that has not ended.
func (l *lineReader) keep(piece []byte) bool {
	switch {
	case l.skipping:
	case len(l.buf)+len(piece) > l.max:
		l.buf, l.skipping = nil, true
		return l.push(l.tooLong, 0)
	default:
		l.buf = append(l.buf, piece...)
	}
	return true
}

// push adds a line to those to be taken, when there is room.
func (l *lineReader) push(next line, size int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.lines) >= batchLines || l.size >= batchBytes {
		if l.stopped {
			return false
		}
		_ = l.control.SetReadDeadline(time.Time{}) // that nothing is read meanwhile is not the publisher's fault
		l.changed.Broadcast()
		l.changed.Wait()
	}
	l.lines = append(l.lines, next)
	l.size += size
	return true
}

func (l *lineReader) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	var late *problem
	if l.stopped && !errors.As(err, &late) { // net/http ends the request's context with a read that is late, which stops as well
		l.err = errLinesStopped // whatever woke the read
	} else if errors.Is(err, io.EOF) {
		_ = l.control.SetReadDeadline(time.Time{}) // what net/http reads afterwards has no time
	}
	l.changed.Broadcast()
}
