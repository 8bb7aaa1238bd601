package fanout

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"sse-gateway/internal/broker"
)

// cursorSeeds are positions as gateways give them out, and as forgers may.
func cursorSeeds() []string {
	packed := func(b ...byte) string { return "c" + base64.RawURLEncoding.EncodeToString(b) }
	return []string{
		"", "-", "0-0", "0-1", "1763870000123-7", "18446744073709551615-18446744073709551615", "18446744073709551616-0", "01-1", "+1-1", "1-", "-1-1",
		cursor{{MS: 5, Seq: 1}, {}, {MS: 7}, {MS: 1<<64 - 1, Seq: 1<<64 - 1}}.String(),
		cursor(make([]broker.ID, 16)).String(),
		cursor(slices.Repeat([]broker.ID{{MS: 1763870000123, Seq: 9}}, 4)).String(),
		"c", "c=", "cc", packed(0), packed(1, 1, 5, 1), packed(4), packed(4, 0, 5, 1), packed(4, 5, 5, 1), packed(4, 1, 5), packed(4, 1, 5, 1, 1, 5, 1, 3, 1, 1),
		packed(4, 0x81, 0x00, 5, 1), packed(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1, 1),
		packed(4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 5, 1), packed([]byte(strings.Repeat("\xff", 12))...),
		"now", "all", "10m", "-10m", "2562047h", "2026-11-23T09:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999+23:59",
	}
}

// Whatever a client sends as its position is either one that is written as it was read, or none.
func FuzzParseCursor(f *testing.F) {
	for _, seed := range cursorSeeds() {
		for _, partitions := range []uint8{0, 2, 4} {
			f.Add(seed, partitions)
		}
	}
	f.Fuzz(func(t *testing.T, text string, exponent uint8) {
		partitions := 1 << (exponent % 13)
		if id, err := broker.ParseID(text); err == nil && id.String() != text {
			t.Errorf("id %q is read as %s", text, id)
		}
		c, err := parseCursor(text, partitions)
		if err != nil {
			return
		}
		if len(c) != partitions {
			t.Fatalf("%q has %d of %d partitions", text, len(c), partitions)
		}
		if !slices.ContainsFunc(c, func(id broker.ID) bool { return !id.IsZero() }) {
			return // nothing of it has to be written
		}
		again, err := parseCursor(c.String(), partitions)
		if err != nil || !slices.Equal(again, c) {
			t.Errorf("%q is read as %v, written as %q, and read as %v, %v", text, c, c.String(), again, err)
		}
		if _, err := parseCursor(text, 2*partitions); err == nil {
			t.Errorf("%q is a cursor of %d partitions and of twice as many", text, partitions)
		}
	})
}

func TestParseStart(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	hour := Start{kind: startTime, at: broker.TimeID(now.Add(-time.Hour))}
	for _, test := range []struct {
		lastEventID, since string
		want               Start
	}{
		{"", "", Start{}},
		{"", "now", Start{}},
		{"", "all", Start{kind: startAll}},
		{"", "0", Start{kind: startAll}},
		{"", "-1", Start{kind: startAll}},
		{"-1", "", Start{kind: startAll}},
		{"0", "now", Start{kind: startAll}},
		{"now", "", Start{kind: startCursor, cursor: "now"}}, // no position of ours: a gap
		{"all", "", Start{kind: startCursor, cursor: "all"}},
		{"5-1", "all", Start{kind: startCursor, cursor: "5-1"}},
		{"", "5-1", Start{kind: startCursor, cursor: "5-1"}},
		{"", "last:1", Start{kind: startLast, count: 1}},
		{"", "last:4294967295", Start{kind: startLast, count: 4294967295}},
		{"", "1h", hour},
		{"", "2026-11-23T08:00:00Z", hour},
		{"", "2026-11-23T10:00:00+02:00", hour},
		{"", "2026-11-23T10:00:00 02:00", hour}, // a plus that was not encoded
		{"", "2026-11-23T10:00:00.000 02:00", hour},
	} {
		if got, err := ParseStart(test.lastEventID, test.since, now); err != nil || got != test.want {
			t.Errorf("ParseStart(%q, %q) = %+v, %v, want %+v", test.lastEventID, test.since, got, err, test.want)
		}
	}
	for _, since := range []string{
		"last", "last:", "last:0", "last:-1", "last:+1", "last:1.5", "last:4294967296", "Last:1", "1", "-2", "00", "-10m", "1 h", "All",
		"yesterday", "2026-11-23", "2026-11-23 08:00:00Z", "2026-11-23T10:00:00  02:00",
	} {
		if got, err := ParseStart("", since, now); err == nil {
			t.Errorf("since %q is taken for %+v", since, got)
		}
	}
}

// Any last event ID is taken; of what comes as since, nothing is taken for a position that cannot be one.
func FuzzParseStart(f *testing.F) {
	for _, seed := range cursorSeeds() {
		f.Add("", seed)
		f.Add(seed, "now")
	}
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, lastEventID, since string) {
		start, err := ParseStart(lastEventID, since, now)
		if lastEventID != "" {
			beginning := lastEventID == "0" || lastEventID == "-1"
			if err != nil || start.Resumes() == beginning {
				t.Errorf("last event id %q: %+v, %v", lastEventID, start, err)
			}
			return
		}
		if err != nil && start != (Start{}) {
			t.Errorf("since %q: %+v besides the error %v", since, start, err)
		}
		if start.Resumes() && start.cursor != since {
			t.Errorf("since %q is taken for the position %q", since, start.cursor)
		}
	})
}
