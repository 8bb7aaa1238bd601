package httpapi

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNameBytes bounds the names of topics and users, event types and keys.
const maxNameBytes = 255

// checkTopic tells what is wrong with a topic's name, naming the field that it came from.
func checkTopic(field, topic string) error {
	if strings.HasPrefix(topic, "@") {
		return invalid(`%s: a name that starts with "@" is reserved for personal events`, field)
	}
	return checkName(field, topic)
}

// checkUser tells what is wrong with a user's name, naming the field that it came from.
func checkUser(field, user string) error { return checkName(field, user) }

// checkName refuses what would be invisible or misleading wherever a name is shown: in a log, in a URL, on the page.
func checkName(field, name string) error {
	switch {
	case name == "":
		return invalid("%s: must not be empty", field)
	case len(name) > maxNameBytes:
		return invalid("%s: longer than %d bytes", field, maxNameBytes)
	case !utf8.ValidString(name):
		return invalid("%s: not valid UTF-8", field)
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return invalid("%s: holds the control character %U", field, r)
		}
		if reordersText(r) {
			return invalid("%s: holds the text direction character %U", field, r)
		}
	}
	return nil
}

// reordersText tells the characters that make text appear in another order than it has: embeddings, overrides and
// isolates (UAX #9). The marks LRM, RLM and ALM, which right-to-left names need, are not among them.
func reordersText(r rune) bool {
	return (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

// checkLine refuses what would break a line of an event stream or of a header.
func checkLine(field, value string) error {
	switch {
	case len(value) > maxNameBytes:
		return invalid("%s: longer than %d bytes", field, maxNameBytes)
	case strings.ContainsAny(value, "\r\n\x00"):
		return invalid("%s: holds a carriage return, line feed or NUL", field)
	case !utf8.ValidString(value):
		return invalid("%s: not valid UTF-8", field)
	}
	return nil
}

// checkEventType refuses the types that the gateway itself sends, and open, which no page could tell from EventSource's own. An error
// can be told by its data, and the streams of models have it.
func checkEventType(field, eventType string) error {
	switch eventType {
	case "ready", "gap", "close", "position", "expiring", "open":
		return invalid("%s: the type %q is reserved", field, eventType)
	}
	return checkLine(field, eventType)
}

// A nameList is an allow-list: exact names, and prefixes followed by "*". An empty one allows every name.
type nameList []string

func (list nameList) allows(name string) bool {
	for _, entry := range list {
		if prefix, ok := strings.CutSuffix(entry, "*"); (ok && strings.HasPrefix(name, prefix)) || entry == name {
			return true
		}
	}
	return len(list) == 0
}
