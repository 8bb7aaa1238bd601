package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// ErrMalformed is wrapped by every error about bytes that are not HTTP as the parsers know it.
var ErrMalformed = errors.New("malformed response")

const maxHead = 16 << 10

// A Head is a response's status line and the headers that say how its body is framed.
type Head struct {
	Status  int
	Length  int // of the body; -1 when it runs to the end of the connection, or is chunked
	Chunked bool
}

// ParseHead reads the head at the start of b and returns it with its length, which is 0 as long as it is incomplete.
func ParseHead(b []byte) (Head, int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxHead {
			return Head{}, 0, fmt.Errorf("%w: head of more than %d bytes", ErrMalformed, maxHead)
		}
		return Head{}, 0, nil
	}
	status, fields, _ := bytes.Cut(b[:end+2], []byte("\r\n"))
	if len(status) < len("HTTP/1.1 200") || !bytes.HasPrefix(status, []byte("HTTP/1.")) {
		return Head{}, 0, fmt.Errorf("%w: status line %q", ErrMalformed, status)
	}
	code, err := strconv.Atoi(string(status[9:12]))
	if err != nil {
		return Head{}, 0, fmt.Errorf("%w: status line %q", ErrMalformed, status)
	}
	head := Head{Status: code, Length: -1}
	if code == 204 || code == 304 || code < 200 {
		head.Length = 0
	}
	for len(fields) > 0 {
		var field []byte
		field, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		if err := head.field(field); err != nil {
			return Head{}, 0, err
		}
	}
	return head, end + 4, nil
}

func (h *Head) field(field []byte) error {
	name, value, _ := bytes.Cut(field, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.Atoi(string(value))
		if err != nil || n < 0 {
			return fmt.Errorf("%w: content length %q", ErrMalformed, value)
		}
		h.Length = n
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		h.Chunked = bytes.EqualFold(value, []byte("chunked"))
	}
	return nil
}

// A Chunks takes the chunked transfer coding (RFC 9112, section 7.1) off a body that arrives in pieces. Its zero
// value is ready to use.
type Chunks struct {
	left  int  // bytes of the current chunk still to come
	size  int  // the chunk size line read so far
	state byte // where in the framing the last piece ended
}

const (
	inSize = iota // reading the hexadecimal size
	inExtension
	inData
	inDataCR // after the data: its CR, then its LF
	inDataLF
	inTrailer // after the last chunk: at the start of a line
	inTrailerLine
	inDone
)

// Done reports whether the body has ended.
func (c *Chunks) Done() bool { return c.state == inDone }

// Decode moves the body's bytes in b to its front, in place, and returns them with what stands behind the body's end.
func (c *Chunks) Decode(b []byte) (body, rest []byte, err error) {
	out := 0
	for i := 0; i < len(b); {
		if c.state == inDone {
			return b[:out], b[i:], nil
		}
		if c.state == inData {
			n := copy(b[out:], b[i:min(i+c.left, len(b))])
			out, i, c.left = out+n, i+n, c.left-n
			if c.left == 0 {
				c.state = inDataCR
			}
			continue
		}
		if err := c.frame(b[i]); err != nil {
			return nil, nil, err
		}
		i++
	}
	return b[:out], nil, nil
}

// frame takes one byte of the framing.
func (c *Chunks) frame(b byte) error {
	switch c.state {
	case inSize, inExtension:
		return c.sizeLine(b)
	case inDataCR:
		if b != '\r' {
			return fmt.Errorf("%w: %q behind a chunk", ErrMalformed, b)
		}
		c.state = inDataLF
	case inDataLF:
		c.state = inSize
	case inTrailer:
		if b == '\n' {
			c.state = inDone
		} else if b != '\r' {
			c.state = inTrailerLine
		}
	case inTrailerLine:
		if b == '\n' {
			c.state = inTrailer
		}
	}
	return nil
}

func (c *Chunks) sizeLine(b byte) error {
	switch {
	case b == '\n':
		c.left, c.size = c.size, 0
		c.state = inData
		if c.left == 0 {
			c.state = inTrailer
		}
	case b == ';' || b == '\r' || c.state == inExtension:
		c.state = inExtension
	default:
		digit, err := strconv.ParseUint(string(b), 16, 8)
		if err != nil || c.size > 1<<26 {
			return fmt.Errorf("%w: chunk size with %q", ErrMalformed, b)
		}
		c.size = c.size<<4 | int(digit)
	}
	return nil
}
