package broker

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ID is the id of an event, written "<ms>-<seq>": milliseconds since 1970 and a sequence number within them. Ids
// strictly increase over all topics of a partition. The zero ID is before every event.
type ID struct {
	MS  uint64
	Seq uint64
}

// ParseID reads an id as String writes it. Nothing else is an id: no sign, no leading zero, no missing part.
func ParseID(s string) (ID, error) {
	ms, seq, ok := strings.Cut(s, "-")
	if !ok {
		return ID{}, fmt.Errorf("%q is not an id of the form <ms>-<seq>", s)
	}
	var id ID
	var err error
	if id.MS, err = parseDecimal(ms); err == nil {
		id.Seq, err = parseDecimal(seq)
	}
	if err != nil {
		return ID{}, fmt.Errorf("%q is not an id of the form <ms>-<seq>", s)
	}
	return id, nil
}

func parseDecimal(s string) (uint64, error) {
	if s == "" || (len(s) > 1 && s[0] == '0') || s[0] == '+' {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 10, 64)
}

// TimeID is the last id before the moment t: a stream that starts from it gets what was published at t and later.
func TimeID(t time.Time) ID {
	ms := t.UnixMilli()
	if ms <= 0 {
		return ID{}
	}
	return ID{MS: uint64(ms) - 1, Seq: 1<<64 - 1}
}

// String writes the id as clients see it.
func (id ID) String() string { return string(id.Append(nil)) }

// Append appends the id as String writes it.
func (id ID) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, id.MS, 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, id.Seq, 10)
}

// Less tells whether id was given out before other.
func (id ID) Less(other ID) bool {
	return id.MS < other.MS || (id.MS == other.MS && id.Seq < other.Seq)
}

// IsZero tells whether id is before every event.
func (id ID) IsZero() bool { return id == ID{} }

// IsBeginning tells whether a client's id is before every event; also a client's own "0-0" is.
func (id ID) IsBeginning() bool { return id.MS == 0 }

// Minus is the id d earlier, the zero ID if that is before 1970.
func (id ID) Minus(d time.Duration) ID {
	back := uint64(max(d.Milliseconds(), 0))
	if back >= id.MS {
		return ID{}
	}
	return ID{MS: id.MS - back}
}

// Next is the smallest id above id.
func (id ID) Next() ID {
	if id.Seq == 1<<64-1 {
		return ID{MS: id.MS + 1}
	}
	return ID{MS: id.MS, Seq: id.Seq + 1}
}

// Prior is the largest id below id.
func (id ID) Prior() ID {
	switch {
	case id.Seq > 0:
		return ID{MS: id.MS, Seq: id.Seq - 1}
	case id.MS > 0:
		return ID{MS: id.MS - 1, Seq: 1<<64 - 1}
	}
	return ID{}
}

// Later is the larger of two ids.
func Later(a, b ID) ID {
	if a.Less(b) {
		return b
	}
	return a
}

// Earlier is the smaller of two ids.
func Earlier(a, b ID) ID {
	if b.Less(a) {
		return b
	}
	return a
}
