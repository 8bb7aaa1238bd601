package fanout

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

func joinEventsOnly(t *testing.T, h *Hub, start Start, topics ...string) *Subscription {
	t.Helper()
	s, err := h.Join(t.Context(), JoinRequest{Topics: topics, Start: start, EventsOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Leave)
	return s
}

func closeTopic(t *testing.T, h *Hub, topic string, last ...Publication) broker.ID {
	t.Helper()
	id, err := h.CloseTopic(t.Context(), topic, last...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// trim publishes into a topic until the broker has dropped the first of its events. It returns the first and the last id.
func trim(t *testing.T, h *Hub, topic string) (first, last broker.ID) {
	t.Helper()
	first = publish(t, h, topic, 0)
	for i := range 1000 {
		last = publish(t, h, topic, i)
	}
	return first, last
}

func TestSubscription_LooksAtWhatItWillBeGiven(t *testing.T) {
	const events, nothing, lost = "events", "nothing", "lost"
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		early := publish(t, a, "open", 1)
		latest := publish(t, a, "open", 2)
		first := publish(t, a, "run", 1)
		done := publish(t, a, "run", 2)
		end := closeTopic(t, a, "run")
		closeTopic(t, a, "empty")
		last := closeTopic(t, a, "brief", Publication{Data: json.RawMessage("1")})
		trimmed, whole := trim(t, a, "trimmed")
		for name, test := range map[string]struct {
			start  Start
			topics []string
			want   string
		}{
			"unknown, from now on":              {Start{}, []string{"never"}, events},
			"unknown":                           {since(t, "all"), []string{"never"}, nothing},
			"unknown, latest":                   {since(t, "last:3"), []string{"never"}, events},
			"unknown, of a time":                {since(t, "1h"), []string{"never"}, events},
			"unknown, after an id":              {after(whole.String()), []string{"never"}, nothing},
			"unknown among others":              {since(t, "all"), []string{"never", "open"}, events},
			"open":                              {since(t, "all"), []string{"open"}, events},
			"open, after its first":             {after(early.String()), []string{"open"}, events},
			"open, with nothing more":           {after(latest.String()), []string{"open"}, events},
			"closed":                            {since(t, "all"), []string{"run"}, events},
			"closed, not read":                  {after(first.String()), []string{"run"}, events},
			"closed, read but for the close":    {after(done.String()), []string{"run"}, nothing},
			"closed, and another not":           {after(done.String()), []string{"run", "open"}, events},
			"closed, and another unknown":       {after(end.String()), []string{"run", "never"}, nothing},
			"closed without events":             {since(t, "all"), []string{"empty"}, nothing},
			"closed with its last event":        {since(t, "all"), []string{"brief"}, events},
			"closed with its last event, read":  {after(last.String()), []string{"brief"}, nothing},
			"trimmed":                           {since(t, "all"), []string{"trimmed"}, lost},
			"trimmed among others":              {since(t, "all"), []string{"open", "trimmed"}, lost},
			"trimmed, latest":                   {since(t, "last:3"), []string{"trimmed"}, events},
			"trimmed, after its first":          {after(trimmed.String()), []string{"trimmed"}, lost},
			"trimmed, of a time":                {since(t, "1h"), []string{"trimmed"}, lost},
			"trimmed, with nothing more":        {after(whole.String()), []string{"trimmed"}, events},
			"a position that is none":           {after("rubbish"), []string{"open"}, lost},
			"a position of the future":          {after("9999999999999-0"), []string{"open"}, lost},
			"a position of the past, unknown":   {after("1000-0"), []string{"never"}, lost},
			"the beginning, as a last event id": {after("-1"), []string{"never"}, nothing},
		} {
			t.Run(name, func(t *testing.T) {
				s := joinEventsOnly(t, b, test.start, test.topics...)
				isNothing, err := s.Look(t.Context())
				got := events
				switch {
				case errors.Is(err, ErrLost):
					got = lost
				case err != nil:
					t.Fatal(err)
				case isNothing || s.Closed():
					got = nothing
				}
				if got != test.want {
					t.Errorf("it sees %s, want %s", got, test.want)
				}
			})
		}
	})
}

func TestHub_GivesEventsOnly(t *testing.T) {
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		publish(t, a, "t", 1)
		r := newRecorder()
		s := joinEventsOnly(t, b, since(t, "all"), "t", "u")
		if nothing, err := s.Look(t.Context()); nothing || err != nil {
			t.Fatalf("nothing %v, %v", nothing, err)
		}
		if err := s.Deliver(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		closeTopic(t, a, "t", Publication{Data: json.RawMessage("2")})
		s.Beat()
		publish(t, a, "u", 3)
		closeTopic(t, a, "u")
		r.waitEnd(t, "closed")
		wantData(t, r.wait(t, 3), "1 2 3")

		again := newRecorder()
		late := joinEventsOnly(t, b, since(t, "all"), "t", "u")
		if err := late.Deliver(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		again.waitEnd(t, "closed")
		wantData(t, again.wait(t, 3), "1 2 3")
	})
}

// What Look cannot see yet ends the stream.
func TestHub_EndsAStreamOfEventsOnlyAtALoss(t *testing.T) {
	t.Run("trimmed after the look", func(t *testing.T) {
		eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
			a, b := w.hub(t, "a"), w.hub(t, "b")
			publish(t, a, "t", 1)
			publish(t, a, "u", 1)
			known := joinEventsOnly(t, b, since(t, "all"), "t")
			unknown := joinEventsOnly(t, b, since(t, "all"), "u", "new")
			for _, s := range []*Subscription{known, unknown} {
				if nothing, err := s.Look(t.Context()); nothing || err != nil {
					t.Fatalf("nothing %v, %v", nothing, err)
				}
			}
			trim(t, a, "t")
			trim(t, a, "new")
			for _, s := range []*Subscription{known, unknown} {
				r := newRecorder()
				_ = s.Deliver(t.Context(), r)
				r.waitEnd(t, sse.EndLost)
			}
		})
	})
	t.Run("lost by Redis", func(t *testing.T) {
		w := redisWorld(t, settings{history: 100})
		a, b := w.hub(t, "a"), w.hub(t, "b")
		r := newRecorder()
		live := joinEventsOnly(t, a, Start{}, "t", "u")
		if err := live.Deliver(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		cut := publish(t, b, "t", 1)
		r.wait(t, 1)
		w.lose(t)
		publish(t, b, "t", 2)
		r.waitEnd(t, sse.EndLost)
		wantData(t, r.wait(t, 1), "1")
		if _, err := joinEventsOnly(t, b, after(cut.String()), "t", "u").Look(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("coming back: %v", err)
		}
	})
}

// A topic that was there before a loss may lack events, unless it had been closed by then.
func TestPartition_FindsWhereATopicBegins(t *testing.T) {
	p := &partition{keep: broker.Retention{LastID: time.Second}}
	at := func(ms uint64) broker.ID { return broker.ID{MS: ms} }
	born, now := at(5000), at(9000)
	tail := func(first, prev, closed, last uint64) broker.Tail {
		tail := broker.Tail{Closed: at(closed), Last: at(last)}
		if first > 0 {
			tail.Entries = []broker.Entry{{ID: at(first), Prev: at(prev)}}
		}
		return tail
	}
	for name, test := range map[string]struct {
		tail broker.Tail
		want broker.ID
	}{
		"unknown":                         {tail(0, 0, 0, 0), now},
		"closed, and nothing kept":        {tail(0, 0, 7000, 7000), now},
		"open, and nothing kept":          {tail(0, 0, 0, 7000), broker.ID{}},
		"from its first event":            {tail(8000, 7000, 0, 8500), at(7000)},
		"from its first after the loss":   {tail(5500, 5000, 0, 8500), at(5000)},
		"trimmed":                         {tail(8000, 7500, 0, 8500), broker.ID{}},
		"open at the loss":                {tail(4000, 3000, 0, 8500), broker.ID{}},
		"closed after the loss":           {tail(4000, 3000, 6000, 6000), broker.ID{}},
		"closed before the loss":          {tail(4000, 3000, 4500, 4500), at(3000)},
		"closed before, but also trimmed": {tail(4000, 3500, 4500, 4500), broker.ID{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := p.beginningOf(&test.tail, born, now); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
