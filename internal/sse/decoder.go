package sse

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"strconv"
)

// Event is one event as a subscriber receives it.
type Event struct {
	Type  string // "message" where the stream names none
	Data  string // its data lines, joined by "\n"
	ID    string // the last event ID that holds after this event
	Retry int    // ms; 0 where the event sets none
	// Comment is set instead of the rest for a comment line, and only by a decoder with Comments on.
	Comment string
	// Position marks a block without data that moved the last event ID on; only with Comments on.
	Position bool
}

// A Decoder reads the events of a stream. It is for tests and tools; browsers bring their own.
type Decoder struct {
	// Comments makes Next also return comments and blocks without data, which a browser does not show.
	Comments bool

	lines  *bufio.Reader
	line   []byte // reused
	begun  bool   // the first line has been read
	skipLF bool   // the last line ended in CR

	retry  int    // ms, the last one set; 0: none
	lastID string // of the last whole block
	block  block  // the block under way; a comment inside it does not end it
}

type block struct {
	event          Event
	data           []byte
	id             string
	hasData, hasID bool
}

// NewDecoder returns a decoder that reads r to its end.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{lines: bufio.NewReader(r)}
}

// Next returns the next event. It returns io.EOF at the end of the stream; a block without its blank line is not an
// event, as the standard says, and is dropped.
func (d *Decoder) Next() (Event, error) {
	for {
		line, err := d.nextLine()
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if event, ok := d.endBlock(); ok {
				return event, nil
			}
			continue
		}
		name, value, colon := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		if len(name) == 0 && colon {
			if d.Comments {
				return Event{Comment: string(value), ID: d.lastID}, nil
			}
			continue
		}
		d.block.add(string(name), value)
		d.retry = cmp.Or(d.block.event.Retry, d.retry)
	}
}

// Retry is the reconnection time in ms that the stream has asked for last; 0: it has not. It counts also in a block that is not
// finished.
func (d *Decoder) Retry() int { return d.retry }

// endBlock ends the block under way at its blank line, and tells whether it is something to return.
func (d *Decoder) endBlock() (Event, bool) {
	done := d.block
	d.block = block{data: done.data[:0]}
	if done.hasID {
		d.lastID = done.id
	}
	if !done.hasData {
		return Event{ID: d.lastID, Retry: done.event.Retry, Position: done.hasID},
			d.Comments && (done.hasID || done.event.Retry > 0)
	}
	done.event.ID = d.lastID
	done.event.Data = string(bytes.TrimSuffix(done.data, []byte("\n")))
	if done.event.Type == "" {
		done.event.Type = TypeMessage
	}
	return done.event, true
}

func (b *block) add(name string, value []byte) {
	switch name {
	case "event":
		b.event.Type = string(value)
	case "data":
		b.hasData = true
		b.data = append(append(b.data, value...), '\n')
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			b.id, b.hasID = string(value), true
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			b.event.Retry = int(ms)
		}
	}
}

// nextLine returns the next line, ended by LF, CR or CRLF, without its end; it is valid until the next call. An LF
// after a CR is looked for at the next line only, so that an event that ends in CR is not held up.
func (d *Decoder) nextLine() ([]byte, error) {
	d.line = d.line[:0]
	for {
		c, err := d.lines.ReadByte()
		if err != nil {
			return nil, err
		}
		if d.skipLF {
			d.skipLF = false
			if c == '\n' {
				continue
			}
		}
		if c != '\n' && c != '\r' {
			d.line = append(d.line, c)
			continue
		}
		d.skipLF = c == '\r'
		if !d.begun {
			d.begun = true
			return bytes.TrimPrefix(d.line, []byte("\ufeff")), nil
		}
		return d.line, nil
	}
}
