package sse

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Event is one event as a subscriber receives it.
type Event struct {
	Type  string // "message" where the stream names none
	Data  string // its data lines, joined by "\n"
	ID    string // the last event ID that holds after this event
	Retry int    // ms; 0 where the event sets none
	// Comment is set instead of the rest for a comment line, and only by a decoder with Comments on.
	Comment string
	// Position marks a block that only moved the last event ID on; only with Comments on.
	Position bool
}

// A Decoder reads the events of a stream. It is for tests and tools; browsers bring their own.
type Decoder struct {
	// Comments makes Next also return comments and id-only blocks, which a browser does not show.
	Comments bool

	lines  *bufio.Reader
	lastID string
	first  bool
	skipLF bool
}

// NewDecoder returns a decoder that reads r to its end.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{lines: bufio.NewReader(r), first: true}
}

// Next returns the next event. It returns io.EOF at the end of the stream; a block without its blank line is not an
// event, as the standard says, and is dropped.
func (d *Decoder) Next() (Event, error) {
	var event Event
	var data strings.Builder
	hasData, hasID := false, false
	for {
		line, err := d.line()
		if err != nil {
			return Event{}, err
		}
		if line == "" {
			event.ID = d.lastID
			if hasData {
				event.Data = strings.TrimSuffix(data.String(), "\n")
				if event.Type == "" {
					event.Type = "message"
				}
				return event, nil
			}
			if d.Comments && hasID {
				return Event{ID: d.lastID, Position: true, Retry: event.Retry}, nil
			}
			if d.Comments && event.Retry > 0 {
				return Event{ID: d.lastID, Retry: event.Retry}, nil
			}
			event, hasID = Event{}, false
			continue
		}
		name, value, colon := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "" && colon:
			if d.Comments {
				return Event{Comment: value, ID: d.lastID}, nil
			}
		case name == "event":
			event.Type = value
		case name == "data":
			hasData = true
			data.WriteString(value)
			data.WriteByte('\n')
		case name == "id" && !strings.Contains(value, "\x00"):
			hasID = true
			d.lastID = value
		case name == "retry":
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				event.Retry = int(ms)
			}
		}
	}
}

// line returns the next line, ended by LF, CR or CRLF, without its end.
func (d *Decoder) line() (string, error) {
	var line strings.Builder
	for {
		c, err := d.lines.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return "", io.EOF
			}
			return "", err
		}
		if d.skipLF {
			d.skipLF = false
			if c == '\n' {
				continue
			}
		}
		if c == '\n' || c == '\r' {
			d.skipLF = c == '\r'
			text := line.String()
			if d.first {
				d.first = false
				text = strings.TrimPrefix(text, "\ufeff")
			}
			return text, nil
		}
		line.WriteByte(c)
	}
}
