package fanout

import (
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// An event and a gap at one place: whichever is dropped for want of room, the event that comes first must stay. If it went, it would
// be read again, and dropped again, for ever.
func TestMerge_KeepsWhatComesFirst(t *testing.T) {
	at := broker.ID{MS: 6}
	for name, gapFirst := range map[string]bool{"event, gap": false, "gap, event": true} {
		event, gap := newReader("a", broker.ID{MS: 2}, broker.ID{}), newReader("b", at, broker.ID{})
		event.items = []item{{id: at, topic: "a", from: event, entry: broker.Entry{ID: at, Frame: sse.NewFrame([]byte("data: 1\n"), "6-0")}}}
		gap.items = []item{{id: broker.ID{MS: 9}, topic: "b", from: gap, gap: true, after: at}}
		m := merge{readers: []*reader{event, gap}, end: broker.ID{MS: 20}, bytes: 1}
		if gapFirst {
			m.readers = []*reader{gap, event}
		}
		m.shed()
		if len(event.items) != 1 || len(gap.items) != 0 {
			t.Errorf("%s: %d events and %d gaps are left in hand, want the event", name, len(event.items), len(gap.items))
		}
		if bound := m.bound(); bound.Less(at) {
			t.Errorf("%s: complete up to %s, below the event at %s: nothing can be handed out", name, bound, at)
		}
	}
}
