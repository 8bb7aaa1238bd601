package wire

import (
	"bytes"
	"fmt"
)

// Replies decodes what a server answers to publishes on one connection: one reply per request, or, for a streaming
// request, one per line of its only response. The zero value is ready, for either (see Lines).
//
//	r.Feed(bytes)
//	for r.Next(&accepted) { … }
type Replies struct {
	Lines bool // each line of the body is a reply

	head   Head
	inBody bool
	chunks Chunks
	buf    []byte // fed and not yet decoded
	lines  []byte // decoded body of a streaming request, not yet returned
}

// Feed takes the next bytes of the connection.
func (r *Replies) Feed(b []byte) { r.buf = append(r.buf, b...) }

// Next stores whether the server has accepted the next publish in ok, and returns false when no further reply has
// arrived completely.
func (r *Replies) Next(ok *bool) (bool, error) {
	for {
		if r.nextLine(ok) {
			return true, nil
		}
		if !r.inBody {
			head, n, err := ParseHead(r.buf)
			if err != nil || n == 0 {
				return false, err
			}
			r.consume(n)
			r.head, r.inBody, r.chunks = head, head.Status >= 200, Chunks{}
			if head.Status >= 200 && r.Lines && head.Status != 200 {
				return false, fmt.Errorf("%w: streaming publish answered with status %d", ErrMalformed, head.Status)
			}
			continue
		}
		done, err := r.body()
		if err != nil || !done {
			if err == nil && r.Lines && bytes.IndexByte(r.lines, '\n') >= 0 {
				continue
			}
			return false, err
		}
		r.inBody = false
		if !r.Lines {
			*ok = r.head.Status < 300
			return true, nil
		}
	}
}

// body consumes what has arrived of the body and reports whether that was all of it.
func (r *Replies) body() (done bool, err error) {
	if r.head.Chunked {
		body, rest, err := r.chunks.Decode(r.buf)
		if err != nil {
			return false, err
		}
		if r.Lines {
			r.lines = append(r.lines, body...)
		}
		r.consume(len(r.buf) - len(rest))
		return r.chunks.Done(), nil
	}
	if r.head.Length < 0 {
		return false, fmt.Errorf("%w: reply to a publish has no length", ErrMalformed)
	}
	n := min(r.head.Length, len(r.buf))
	if r.Lines {
		r.lines = append(r.lines, r.buf[:n]...)
	}
	r.head.Length -= n
	r.consume(n)
	return r.head.Length == 0, nil
}

// nextLine takes one line of a streaming request's response: a refused publish has a status.
func (r *Replies) nextLine(ok *bool) bool {
	line, rest, found := bytes.Cut(r.lines, []byte("\n"))
	if !found {
		return false
	}
	*ok = bytes.Contains(line, []byte(`"id"`)) && !bytes.Contains(line, []byte(`"status"`))
	r.lines = rest
	if len(rest) == 0 {
		r.lines = nil
	}
	return true
}

func (r *Replies) consume(n int) {
	r.buf = r.buf[:copy(r.buf, r.buf[n:])]
}
