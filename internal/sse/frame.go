// Package sse holds the wire format of Server-Sent Events: what an event is, how it is encoded into a frame, and
// how a stream is decoded again (for tests and tools). It knows nothing of topics, brokers or connections.
//
// The format is that of the WHATWG HTML standard, section 9.2 "Server-sent events".
package sse

import (
	"bytes"
	"strconv"
	"sync/atomic"
)

// A Frame is an encoded event, ready to be written. It is immutable, encoded once per replica, and shared by every
// subscriber that gets the event.
type Frame struct {
	wire []byte
	raw  atomic.Pointer[Frame]
}

// NewFrame makes the frame of a block (see AppendBlock) under an id. The id is the frame's last field, since some
// parsers take an id over at its line and not at the blank line. An empty id leaves the field out.
func NewFrame(block []byte, id string) *Frame {
	wire := make([]byte, 0, len(block)+len("id: \n\n")+len(id))
	wire = append(wire, block...)
	if id != "" {
		wire = append(wire, "id: "...)
		wire = append(wire, id...)
		wire = append(wire, '\n')
	}
	return &Frame{wire: append(wire, '\n')}
}

// NewPing makes the frame of a heartbeat: a comment line alone. Many parsers take every blank line for the end of an event,
// and hand out one without data.
func NewPing() *Frame { return &Frame{wire: []byte(": ping\n")} }

// Whole tells whether the frame ends its block. After one that does not, which is a heartbeat's, some clients take the end of the
// stream for a broken one.
func (f *Frame) Whole() bool { return bytes.HasSuffix(f.wire, []byte("\n\n")) || len(f.wire) == 1 }

// IsPing tells whether the frame is a heartbeat, and carries no event.
func (f *Frame) IsPing() bool { return f.wire[0] == ':' }

// Bytes returns the frame as it goes to the socket, blank line included. The caller must not change it.
func (f *Frame) Bytes() []byte { return f.wire }

// Len is the number of bytes that the frame puts on the wire.
func (f *Frame) Len() int { return len(f.wire) }

// Raw returns the frame in the form for subscribers that asked for raw=1 (see RawBlock), made at the first call.
func (f *Frame) Raw() *Frame {
	if raw := f.raw.Load(); raw != nil {
		return raw
	}
	block, id := f.split()
	raw := f
	if rawBlock, ok := RawBlock(block); ok {
		raw = NewFrame(rawBlock, id)
	}
	f.raw.Store(raw)
	return raw
}

// WithID returns the same event under another id: for a stream whose cursor is not the event's own id.
func (f *Frame) WithID(id string) *Frame {
	block, _ := f.split()
	return NewFrame(block, id)
}

// split takes a frame apart into its block and its id.
func (f *Frame) split() (block []byte, id string) {
	block = f.wire[:len(f.wire)-1]
	last := bytes.LastIndexByte(block[:max(len(block)-1, 0)], '\n') + 1
	if line, ok := bytes.CutPrefix(block[last:], []byte("id: ")); ok {
		return block[:last], string(line[:len(line)-1])
	}
	return block, ""
}

// AppendBlock appends an event without its id: the form in which events are stored and carried between replicas.
// The type is left out when empty; retry (ms) when 0. data may hold any newline: each line becomes a field.
func AppendBlock(dst []byte, eventType string, retry int, data []byte) []byte {
	if eventType != "" {
		dst = append(dst, "event: "...)
		dst = append(dst, eventType...)
		dst = append(dst, '\n')
	}
	if retry > 0 {
		dst = AppendRetry(dst, retry)
	}
	for {
		end := bytes.IndexAny(data, "\r\n")
		dst = append(dst, "data: "...)
		if end < 0 {
			return append(append(dst, data...), '\n')
		}
		dst = append(append(dst, data[:end]...), '\n')
		if data[end] == '\r' && end+1 < len(data) && data[end+1] == '\n' {
			end++
		}
		data = data[end+1:]
	}
}

// AppendRetry appends a reconnection time in milliseconds.
func AppendRetry(dst []byte, ms int) []byte {
	dst = append(dst, "retry: "...)
	return append(strconv.AppendInt(dst, int64(ms), 10), '\n')
}
