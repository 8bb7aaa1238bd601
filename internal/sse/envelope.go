package sse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Envelope is what the data field of a published event holds, as JSON.
type Envelope struct {
	Topic string          `json:"topic,omitempty"` // of a topic's event
	User  string          `json:"user,omitempty"`  // of a personal event, in the place of Topic
	Data  json.RawMessage `json:"data"`            // the value as it was published, literals and strings unaltered
	From  string          `json:"from,omitempty"`  // the publisher's subject, where publishers are known
}

// Append appends the envelope as one line of JSON. Data must be compact JSON: json.Marshal would re-escape it.
func (e Envelope) Append(dst []byte) []byte {
	name, value := `{"topic":`, e.Topic
	if e.User != "" {
		name, value = `{"user":`, e.User
	}
	dst = AppendString(append(dst, name...), value)
	dst = append(append(dst, `,"data":`...), e.Data...)
	if e.From != "" {
		dst = AppendString(append(dst, `,"from":`...), e.From)
	}
	return append(dst, '}')
}

// AppendString appends s as a JSON string, unaltered but for what JSON demands: encoding/json would escape the
// characters of HTML and JavaScript as well.
func AppendString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// ParseBlock reads a block made by AppendBlock back into its event.
func ParseBlock(block []byte) (Event, error) {
	event, err := NewDecoder(bytes.NewReader(append(bytes.Clone(block), '\n'))).Next()
	if err != nil {
		return Event{}, fmt.Errorf("parse block of %d bytes: %w", len(block), err)
	}
	return event, nil
}

// RawBlock turns the block of an enveloped event into that of raw=1: data is the published value itself, a string
// without its quotes, one data line for each of its lines. It reports false for a block that holds no envelope.
func RawBlock(block []byte) ([]byte, bool) {
	event, err := ParseBlock(block)
	if err != nil {
		return nil, false
	}
	var envelope Envelope
	if json.Unmarshal([]byte(event.Data), &envelope) != nil || len(envelope.Data) == 0 {
		return nil, false
	}
	data := []byte(envelope.Data)
	var text string
	if json.Unmarshal(data, &text) == nil && data[0] == '"' {
		data = []byte(text)
	}
	if event.Type == TypeMessage { // it was not written out
		event.Type = ""
	}
	return AppendBlock(nil, event.Type, event.Retry, data), true
}
