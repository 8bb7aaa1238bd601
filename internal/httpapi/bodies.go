package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// bodyGrace and bodyRate are how slowly a body may come: it has so much of the first at any moment, and of the second
	// per second.
	bodyGrace = 10 * time.Second
	bodyRate  = 16 << 10
	// answerTime bounds how long an answer that is no stream may take to be taken in, from when its request has been read.
	answerTime = 30 * time.Second
	// strayBody and strayTime bound a body that nobody has asked for: it is passed over, for the next request on the connection
	// to be found.
	strayBody = 64 << 10
	strayTime = time.Second
)

// A timedConn has deadlines for reads and writes, as http.ResponseController does.
type timedConn interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// timed gives the body and the answer their times, and passes bodies over where none is taken: net/http would wait for
// them before an answer and after a stream. Streams take the times off again with untimed.
func (a *API) timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		switch {
		case r.Body == nil || r.Body == http.NoBody:
			_ = control.SetWriteDeadline(time.Now().Add(a.answerTime)) // a writer without deadlines is a test's
		case takesBody(r):
			r.Body = newPacedBody(r.Body, control, a.grace, a.answerTime)
		default:
			if err := a.passOver(r, control); err != nil {
				w.Header().Set("Connection", "close")
				a.fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// takesBody tells whether a body is to be read: that of a publish, and of a close, which may bring the topic's last events.
func takesBody(r *http.Request) bool {
	closes := strings.HasPrefix(r.URL.Path, "/topics/") && strings.HasSuffix(r.URL.Path, "/close")
	return r.Method == http.MethodPost && (r.URL.Path == "/publish" || closes)
}

func untimed(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
}

// passOver reads a body that is not wanted. One that is large, or does not come, is refused.
func (a *API) passOver(r *http.Request, control timedConn) error {
	now := time.Now()
	_ = control.SetReadDeadline(now.Add(strayTime))
	_ = control.SetWriteDeadline(now.Add(a.answerTime))
	n, err := io.Copy(io.Discard, io.LimitReader(r.Body, strayBody+1))
	switch {
	case n > strayBody:
		return tooLarge("body: %s takes none", r.Method)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return newProblem(http.StatusRequestTimeout, "timeout", "Too slow", "body: it did not come, and %s takes none here", r.Method)
	case err != nil:
		return &bodyError{err}
	}
	_ = control.SetReadDeadline(time.Time{})
	r.Body = http.NoBody
	return nil
}

// A pacedBody cuts off a body that trickles in: its deadline moves only with what has come, and never further than the
// grace from now. The time of the answer begins when it has been read.
type pacedBody struct {
	io.ReadCloser
	control    timedConn
	grace      time.Duration
	answerTime time.Duration
	due        time.Time
	ended      bool
}

func newPacedBody(body io.ReadCloser, control timedConn, grace, answerTime time.Duration) *pacedBody {
	b := &pacedBody{ReadCloser: body, control: control, grace: grace, answerTime: answerTime, due: time.Now().Add(grace)}
	_ = control.SetReadDeadline(b.due)
	_ = control.SetWriteDeadline(b.due.Add(answerTime))
	return b
}

func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	now := time.Now()
	if err != nil {
		b.ended = true
		_ = b.control.SetWriteDeadline(now.Add(b.answerTime))
		if errors.Is(err, io.EOF) {
			// From here on net/http reads to notice that the client has gone; it must not time out.
			_ = b.control.SetReadDeadline(time.Time{})
		}
		return n, err
	}
	b.due = b.due.Add(time.Duration(n) * time.Second / bodyRate)
	if latest := now.Add(b.grace); latest.Before(b.due) {
		b.due = latest
	}
	_ = b.control.SetReadDeadline(b.due)
	_ = b.control.SetWriteDeadline(b.due.Add(b.answerTime))
	return n, nil
}

// hurry bounds how long net/http waits for a body that was not read before it sends the answer.
func hurry(w http.ResponseWriter, r *http.Request) {
	if paced, ok := r.Body.(*pacedBody); ok && !paced.ended {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(strayTime))
	}
}
