package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds how deep values may be nested, for the sake of the parsers of those who receive them.
const maxDepth = 512

// compact checks that body is one JSON value in UTF-8 and returns it without insignificant space. Literals of
// numbers and strings stay as they are.
func compact(body []byte) ([]byte, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // a byte order mark, which editors and PowerShell leave
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, invalid(`body: empty; it should be JSON such as {"topic":"robot","data":"hi"}`)
	}
	if !utf8.Valid(body) {
		return nil, invalid("body: not valid UTF-8")
	}
	var out bytes.Buffer
	out.Grow(len(body))
	if json.Compact(&out, body) != nil {
		return nil, notJSON(body)
	}
	return out.Bytes(), nil
}

// notJSON says where the body stops to be JSON, which Compact does not.
func notJSON(body []byte) error {
	var value json.RawMessage
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &value)); ok {
		return invalid("body: not JSON at byte %d: %s", syntax.Offset, syntax.Error())
	}
	return invalid("body: not JSON")
}

// A walker goes through JSON that compact has made: it is valid and holds no space, so that nothing of that is checked
// again. It is many times faster than decoding by reflection, sees duplicate fields, and hands out values as they were written.
type walker struct {
	json []byte
	at   int
}

// each calls visit for each member of the object, or element of the array, that the walker stands at. name is the member's name,
// still quoted; nil in an array. visit must consume the value.
func (w *walker) each(visit func(name []byte, index int) error) error {
	object := w.json[w.at] == '{'
	w.at++
	for index := 0; w.json[w.at] != '}' && w.json[w.at] != ']'; index++ {
		if w.json[w.at] == ',' {
			w.at++
		}
		var name []byte
		if object {
			name = w.string()
			w.at++ // the colon
		}
		if err := visit(name, index); err != nil {
			return err
		}
	}
	w.at++
	return nil
}

// value consumes a value and returns it as written, and how deep it is nested.
func (w *walker) value() (raw []byte, depth int) {
	start, open := w.at, 0
	for {
		switch c := w.json[w.at]; c {
		case '"':
			w.string()
		case '{', '[':
			open++
			depth = max(depth, open)
			w.at++
		case '}', ']':
			open--
			w.at++
		case ',', ':':
			w.at++
		default: // a number, true, false or null
			for w.at < len(w.json) && !isDelimiter(w.json[w.at]) {
				w.at++
			}
		}
		if open == 0 {
			return w.json[start:w.at], depth
		}
	}
}

func isDelimiter(c byte) bool { return c == ',' || c == '}' || c == ']' }

// string consumes a string and returns it with its quotes.
func (w *walker) string() []byte {
	start := w.at
	for w.at++; w.json[w.at] != '"'; w.at++ {
		if w.json[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
	return w.json[start:w.at]
}

// kind names the type of the value that the walker stands at.
func (w *walker) kind() string {
	switch w.json[w.at] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

// text consumes the value of a field that must be a string.
func (w *walker) text(field string) (string, error) {
	if kind := w.kind(); kind != "string" {
		return "", invalid("%s: must be a string, not %s", field, kind)
	}
	quoted := w.string()
	if hasLoneSurrogate(quoted) {
		return "", invalid("%s: holds half of a surrogate pair", field)
	}
	return unquote(quoted), nil
}

// unquote decodes a valid JSON string.
func unquote(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // valid, says compact
	return text
}

// hasLoneSurrogate tells whether the string escapes half of a UTF-16 surrogate pair, which is no character and which
// encoding/json would silently replace.
func hasLoneSurrogate(quoted []byte) bool {
	pending := false // a high surrogate that its low one has to follow at once
	for at := 1; at < len(quoted)-1; at++ {
		var unit uint64
		if quoted[at] == '\\' {
			at++
			if quoted[at] == 'u' {
				unit, _ = strconv.ParseUint(string(quoted[at+1:at+5]), 16, 16)
				at += 4
			}
		}
		low := unit >= 0xdc00 && unit <= 0xdfff
		if low != pending {
			return true
		}
		pending = unit >= 0xd800 && unit <= 0xdbff
	}
	return pending
}
