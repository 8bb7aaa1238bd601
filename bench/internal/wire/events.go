package wire

import (
	"bytes"
	"fmt"
)

// An Event is what the tool looks at in an event of a stream. Its fields are valid until the next call of Feed.
type Event struct {
	Type string // as sent; empty for the default type
	Data []byte // the last data line
	Raw  []byte // the whole block
}

// An Events decodes the response to a subscription: head, chunked coding when there is any, and events that end at a
// blank line. Lines may end in LF or CRLF; a lone CR, which the standard allows, is not known to be sent by any server
// and is taken as part of the line. It keeps bytes of its own only while a block is incomplete. The zero value is
// ready.
//
//	d.Feed(bytes)
//	for d.Next(&event) { … }
type Events struct {
	Head Head // once HeadDone

	partial []byte // the start of a head or block whose end has not come yet
	todo    []byte // fed and not yet returned
	chunks  Chunks
	ok      bool // the head has been read
	body    bool // at least one byte of the body has arrived
}

// HeadDone reports whether the head has arrived.
func (d *Events) HeadDone() bool { return d.ok }

// Began reports whether something of the body has arrived.
func (d *Events) Began() bool { return d.body }

// Ended reports whether the response says that it is over, or, by a length, that it will be. A connection's end is the
// caller's to notice.
func (d *Events) Ended() bool { return d.ok && (d.chunks.Done() || d.Head.Length >= 0) }

// Feed takes the next bytes of the connection. It changes b, and refers to it until Next has returned false.
func (d *Events) Feed(b []byte) error {
	if !d.ok {
		d.partial = append(d.partial, b...)
		head, n, err := ParseHead(d.partial)
		if err != nil || n == 0 {
			return err
		}
		d.Head, d.ok = head, true
		b = bytes.Clone(d.partial[n:])
		d.partial = nil
	}
	if d.Head.Chunked {
		body, _, err := d.chunks.Decode(b)
		if err != nil {
			return fmt.Errorf("decode stream: %w", err)
		}
		b = body
	}
	d.body = d.body || len(b) > 0
	if len(d.partial) > 0 {
		d.partial = append(d.partial, b...)
		b = d.partial
	}
	d.todo = b
	return nil
}

// Next stores the next complete event that carries data in e. Once there is none left it keeps what is incomplete and
// returns false.
func (d *Events) Next(e *Event) bool {
	*e = Event{}
	if !d.ok {
		return false
	}
	block := d.todo
	for at := 0; ; {
		end := bytes.IndexByte(block[at:], '\n')
		if end < 0 {
			d.keep(block)
			return false
		}
		line := bytes.TrimSuffix(block[at:at+end], []byte("\r"))
		at += end + 1
		switch {
		case len(line) == 0:
			d.todo = block[at:]
			if e.Data != nil {
				e.Raw = block[:at]
				return true
			}
			*e = Event{}
			block, at = d.todo, 0
		case line[0] == 'd' && bytes.HasPrefix(line, []byte("data:")):
			e.Data = bytes.TrimPrefix(line[len("data:"):], []byte(" "))
		case line[0] == 'e' && bytes.HasPrefix(line, []byte("event:")):
			e.Type = eventType(bytes.TrimPrefix(line[len("event:"):], []byte(" ")))
		}
	}
}

// keep saves an incomplete block for the next Feed.
func (d *Events) keep(block []byte) {
	d.todo = nil
	if len(block) == 0 {
		d.partial = d.partial[:0]
		if cap(d.partial) > 64<<10 {
			d.partial = nil
		}
		return
	}
	d.partial = append(d.partial[:0], block...) // block may lie within partial: append moves it to the front
}

// eventType spares an allocation for the types that come often.
func eventType(name []byte) string {
	if string(name) == "message" {
		return "message"
	}
	return string(name)
}
