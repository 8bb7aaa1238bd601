package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ID is an event's id as the tests read it.
type ID struct{ MS, Seq uint64 }

// ParseID reads "<ms>-<seq>".
func ParseID(text string) (ID, error) {
	ms, seq, _ := strings.Cut(text, "-")
	var id ID
	var err error
	if id.MS, err = strconv.ParseUint(ms, 10, 64); err == nil {
		id.Seq, err = strconv.ParseUint(seq, 10, 64)
	}
	if err != nil {
		return ID{}, fmt.Errorf("%q is not an event's id", text)
	}
	return id, nil
}

// Compare orders ids.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.MS, other.MS), cmp.Compare(id.Seq, other.Seq))
}

// Less tells whether id was given out before other.
func (id ID) Less(other ID) bool { return id.Compare(other) < 0 }

// stamp is how examples show a time.
const stamp = "15:04:05.000"

// A ledger knows every event that was published: its data is its serial number.
type ledger struct {
	mu      sync.RWMutex
	entries []entry // by serial; guarded by mu
}

type entry struct {
	name  string // of the topic, or "@" and the user
	id    ID     // once acknowledged
	acked bool   // false: nobody knows whether it was published
	sent  time.Time
	known time.Time // when the acknowledgement came
}

// add returns the serial of a new event that is about to be published.
func (l *ledger) add(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, entry{name: name, sent: time.Now()})
	return len(l.entries) - 1
}

func (l *ledger) ack(serial int, id ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[serial].id, l.entries[serial].acked = id, true
	l.entries[serial].known = time.Now()
}

// judgeIDs looks whether an event that was sent after another's acknowledgement has a higher id.
func (l *ledger) judgeIDs(v *Verdict) {
	var acked []entry
	for _, entry := range l.entries {
		if !entry.known.IsZero() {
			acked = append(acked, entry)
		}
	}
	bySent, byKnown := slices.Clone(acked), acked
	slices.SortFunc(bySent, func(a, b entry) int { return a.sent.Compare(b.sent) })
	slices.SortFunc(byKnown, func(a, b entry) int { return a.known.Compare(b.known) })
	var highest entry
	for _, entry := range bySent {
		for len(byKnown) > 0 && byKnown[0].known.Before(entry.sent) {
			if highest.id.Less(byKnown[0].id) {
				highest = byKnown[0]
			}
			byKnown = byKnown[1:]
		}
		if !highest.id.Less(entry.id) {
			v.OutOfOrder++
			v.example("an event sent at %s to %s got id %v, though %v was given out before, to %s at %s",
				entry.sent.Format(stamp), entry.name, entry.id, highest.id, highest.name, highest.known.Format(stamp))
		}
	}
}

// A witness is what one subscriber has received.
type witness struct {
	names []string // its topics, and "@" and its user
	final atomic.Int64
	marks atomic.Int64 // receipts of serials from final on

	mu        sync.Mutex
	start     ID // id of the first ready event
	started   bool
	receipts  []receipt
	faults    []string // what cannot be right whatever was published
	lastID    string
	open      []*gap        // gaps whose end is still to come
	heard     time.Time     // when the last event came
	silence   time.Duration // the longest time without an event
	listening bool          // silence counts
}

// receipt is an event or, with gap, a gap.
type receipt struct {
	serial int
	id     ID
	at     time.Time
	gap    *gap
}

// gap says that events of name may be missing after one id and before another one.
type gap struct {
	name          string
	after, oldest ID
}

func (g gap) covers(id ID) bool { return g.after.Less(id) && id.Less(g.oldest) }

// Verdict says what became of the events of a load.
type Verdict struct {
	Events     int // acknowledged
	Unsure     int // published without an acknowledgement
	Deliveries int
	Lost       int // should have come and neither came nor were told by a gap
	Duplicated int
	OutOfOrder int
	Ghosts     int // received, but published under another id, to another topic, or never
	Gaps       int // gap events
	Told       int // missing events that a gap told
	Silence    time.Duration
	Delay      time.Duration // the longest from the beginning of a publish to a subscriber
	Reconnects int
	Examples   []string
}

// OK tells whether every event came exactly once and in order; told says whether some may be missing after a gap event.
func (v Verdict) OK(told bool) bool {
	return v.Lost+v.Duplicated+v.OutOfOrder+v.Ghosts == 0 && (told || v.Gaps == 0) && v.Deliveries > 0
}

func (v *Verdict) example(format string, args ...any) {
	if len(v.Examples) < 10 {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// settle gives the id that a subscriber received to each event that was published without an acknowledgement, so
// that every other subscriber of its topic has to have received it too.
func (l *ledger) settle(witnesses []*witness, v *Verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, entry := range l.entries {
		if entry.acked {
			v.Events++
		}
	}
	for _, w := range witnesses {
		for _, receipt := range w.receipts {
			if receipt.gap != nil || receipt.serial >= len(l.entries) || l.entries[receipt.serial].acked {
				continue
			}
			l.entries[receipt.serial].id, l.entries[receipt.serial].acked = receipt.id, true
			v.Unsure++
		}
	}
}

// judge compares what the subscribers received with what was published.
func (l *ledger) judge(witnesses []*witness) Verdict {
	var v Verdict
	l.judgeIDs(&v)
	l.settle(witnesses, &v)
	byName := map[string][]int{}
	for serial, entry := range l.entries {
		if entry.acked {
			byName[entry.name] = append(byName[entry.name], serial)
		}
	}
	for n, w := range witnesses {
		got := l.judgeReceipts(n, w, &v)
		var gaps []gap
		for _, receipt := range w.receipts {
			if receipt.gap != nil {
				gaps = append(gaps, *receipt.gap)
			}
		}
		for _, name := range w.names {
			for _, serial := range byName[name] {
				entry := l.entries[serial]
				if !w.started || !w.start.Less(entry.id) || got[serial] {
					continue
				}
				if told(gaps, name, entry.id) {
					v.Told++
					continue
				}
				v.Lost++
				v.example("subscriber %d (first id %v) lost event %d of %s, id %v, published from %s to %s; around it: %s",
					n, w.start, serial, name, entry.id, entry.sent.Format(stamp), entry.known.Format(stamp), w.around(entry.id, name))
			}
		}
		v.Silence = max(v.Silence, w.silence)
	}
	return v
}

// around shows what a subscriber received just before and after an id, and every gap of the topic.
func (w *witness) around(id ID, name string) string {
	var text []string
	for i, receipt := range w.receipts {
		near := i+1 < len(w.receipts) && !w.receipts[i+1].id.Less(id) || i > 0 && !w.receipts[i-1].id.Less(id)
		if receipt.gap != nil && receipt.gap.name == name {
			text = append(text, fmt.Sprintf("[%s gap %v after %v oldest %v]", receipt.at.Format(stamp), receipt.id, receipt.gap.after, receipt.gap.oldest))
		} else if near && len(text) < 5 {
			text = append(text, fmt.Sprintf("[%s event %d %v]", receipt.at.Format(stamp), receipt.serial, receipt.id))
		}
	}
	return strings.Join(text, " ")
}

func told(gaps []gap, name string, id ID) bool {
	for _, gap := range gaps {
		if gap.name == name && gap.covers(id) {
			return true
		}
	}
	return false
}

// judgeReceipts looks at what one subscriber received, in its order, and returns the serials.
func (l *ledger) judgeReceipts(n int, w *witness, v *Verdict) map[int]bool {
	got := make(map[int]bool, len(w.receipts))
	for _, fault := range w.faults {
		v.Ghosts++
		v.example("subscriber %d: %s", n, fault)
	}
	last := w.start
	for _, receipt := range w.receipts {
		if receipt.gap != nil {
			v.Gaps++
			last = receipt.id
			continue
		}
		v.Deliveries++
		switch {
		case receipt.serial >= len(l.entries) || l.entries[receipt.serial].id != receipt.id:
			v.Ghosts++
			v.example("subscriber %d received event %d with id %v, which was not published so", n, receipt.serial, receipt.id)
		case got[receipt.serial]:
			v.Duplicated++
			v.example("subscriber %d received event %d, id %v, again", n, receipt.serial, receipt.id)
		case !last.Less(receipt.id):
			v.OutOfOrder++
			v.example("subscriber %d received event %d, id %v, after %v", n, receipt.serial, receipt.id, last)
		default:
			v.Delay = max(v.Delay, receipt.at.Sub(l.entries[receipt.serial].sent))
		}
		got[receipt.serial] = true
		last = receipt.id
	}
	return got
}
