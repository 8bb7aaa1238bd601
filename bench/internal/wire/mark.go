// Package wire holds what goes over the load tool's sockets: the mark inside each event's data, the requests, and
// parsers for responses and event streams that are made for speed.
package wire

import "bytes"

// A Mark is what the tool writes into an event's data, to find out at each delivery what arrived and how late.
type Mark struct {
	Topic int   // index of the topic
	Seq   int   // counts the topic's events in order of sending, from 0
	Sent  int64 // monotonic ns at which the event was to be published
}

const (
	markPrefix = "bench:"

	topicDigits = 6
	seqDigits   = 10
	sentDigits  = 19

	// MarkLen is the length of a mark without its padding: the least data an event can carry.
	MarkLen = len(markPrefix) + topicDigits + seqDigits + sentDigits + 2
)

// Append appends the mark as text of exactly size bytes (at least MarkLen), all of which stand unescaped in JSON.
func (m Mark) Append(dst []byte, size int) []byte {
	start := len(dst)
	dst = append(dst, markPrefix...)
	dst = append(appendDigits(dst, int64(m.Topic), topicDigits), ' ')
	dst = append(appendDigits(dst, int64(m.Seq), seqDigits), ' ')
	dst = appendDigits(dst, m.Sent, sentDigits)
	for len(dst)-start < size {
		dst = append(dst, '.')
	}
	return dst
}

// FindMark reads the mark within an event's data, wherever a server's envelope has put it.
func FindMark(data []byte) (Mark, bool) {
	at := bytes.Index(data, []byte(markPrefix))
	if at < 0 || len(data)-at < MarkLen {
		return Mark{}, false
	}
	text := data[at+len(markPrefix):]
	topic, ok1 := digits(text, topicDigits)
	text = text[topicDigits+1:]
	seq, ok2 := digits(text, seqDigits)
	sent, ok3 := digits(text[seqDigits+1:], sentDigits)
	return Mark{int(topic), int(seq), sent}, ok1 && ok2 && ok3
}

func appendDigits(dst []byte, v int64, width int) []byte {
	start := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= start; i-- {
		dst[i] += byte(v % 10)
		v /= 10
	}
	return dst
}

func digits(text []byte, width int) (v int64, ok bool) {
	ok = true
	for _, c := range text[:width] {
		ok = ok && c >= '0' && c <= '9'
		v = v*10 + int64(c-'0')
	}
	return v, ok
}
