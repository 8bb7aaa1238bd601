package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"sse-gateway/internal/address"
	"sse-gateway/internal/sse"
)

// A printer writes events: as lines of JSON for programs, as text for people. Several streams may share it.
type printer struct {
	terminal Terminal
	all      bool // events that only tell of the stream itself, too

	mu sync.Mutex // held for a whole event
}

// print writes an event, if it is one to be shown, and tells whether it was published by somebody.
func (p *printer) print(event sse.Event) (published bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event.Type {
	case sse.TypeReady, sse.TypePosition, sse.TypeExpiring:
		if shown := p.all || (p.terminal.Pretty && event.Type == sse.TypeReady); !shown {
			return false, nil
		}
	case sse.TypeGap, sse.TypeClose:
	default:
		published = true
	}
	text := record(event)
	if p.terminal.Pretty {
		text = p.pretty(event)
	}
	_, err = io.WriteString(p.terminal.Out, text+"\n")
	return published, err
}

// record is an event as an item of a history has it: its id and type, and what its data holds.
func record(event sse.Event) string {
	members := bytes.TrimPrefix([]byte(event.Data), []byte("{"))
	if len(members) == len(event.Data) || !json.Valid([]byte(event.Data)) { // of no gateway, but nothing is to be lost
		members = append(append([]byte(`"data":`), asJSON(event.Data)...), '}')
	}
	return fmt.Sprintf(`{"id":%s,"event":%s,%s`, asJSON(event.ID), asJSON(event.Type), bytes.TrimLeft(members, " "))
}

// said is what the data of the gateway's events and of others hold.
type said struct {
	sse.Envelope
	Topics  []string `json:"topics"`  // ready
	After   string   `json:"after"`   // gap
	Expires string   `json:"expires"` // expiring
}

const (
	dim, bold, yellow, plain = "\x1b[2m", "\x1b[1m", "\x1b[33m", "\x1b[0m"
)

// pretty is an event as a line of text, or several if its data is a text of several.
func (p *printer) pretty(event sse.Event) string {
	var data said
	_ = json.Unmarshal([]byte(event.Data), &data) // what is missing is not shown
	name := visible(data.Topic)
	if data.User != "" {
		name = visible(address.OfUser(data.User).String())
	}
	switch event.Type {
	case sse.TypeReady:
		names := strings.Join(data.Topics, ", ")
		if data.User != "" {
			names = strings.TrimPrefix(names+", "+address.OfUser(data.User).String(), ", ")
		}
		return p.paint(dim, "-- listening to "+visible(names)+" --")
	case sse.TypeGap:
		return p.paint(yellow, "-- "+name+": events may be missing after "+cmp.Or(clock(data.After), "the beginning")+" --")
	case sse.TypeClose:
		return p.paint(dim, "-- "+name+" has ended --")
	case sse.TypePosition:
		return p.paint(dim, "-- complete up to "+visible(event.ID)+" --")
	case sse.TypeExpiring:
		return p.paint(yellow, "-- the token expires at "+visible(data.Expires)+" --")
	case sse.TypeMessage:
	default:
		name += " [" + visible(event.Type) + "]"
	}
	return p.paint(dim, cmp.Or(clock(event.ID), "--:--:--")) + " " + p.paint(bold, name) + " " + visible(textOf(data.Data))
}

func (p *printer) paint(style, text string) string {
	if !p.terminal.Color {
		return text
	}
	return style + text + plain
}

// clock is the time of day that an id holds; empty if it holds none.
func clock(id string) string {
	before, _, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseInt(before, 10, 64)
	if err != nil || ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).Format(time.TimeOnly)
}

// textOf is a string without its quotes, and any other value as it was published.
func textOf(data json.RawMessage) string {
	var text string
	if json.Unmarshal(data, &text) == nil && len(data) > 0 && data[0] == '"' {
		return text
	}
	return string(data)
}

// visible escapes what would act on a terminal, or show text in another order than it has. Lines of a text stay lines.
func visible(text string) string {
	if !strings.ContainsFunc(text, isHidden) {
		return strings.ReplaceAll(text, "\n", "\n         ")
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			b.WriteString("\n         ")
		case isHidden(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isHidden tells what is no visible character; the joiners and marks that scripts and emoji need are let through.
func isHidden(r rune) bool {
	switch r {
	case '\n', '\t', '\u200c', '\u200d', '\u200e', '\u200f', '\u061c':
		return false
	}
	return !unicode.IsPrint(r) && !unicode.IsSpace(r) || unicode.IsControl(r)
}
