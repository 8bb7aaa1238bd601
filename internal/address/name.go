package address

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName bounds the names of topics and users, in bytes.
const MaxName = 255

// CheckName tells what is wrong with the name of a topic or a user. It refuses what would be invisible or misleading wherever a
// name is shown: in a log, in a URL, on a page. The error says it without the name, to follow that of a field.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("must not be empty")
	case len(name) > MaxName:
		return fmt.Errorf("longer than %d bytes", MaxName)
	case !utf8.ValidString(name):
		return errors.New("not valid UTF-8")
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("holds the control character %U", r)
		}
		if reordersText(r) {
			return fmt.Errorf("holds the text direction character %U", r)
		}
	}
	return nil
}

// reordersText tells the characters that make text appear in another order than it has: embeddings, overrides and
// isolates (UAX #9). The marks LRM, RLM and ALM, which right-to-left names need, are not among them.
func reordersText(r rune) bool {
	return (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

// Match tells whether a pattern covers a name: it is the name, or ends with a "*", which stands for any rest, also an empty one.
func Match(pattern, name string) bool {
	prefix, wild := strings.CutSuffix(pattern, "*")
	return pattern == name || (wild && strings.HasPrefix(name, prefix))
}

// MatchWritten is Match for addresses in their written form. A "*" never reaches from one kind over to another: "*" alone covers
// all topics and no user, "@*" all users.
func MatchWritten(pattern, written string) bool {
	return Match(pattern, written) && KindOf(pattern) == KindOf(written)
}
