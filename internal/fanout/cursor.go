package fanout

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sse-gateway/internal/broker"
)

// maxPartitions bounds what a cursor may claim, so that a forged one costs no memory.
const maxPartitions = 4096

// ErrCursor: the text is not a cursor of this gateway. To a stream it is a cursor older than all history.
var ErrCursor = errors.New("unreadable cursor")

// A cursor is the position of a stream: one id per partition that the stream has ever used. With one partition it
// is written as that id; with several, as "c" and the base64url form of
//
//	uvarint partitions · (uvarint partition step · uvarint ms · uvarint seq)…
//
// where a step counts from the partition before it, the first from -1, so that each appears once and in order.
type cursor []broker.ID // by partition; the zero ID: not in the cursor

func parseCursor(text string, partitions int) (cursor, error) {
	if partitions == 1 {
		id, err := broker.ParseID(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCursor, err)
		}
		return cursor{id}, nil
	}
	encoded, ok := strings.CutPrefix(text, "c")
	if !ok {
		return nil, ErrCursor
	}
	packed, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCursor, err)
	}
	return unpackCursor(packed, partitions)
}

func unpackCursor(packed []byte, partitions int) (cursor, error) {
	r := bytes.NewReader(packed)
	count, err := binary.ReadUvarint(r)
	if err != nil || count != uint64(partitions) || r.Len() == 0 {
		return nil, fmt.Errorf("%w: not of %d partitions", ErrCursor, partitions)
	}
	c := make(cursor, partitions)
	for at := uint64(0); r.Len() > 0; at++ { // at: the first partition that may come now
		step, stepErr := binary.ReadUvarint(r)
		ms, msErr := binary.ReadUvarint(r)
		seq, seqErr := binary.ReadUvarint(r)
		if err := errors.Join(stepErr, msErr, seqErr); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCursor, err)
		}
		if step == 0 || step > count-at {
			return nil, fmt.Errorf("%w: a partition beyond the %d that there are", ErrCursor, partitions)
		}
		at += step - 1
		c[at] = broker.ID{MS: ms, Seq: seq}
	}
	return c, nil
}

// String writes the cursor as a last event ID.
func (c cursor) String() string {
	if len(c) == 1 {
		return c[0].String()
	}
	packed := binary.AppendUvarint(nil, uint64(len(c)))
	last := -1
	for at, id := range c {
		if id.IsZero() {
			continue
		}
		packed = binary.AppendUvarint(packed, uint64(at-last))
		packed = binary.AppendUvarint(packed, id.MS)
		packed = binary.AppendUvarint(packed, id.Seq)
		last = at
	}
	return "c" + base64.RawURLEncoding.EncodeToString(packed)
}

// oldest is where a partition begins that the cursor lacks: at the smallest ms that it has, since the stream was nowhere
// later. It is no id of that partition.
func (c cursor) oldest() broker.ID {
	var oldest broker.ID
	for _, id := range c {
		if !id.IsBeginning() && (oldest.IsZero() || id.MS < oldest.MS) {
			oldest = broker.ID{MS: id.MS}
		}
	}
	return oldest
}

// beginning is the position of a stream that asked for all that there is: it is before every event, and nothing that was
// before the first one kept is missing. It is not the zero ID, which stands for a position that is not known.
func beginning() broker.ID { return broker.ID{Seq: 1} }

// Start says where a stream begins. The zero Start is now.
type Start struct {
	kind   startKind
	count  uint32    // startLast: how many of each topic's latest events
	at     broker.ID // startTime: the last id before the moment
	cursor string    // startCursor: as the client sent it
}

type startKind uint8

const (
	startNow startKind = iota
	startAll
	startLast
	startTime
	startCursor
)

// Resumes tells whether the stream goes on from a client's last event ID.
func (s Start) Resumes() bool { return s.kind == startCursor }

// ParseStart reads where a stream begins: from lastEventID when there is one, else from since, which is "now", "all",
// "last:N" (the N latest events of each topic), an RFC 3339 time, a duration back from now ("10m"), or an id. "0" and "-1",
// which clients of other systems send, are the beginning. Any lastEventID is accepted (one that is no cursor leads to a gap,
// since an error would end an EventSource for good); since is checked.
func ParseStart(lastEventID, since string, now time.Time) (Start, error) {
	switch text := cmp.Or(lastEventID, since); {
	case text == "0" || text == "-1":
		return Start{kind: startAll}, nil
	case lastEventID != "":
		return Start{kind: startCursor, cursor: lastEventID}, nil
	case since == "" || since == "now":
		return Start{}, nil
	case since == "all":
		return Start{kind: startAll}, nil
	}
	if text, ok := strings.CutPrefix(since, "last:"); ok {
		count, err := strconv.ParseUint(text, 10, 32)
		if err != nil || count == 0 {
			return Start{}, fmt.Errorf(`since=%q: last: wants the number of events, as in last:10`, since)
		}
		return Start{kind: startLast, count: uint32(count)}, nil
	}
	if isCursor(since) {
		return Start{kind: startCursor, cursor: since}, nil
	}
	// In a query "+" stands for a space, and many a client forgets that its time zone has one.
	if at, err := time.Parse(time.RFC3339Nano, strings.Replace(since, " ", "+", 1)); err == nil {
		return Start{kind: startTime, at: broker.TimeID(at)}, nil
	}
	if back, err := time.ParseDuration(since); err == nil && back >= 0 {
		return Start{kind: startTime, at: broker.TimeID(now.Add(-back))}, nil
	}
	return Start{}, fmt.Errorf(`since=%q is none of now, all, last:10, an RFC 3339 time, a duration such as 10m, or an event id`, since)
}

// isCursor tells whether text is a position, on this gateway or one with other partitions.
func isCursor(text string) bool {
	if _, err := broker.ParseID(text); err == nil {
		return true
	}
	encoded, ok := strings.CutPrefix(text, "c")
	if !ok {
		return false
	}
	packed, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	count, _ := binary.Uvarint(packed)
	_, err = unpackCursor(packed, int(min(count, maxPartitions)))
	return err == nil
}
