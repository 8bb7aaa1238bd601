package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// A size is a number of bytes, written as a whole number with or without one of the units B, KiB, MiB and GiB.
type size int

var errSize = errors.New("not a size")

type sizeUnit struct {
	suffix string
	bytes  int
}

func sizeUnits() []sizeUnit {
	return []sizeUnit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}
}

// UnmarshalText reads a size.
func (s *size) UnmarshalText(text []byte) error {
	for _, unit := range sizeUnits() {
		digits, ok := strings.CutSuffix(string(text), unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 31)
		if err != nil || int(n) > math.MaxInt/unit.bytes {
			return errSize
		}
		*s = size(int(n) * unit.bytes)
		return nil
	}
	return errSize
}

// String writes the size in its largest whole unit.
func (s size) String() string {
	for _, unit := range sizeUnits() {
		if s > 0 && int(s)%unit.bytes == 0 && unit.bytes > 1 {
			return fmt.Sprintf("%d%s", int(s)/unit.bytes, unit.suffix)
		}
	}
	return strconv.Itoa(int(s))
}

// A secret is a value that is never printed.
type secret string

const hidden = "(hidden)"

// String hides the value from fmt.
func (s secret) String() string { return hidden }

// GoString hides it from %#v.
func (s secret) GoString() string { return hidden }

// LogValue hides it from slog.
func (s secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// shown is a value as a message may repeat it: quoted, unless it looks like a secret that was meant for another variable.
func shown(value string) string {
	if looksSecret(value) {
		return "what it holds, which looks like a secret and is not shown,"
	}
	return strconv.Quote(value)
}

const (
	longestShown = 100 // bytes of a value
	longestWord  = 32  // bytes of a word in it
	// longestRandom is the same for words in which digits or capitals are mixed, as random ones are.
	longestRandom = 24
)

var (
	// userInfo is a user's name and password before a host.
	userInfo = regexp.MustCompile(`:[^@]*@`)
	// keyWord is a word of the letters of base64 and hex.
	keyWord = regexp.MustCompile(`[A-Za-z0-9+/=_-]+`)
)

func looksSecret(value string) bool {
	if len(value) > longestShown || strings.Contains(value, "BEGIN ") || strings.ContainsFunc(value, unicode.IsControl) ||
		userInfo.MatchString(value) {
		return true
	}
	for _, word := range keyWord.FindAllString(value, -1) {
		mixed := strings.ContainsFunc(word, func(r rune) bool { return unicode.IsDigit(r) || unicode.IsUpper(r) })
		if len(word) >= longestWord || mixed && len(word) >= longestRandom {
			return true
		}
	}
	return false
}

// unnamed is the error of a file without its name: that may be a key, given where the name of its file belongs.
func unnamed(err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("the file it names cannot be read: %w", inner.Err)
	}
	return err
}
