package check

import "testing"

// acked sends n events to topic 0, each acknowledged before the next.
func acked(b *Book, n int) {
	for range n {
		b.Acked(0, b.Sent(0))
	}
}

func deliver(b *Book, s *Stream, seqs ...int) {
	for _, seq := range seqs {
		b.Delivered(s, 0, seq)
	}
}

func TestBook_FindsSeededFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		run  func(b *Book, one, two *Stream)
		want Faults
	}{
		"none": {func(b *Book, one, two *Stream) {
			acked(b, 3)
			deliver(b, one, 0, 1, 2)
			deliver(b, two, 0, 1, 2)
		}, Faults{}},
		"concurrent publishes may arrive in any one order": {func(b *Book, one, two *Stream) {
			b.Sent(0)
			b.Sent(0)
			b.Acked(0, 0)
			b.Acked(0, 1)
			deliver(b, one, 1, 0)
			deliver(b, two, 1, 0)
		}, Faults{}},
		"lost in the middle on one stream": {func(b *Book, one, two *Stream) {
			acked(b, 3)
			deliver(b, one, 0, 1, 2)
			deliver(b, two, 0, 2)
		}, Faults{Lost: 1}},
		"lost in the middle on the stream that comes first": {func(b *Book, one, two *Stream) {
			acked(b, 3)
			deliver(b, one, 0, 2)
			deliver(b, two, 0, 1, 2)
		}, Faults{Lost: 1, Reordered: 2}}, // the order that one has seen is taken for the topic's
		"lost at the end": {func(b *Book, one, two *Stream) {
			acked(b, 3)
			deliver(b, one, 0, 1, 2)
			deliver(b, two, 0)
		}, Faults{Lost: 2}},
		"lost everywhere": {func(b *Book, one, two *Stream) {
			acked(b, 3)
			deliver(b, one, 0, 2)
			deliver(b, two, 0, 2)
		}, Faults{Lost: 2}},
		"doubled": {func(b *Book, one, two *Stream) {
			acked(b, 3)
			deliver(b, one, 0, 1, 2)
			deliver(b, two, 0, 1, 1, 2, 0)
		}, Faults{Doubled: 2}},
		"reordered on one stream": {func(b *Book, one, two *Stream) {
			acked(b, 3)
			deliver(b, one, 0, 1, 2)
			deliver(b, two, 0, 2, 1)
		}, Faults{Reordered: 1}},
		"reordered everywhere": {func(b *Book, one, two *Stream) {
			acked(b, 2)
			deliver(b, one, 1, 0)
			deliver(b, two, 1, 0)
		}, Faults{Reordered: 1}},
		"of a topic that was not asked for": {func(b *Book, one, _ *Stream) {
			b.Acked(1, b.Sent(1))
			b.Delivered(one, 1, 0)
		}, Faults{Misrouted: 1}},
		"never published": {func(b *Book, one, _ *Stream) {
			deliver(b, one, 0)
		}, Faults{Misrouted: 1}},
		"refused and still delivered once": {func(b *Book, one, _ *Stream) {
			b.Sent(0)
			deliver(b, one, 0)
			b.Refused(0, 0)
		}, Faults{Refused: 1, Lost: 1}},
		"ended": {func(b *Book, one, _ *Stream) {
			b.Ended(one, "end of file")
		}, Faults{Ended: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBook(2, false)
			one, two := b.Open(0, 1), b.Open(0, 1)
			tt.run(b, one, two)
			got := b.Finish()
			if (got.Err() == nil) != (got.Total() == 0) || len(got.Examples) != got.Total() {
				t.Errorf("error %v of %d faults with examples %q", got.Err(), got.Total(), got.Examples)
			}
			got.Examples = nil
			if got.String() != tt.want.String() {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBook_PipelinedPublishesArriveAsSent(t *testing.T) {
	b := NewBook(1, true)
	s := b.Open(0, 1)
	b.Sent(0)
	b.Sent(0)
	deliver(b, s, 1, 0)
	if got := b.Finish().Reordered; got != 1 {
		t.Errorf("got %d reordered, want 1", got)
	}
}

func TestBook_TellsWhenAnEventHasReachedAll(t *testing.T) {
	b := NewBook(3, false)
	one, two := b.Open(0, 2), b.Open(1, 2)
	seq := b.Sent(1)
	if got := b.Outstanding(); got != 2 {
		t.Errorf("outstanding: got %d, want 2", got)
	}
	if b.Delivered(one, 1, seq) {
		t.Error("reached all after one of two")
	}
	if !b.Delivered(two, 1, seq) || b.Outstanding() != 0 {
		t.Errorf("not reached all after both, %d outstanding", b.Outstanding())
	}
	late := b.Open(1, 1)
	seq = b.Sent(1)
	b.Delivered(one, 1, seq)
	b.Delivered(two, 1, seq)
	if !b.Delivered(late, 1, seq) {
		t.Error("a stream that came later is not counted")
	}
	if err := b.Finish().Err(); err != nil {
		t.Error(err)
	}
}
