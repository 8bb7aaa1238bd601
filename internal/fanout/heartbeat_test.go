package fanout

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/sse"
)

// A wire is a Sink that keeps what would be written.
type wire struct {
	recorder
	text strings.Builder
}

func (w *wire) Push(frame *sse.Frame) bool {
	w.text.Write(frame.Bytes())
	return true
}

// take returns what has come since it was last asked.
func (w *wire) take() string {
	defer w.text.Reset()
	return w.text.String()
}

// A heartbeat is a comment, and says the position only when the one that the client has grows old: parsers that take a blank
// line for an event must not be woken every few seconds.
func TestSubscription_HeartbeatSaysThePositionWhenItIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := NewHub(memory.New(memory.Options{}), Options{Canary: 10 * time.Minute})
		defer closeHub(t, hub)
		w := &wire{}
		s, err := hub.Join(t.Context(), JoinRequest{Topics: []string{"t"}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Leave()
		if err := s.Deliver(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		expect := func(what, want string) {
			t.Helper()
			synctest.Wait()
			if got := w.take(); got != want {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
		}
		id := publish(t, hub, "t", 1)
		expect("the default type is not said", "data: {\"topic\":\"t\",\"data\":1}\nid: "+id.String()+"\n\n")
		dispatch := func() string { // moves the position of every stream
			id := publish(t, hub, "other", 2)
			for watermarkOf(hub.partitions[0]).Less(id) {
				time.Sleep(time.Second) // the connection may have been found silent for too long by a clock that jumps
			}
			return id.String()
		}
		const quarter = 6 * time.Hour // of how long a topic's last id is remembered
		for range 2 {
			time.Sleep(quarter - time.Hour)
			dispatch()
			s.Beat()
			expect("a young position", ": ping\n")
			time.Sleep(2 * time.Hour)
			other := dispatch()
			s.Beat()
			expect("an old position", "event: position\ndata: {\"id\":\""+other+"\"}\nid: "+other+"\n\n")
			s.Beat()
			expect("a position that has been said", ": ping\n")
		}
	})
}

func watermarkOf(p *partition) broker.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.evidence.watermark
}
