package fanout

import (
	"sync"
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/sse"
)

// The broker is born again while a subscription to several partitions joins: the one with the birth has been asked for a
// position beyond it, and the stream is to be told the gap though that position looks like one of today's.
func TestJoin_ABirthMeanwhileIsNotForgotten(t *testing.T) {
	for _, tt := range []struct {
		name      string
		at        uint64 // the client's position
		born      uint64
		owesBirth bool
	}{
		{"the position is of before the loss", 90, 80, true},
		{"the position is where the birth is", 80, 80, true},
		{"the position is below the birth, as the replay will see", 70, 80, false},
		{"the position is not known yet, and may be of after the loss", 110, 80, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &Hub{opts: quick.withDefaults(), broker: memory.New(memory.Options{})}
			for i := range 2 {
				p := newPartition(i, h.broker.Retention(), h.opts)
				p.state, p.evidence.watermark, p.evidence.born = live, broker.ID{MS: 100}, broker.ID{MS: 10}
				h.partitions = append(h.partitions, p)
			}
			topics := map[*partition]string{h.partition("a"): "a", h.partition("b"): "b"}
			if len(topics) != 2 {
				t.Fatal("both topics are in one partition")
			}
			c := cursor{broker.ID{MS: tt.at}, broker.ID{MS: tt.at}}
			s := h.subscribe(JoinRequest{Topics: []string{"a", "b"}, Start: after(c.String())})
			p := h.partitions[1]
			p.mu.Lock()
			p.birthLocked(broker.ID{MS: tt.born})
			p.mu.Unlock()
			if tt.at <= 100 {
				if err := s.locate(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, sh := range s.shares {
				if want := tt.owesBirth && sh.p == p; sh.owesBirth != want {
					t.Errorf("partition %d: owesBirth %t, want %t", sh.p.index, sh.owesBirth, want)
				}
			}
		})
	}
}

// Joins and births at the same time; for the race detector.
func TestJoin_RacesWithBirths(t *testing.T) {
	store := memory.New(memory.Options{Retention: broker.Retention{Size: 10}})
	h := NewHub(store, quick)
	defer closeHub(t, h)
	first := publish(t, h, "t", 1)
	starts := []Start{after(first.String()), since(t, "now"), since(t, "1m"), since(t, "all"), after("rubbish")}
	var joins sync.WaitGroup
	for range 4 {
		joins.Go(func() {
			for i := range 1000 {
				s, err := h.Join(t.Context(), JoinRequest{Topics: []string{"t"}, Start: starts[i%len(starts)]})
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = s.StartID(), s.Closed()
				s.Leave()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		joins.Wait()
	}()
	p := h.partitions[0]
	for {
		select {
		case <-done:
			return
		default:
			p.mu.Lock()
			p.birthLocked(p.evidence.seen.Next())
			p.mu.Unlock()
		}
	}
}

// A stream of two partitions is live in one, and told its position in the other; for the race detector.
func TestDeliver_RacesWithEventsOfAnotherPartition(t *testing.T) {
	h := &Hub{opts: quick.withDefaults(), broker: memory.New(memory.Options{})}
	for i := range 2 {
		p := newPartition(i, h.broker.Retention(), h.opts)
		p.state, p.generation = live, 1
		h.partitions = append(h.partitions, p)
	}
	if partitionOf("a", 2) == partitionOf("b", 2) {
		t.Fatal("both topics are in one partition")
	}
	s := h.subscribe(JoinRequest{Topics: []string{"a", "b"}, Start: since(t, "last:1")})
	s.sink = discard{}
	for _, sh := range s.shares {
		sh.live = true
		for _, m := range sh.topics {
			m.topic.start(broker.ID{})
		}
	}
	topic := s.shares[0].topics[0].topic.name
	frame := sse.NewFrame([]byte("data: 1\n"), "1-0")
	var events sync.WaitGroup
	events.Go(func() {
		for i := range uint64(1000) {
			e := broker.Entry{ID: broker.ID{MS: i + 1}, Prev: broker.ID{MS: i}, Frame: frame}
			s.shares[0].p.receive(1, []broker.Message{{Kind: broker.MessageEvent, Topic: topic, Entry: e}})
		}
	})
	for range 1000 {
		s.tellStart()
	}
	events.Wait()
}
