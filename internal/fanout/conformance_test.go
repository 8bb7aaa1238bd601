package fanout

import (
	"testing"
	"time"
)

func testHub(t *testing.T) *Hub {
	h := NewHub(NewMemory(MemoryOptions{HistorySize: 100}), Options{Canary: 50 * time.Millisecond})
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestJoin(t *testing.T) {
	h := testHub(t)
	r := newRecorder()
	join(t, h, r, JoinRequest{Topics: []string{"a", "b"}})
	publish(t, h, "a", 1)
	publish(t, h, "b", 2)
	publish(t, h, "c", 3)
	id := publish(t, h, "a", 4)
	events := r.wait(t, 3)
	if events[2].ID != id.String() {
		t.Error(events)
	}
	for i := range 50 {
		publish(t, h, "b", i)
	}
	r2 := newRecorder()
	start, _ := ParseStart(events[0].ID, "", time.Now())
	join(t, h, r2, JoinRequest{Topics: []string{"a", "b", "d"}, Start: start})
	if got := r2.wait(t, 52); len(got) != 52 {
		t.Error(got)
	}
}
