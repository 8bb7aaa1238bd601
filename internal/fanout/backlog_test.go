package fanout

import (
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

func TestBacklog_BeginsAtItsMarkOrALaterOne(t *testing.T) {
	mark := func(seq uint64) *broker.Message {
		return &broker.Message{Kind: broker.MessageMark, Mark: broker.Mark{Seq: seq, Head: broker.ID{MS: 120}}}
	}
	var b backlog
	if b.begins(mark(1)) {
		t.Error("begins at a mark that it has not asked for")
	}
	b.startFrom(8)
	if b.begins(mark(7)) {
		t.Error("begins at a mark that was sent before it asked")
	}
	if !b.begins(mark(9)) || b.mark.Head != (broker.ID{MS: 120}) {
		t.Errorf("does not begin at a later mark, or not at its head: %+v", b.mark)
	}
}

func TestBacklog_IsDroppedWhole(t *testing.T) {
	event := &broker.Message{Kind: broker.MessageEvent, Entry: broker.Entry{Frame: sse.NewFrame([]byte("data: 1\n"), "")}}
	size := event.Entry.Frame.Len()
	for name, limits := range map[string]bounds{
		"events": {backlogEvents: 2, backlogBytes: 1 << 20},
		"bytes":  {backlogEvents: 100, backlogBytes: 2 * size},
	} {
		var b backlog
		b.startFrom(1)
		b.add(event, &limits)
		b.add(event, &limits)
		if b.overflowed || len(b.messages) != 2 {
			t.Errorf("%s: overflowed within its bounds, with %d messages", name, len(b.messages))
		}
		b.add(event, &limits)
		b.add(&broker.Message{Kind: broker.MessageMark}, &limits)
		if !b.overflowed || b.messages != nil {
			t.Errorf("%s: keeps %d messages beyond its bounds: what comes after a hole is of no use", name, len(b.messages))
		}
	}
}

func TestMarks_WaitForOneThatIsSentLater(t *testing.T) {
	m := marks{sent: 7}
	w := m.wait()
	if !m.awaited() {
		t.Error("nobody waits for mark 8")
	}
	m.sent = 8
	if m.awaited() {
		t.Error("mark 8 is on its way, and is still to be sent")
	}
	m.cameBack(7, broker.ID{MS: 70}, 1)
	select {
	case <-w.back:
		t.Fatal("freed by a mark that was sent before the question")
	default:
	}
	m.cameBack(9, broker.ID{MS: 90}, 2)
	select {
	case <-w.back:
	default:
		t.Fatal("not freed by a later mark")
	}
	if w.head != (broker.ID{MS: 90}) || w.generation != 2 || len(m.waiters) > 0 {
		t.Errorf("got %s of connection %d with %d left, want 90-0 of 2 with none", w.head, w.generation, len(m.waiters))
	}
}
