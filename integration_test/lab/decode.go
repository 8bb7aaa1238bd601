package lab

import (
	"bytes"
	"strconv"
)

// A Kind tells the blocks of a stream apart.
type Kind int

// The kinds of Event.
const (
	Dispatched Kind = iota // an event that a browser would fire
	Comment                // a comment line, in Data
	IDOnly                 // a block without data that set the last event ID
	RetryOnly              // a block without data that set the reconnection time
)

// Event is a block of a stream, or a comment.
type Event struct {
	Kind  Kind
	Type  string
	Data  string
	ID    string // the last event ID after the block
	Retry int    // ms; 0 if the block sets none
}

// decoder turns the bytes of a stream into events, as section 9.2.6 of the HTML standard says. It keeps what is
// incomplete until more comes.
type decoder struct {
	emit func(Event)

	rest    []byte // the beginning of a line
	started bool   // the byte order mark, if any, is behind
	afterCR bool   // a line feed that comes next belongs to the line before

	lastID string // of the last complete block
	id     string // id buffer
	hasID  bool
	kind   string // event type buffer
	data   []byte // data buffer, with a newline after each line
	retry  int
}

func (d *decoder) feed(p []byte) {
	for len(p) > 0 {
		if d.afterCR {
			d.afterCR = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			d.rest = append(d.rest, p...)
			return
		}
		line := p[:end]
		if len(d.rest) > 0 {
			d.rest = append(d.rest, line...)
			line = d.rest
		}
		d.afterCR = p[end] == '\r'
		p = p[end+1:]
		if !d.started {
			d.started = true
			line = bytes.TrimPrefix(line, []byte{0xEF, 0xBB, 0xBF})
		}
		d.line(line)
		d.rest = d.rest[:0]
	}
}

func (d *decoder) line(line []byte) {
	if len(line) == 0 {
		d.dispatch()
		return
	}
	colon := bytes.IndexByte(line, ':')
	if colon == 0 {
		d.emit(Event{Kind: Comment, Data: string(bytes.TrimPrefix(line[1:], []byte{' '})), ID: d.lastID})
		return
	}
	var value []byte
	if colon > 0 {
		value = bytes.TrimPrefix(line[colon+1:], []byte{' '})
		line = line[:colon]
	}
	switch string(line) {
	case "event":
		d.kind = string(value)
	case "data":
		d.data = append(append(d.data, value...), '\n')
	case "id":
		if !bytes.Contains(value, []byte{0}) {
			d.id, d.hasID = string(value), true
		}
	case "retry":
		if ms, err := strconv.Atoi(string(value)); err == nil && ms >= 0 && value[0] != '+' {
			d.retry = ms
		}
	}
}

func (d *decoder) dispatch() {
	event := Event{Kind: Dispatched, Type: d.kind, Retry: d.retry}
	if d.hasID {
		d.lastID = d.id
	}
	event.ID = d.lastID
	switch {
	case len(d.data) > 0:
		event.Data = string(d.data[:len(d.data)-1])
		if event.Type == "" {
			event.Type = "message"
		}
	case d.hasID:
		event.Kind = IDOnly
	case d.retry > 0:
		event.Kind = RetryOnly
	default:
		event.Kind = -1
	}
	d.kind, d.data, d.retry, d.hasID = "", d.data[:0], 0, false
	if event.Kind >= 0 {
		d.emit(event)
	}
}
