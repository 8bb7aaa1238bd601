package httpapi

import (
	"strings"
	"unicode/utf8"

	"sse-gateway/internal/address"
	"sse-gateway/internal/sse"
)

// maxLine bounds event types and keys, in bytes.
const maxLine = 255

// checkTopic tells what is wrong with a topic's name, naming the field that it came from.
func checkTopic(field, topic string) error {
	if kind := address.KindOf(topic); kind != address.Topic {
		return invalid("%s: a name that starts with %q is reserved for personal events", field, kind.Prefix())
	}
	return checkName(field, topic)
}

// checkUser tells what is wrong with a user's name, naming the field that it came from.
func checkUser(field, user string) error { return checkName(field, user) }

// checkName tells what is wrong with a name, naming the field that it came from.
func checkName(field, name string) error {
	if err := address.CheckName(name); err != nil {
		return invalid("%s: %s", field, err)
	}
	return nil
}

// checkLine refuses what would break a line of an event stream or of a header.
func checkLine(field, value string) error {
	switch {
	case len(value) > maxLine:
		return invalid("%s: longer than %d bytes", field, maxLine)
	case strings.ContainsAny(value, "\r\n\x00"):
		return invalid("%s: holds a carriage return, line feed or NUL", field)
	case !utf8.ValidString(value):
		return invalid("%s: not valid UTF-8", field)
	}
	return nil
}

// checkEventType refuses the types that the gateway itself sends.
func checkEventType(field, eventType string) error {
	if sse.Reserved(eventType) {
		return invalid("%s: the type %q is reserved", field, eventType)
	}
	return checkLine(field, eventType)
}

// A nameList is an allow-list: exact names, and prefixes followed by "*". An empty one allows every name.
type nameList []string

func (list nameList) allows(name string) bool {
	for _, entry := range list {
		if address.Match(entry, name) {
			return true
		}
	}
	return len(list) == 0
}
