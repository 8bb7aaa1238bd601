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
	chunk []byte // the event as a chunk of HTTP/1.1
	raw   atomic.Pointer[Frame]
}

// NewFrame makes the frame of a block (see AppendBlock) under an id. The id is the frame's last field (rule 7 of docs/exactness.md), since some
// parsers take an id over at its line and not at the blank line. An empty id leaves the field out.
func NewFrame(block []byte, id string) *Frame {
	size := len(block) + 1
	if id != "" {
		size += len("id: \n") + len(id)
	}
	chunk := appendSize(make([]byte, 0, size+chunkFraming), size)
	chunk = append(chunk, block...)
	if id != "" {
		chunk = append(chunk, "id: "...)
		chunk = append(chunk, id...)
		chunk = append(chunk, '\n')
	}
	return &Frame{chunk: append(chunk, "\n\r\n"...)}
}

// chunkFraming is what a chunk of up to 16 MB has around it.
const chunkFraming = len("ffffff\r\n\r\n")

// appendSize appends the beginning of a chunk (RFC 9112, section 7.1).
func appendSize(dst []byte, size int) []byte {
	return append(strconv.AppendUint(dst, uint64(size), 16), "\r\n"...)
}

// AppendChunk appends p, which must not be empty, as a chunk of HTTP/1.1.
func AppendChunk(dst, p []byte) []byte {
	return append(append(appendSize(dst, len(p)), p...), "\r\n"...)
}

// NewLast makes the frame that ends a stream for good: the last chunk, in which there is nothing.
func NewLast() *Frame { return &Frame{chunk: []byte("0\r\n\r\n")} }

// NewPing makes the frame of a heartbeat: a comment line alone. Many parsers take every blank line for the end of an event,
// and hand out one without data.
func NewPing() *Frame { return &Frame{chunk: AppendChunk(nil, []byte(": ping\n"))} }

// IsPing tells whether the frame is a heartbeat, and carries no event. It does not end a block: some clients take the end of the
// stream after it for a broken one.
func (f *Frame) IsPing() bool { return !f.endsBlock() && len(f.chunk) > len(blankChunk) }

// IsEvent tells whether the frame carries an event.
func (f *Frame) IsEvent() bool { return f.endsBlock() && len(f.chunk) > len(blankChunk) }

// endsBlock tells whether an empty line ends the frame. It is asked for every delivery, and looks at one byte.
func (f *Frame) endsBlock() bool { return f.chunk[len(f.chunk)-len("\n\r\n")-1] == '\n' }

// blankChunk is the frame of an empty line alone, the longest that is neither an event nor a heartbeat.
const blankChunk = "1\r\n\n\r\n"

// Bytes returns the event as a client reads it, blank line included. The caller must not change it.
func (f *Frame) Bytes() []byte {
	return f.chunk[bytes.IndexByte(f.chunk, '\n')+1 : len(f.chunk)-len("\r\n")]
}

// Chunk returns the frame as it goes to a socket of HTTP/1.1. The caller must not change it.
func (f *Frame) Chunk() []byte { return f.chunk }

// Len is the number of bytes of Chunk.
func (f *Frame) Len() int { return len(f.chunk) }

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
	wire := f.Bytes()
	block = wire[:len(wire)-1]
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
