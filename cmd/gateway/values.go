package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
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
