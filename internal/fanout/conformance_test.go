package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker/redis"

	"sse-gateway/internal/address"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/sse"
	"sse-gateway/internal/testkit"
)

// settings of a world that the conformance suite runs in.
type settings struct {
	history int
	ttl     time.Duration
}

// A world is one broker's store, on which hubs can be opened.
type world struct {
	hub func(t *testing.T, name string) *Hub
	// lose destroys everything that the broker has stored, under running hubs.
	lose func(t *testing.T)
}

var quick = Options{Canary: 50 * time.Millisecond, Linger: 100 * time.Millisecond}

func memoryWorld(_ *testing.T, s settings) world {
	store := memory.New(memory.Options{Retention: broker.Retention{Size: s.history, Events: s.ttl}})
	var only *Hub
	return world{hub: func(t *testing.T, _ string) *Hub {
		if only == nil {
			only = NewHub(store, quick)
			t.Cleanup(func() { closeHub(t, only) })
		}
		return only
	}}
}

func redisWorld(t *testing.T, s settings) world {
	url, client := redistest.Start(t)
	return redisWorldAt(t, url, client, s)
}

func redisWorldAt(_ *testing.T, url string, client *goredis.Client, s settings) world {
	return world{
		hub: func(t *testing.T, name string) *Hub {
			store, err := redis.New(redis.Options{URL: url, Replica: name, Retention: broker.Retention{Size: s.history, Events: s.ttl}, Partitions: 4})
			if err != nil {
				t.Fatal(err)
			}
			h := NewHub(store, quick)
			t.Cleanup(func() { closeHub(t, h) })
			return h
		},
		lose: func(t *testing.T) {
			if err := client.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func closeHub(t *testing.T, h *Hub) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// eachWorld runs a test on every broker.
func eachWorld(t *testing.T, s settings, test func(t *testing.T, w world)) {
	t.Run("memory", func(t *testing.T) { test(t, memoryWorld(t, s)) })
	t.Run("redis", func(t *testing.T) { test(t, redisWorld(t, s)) })
}

func after(id string) Start {
	start, _ := ParseStart(id, "", time.Now())
	return start
}

func since(t *testing.T, text string) Start {
	t.Helper()
	start, err := ParseStart("", text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// data returns the published values of events, and "gap" or "close" for those.
func data(events []sse.Event) string {
	var values []string
	for _, e := range events {
		var envelope sse.Envelope
		_ = json.Unmarshal([]byte(e.Data), &envelope)
		switch e.Type {
		case "message":
			values = append(values, string(envelope.Data))
		default:
			values = append(values, e.Type)
		}
	}
	return strings.Join(values, " ")
}

func wantData(t *testing.T, events []sse.Event, want string) {
	t.Helper()
	if got := data(events); got != want {
		t.Fatalf("got %s, want %s\n%v", got, want, events)
	}
	last := broker.ID{}
	for _, e := range events {
		id, err := broker.ParseID(e.ID)
		if e.ID == "" && e.Type == "gap" {
			continue // it shares the id of the gap after it
		}
		if err != nil || !last.Less(id) {
			t.Fatalf("id %s does not rise above %s", e.ID, last)
		}
		last = id
	}
}

func TestHub_DeliversEveryReplicasEvents(t *testing.T) {
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		r := newRecorder()
		join(t, a, r, JoinRequest{Topics: []string{"t", "u"}, User: "jack"})
		publish(t, b, "t", 1)
		publish(t, a, "u", 2)
		publish(t, b, "elsewhere", 3)
		publish(t, b, address.OfUser("jack").String(), 4)
		publish(t, a, "t", 5)
		wantData(t, r.wait(t, 4), "1 2 4 5")
		if got := r.wait(t, 3)[2].Data; got != `{"user":"jack","data":4}` {
			t.Errorf("got the personal event %s", got)
		}
	})
}

func TestHub_ReadyMissesNothing(t *testing.T) {
	eachWorld(t, settings{history: 10}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		for round := range 200 {
			topic := fmt.Sprint("t", round%50)
			s, err := a.Join(t.Context(), JoinRequest{Topics: []string{topic}})
			if err != nil {
				t.Fatal(err)
			}
			publish(t, b, topic, round)
			r := newRecorder()
			if err := s.Deliver(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			wantData(t, r.wait(t, 1), fmt.Sprint(round))
			s.Leave()
		}
	})
}

func TestHub_ResumesOverAChangedSetOfTopics(t *testing.T) {
	eachWorld(t, settings{history: 1000}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		r := newRecorder()
		first := join(t, a, r, JoinRequest{Topics: []string{"t", "u"}})
		if first.StartID() == "" {
			t.Error("a stream from now has no start id")
		}
		publish(t, a, "t", 1)
		cut := r.wait(t, 1)[0].ID
		first.Leave()
		for i := range 4 {
			publish(t, b, "t", 10+i)
			publish(t, b, "v", 20+i)
			publish(t, b, "u", 30+i)
			publish(t, b, address.OfUser("jack").String(), 40+i)
		}
		second := newRecorder()
		join(t, b, second, JoinRequest{Topics: []string{"t", "v"}, User: "jack", Start: after(cut)})
		publish(t, a, "t", 2)
		wantData(t, second.wait(t, 13), "10 20 40 11 21 41 12 22 42 13 23 43 2")
	})
}

func TestHub_ResumesLongHistories(t *testing.T) {
	eachWorld(t, settings{history: 5000}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		start := publish(t, a, "t", 0)
		var want []string
		var pubs []Publication
		for i := range 3000 {
			pubs = append(pubs, Publication{Topic: []string{"t", "u", "v"}[i%3], Data: json.RawMessage(fmt.Sprint(i))})
			want = append(want, fmt.Sprint(i))
		}
		for _, result := range a.Publish(t.Context(), pubs) {
			if result.Err != nil {
				t.Fatal(result.Err)
			}
		}
		for _, from := range []Start{after(start.String()), since(t, start.String())} {
			r := newRecorder()
			join(t, b, r, JoinRequest{Topics: []string{"t", "u", "v"}, Start: from})
			wantData(t, r.wait(t, 3000), strings.Join(want, " "))
		}
		r := newRecorder()
		join(t, b, r, JoinRequest{Topics: []string{"t", "u", "v"}, Start: since(t, "all")})
		wantData(t, r.wait(t, 3001), "0 "+strings.Join(want, " "))
		r = newRecorder()
		join(t, b, r, JoinRequest{Topics: []string{"t", "u", "v"}, Start: since(t, "10m")})
		wantData(t, r.wait(t, 3001), "0 "+strings.Join(want, " "))
	})
}

func TestHub_StartsWithTheLatestEventsOfEachTopic(t *testing.T) {
	eachWorld(t, settings{history: 5000}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		for n := range 40 { // of v there are 2, and they are the oldest; of none there is nothing
			publish(t, a, []string{"t", "u"}[n%2], n)
			if n < 2 {
				publish(t, a, "v", 100+n)
			}
		}
		for count, want := range map[string]string{
			"last:1": "101 38 39", "last:3": "100 101 34 35 36 37 38 39",
			"last:4000000000": func() string {
				all := []string{"0 100 1 101"}
				for n := 2; n < 40; n++ {
					all = append(all, fmt.Sprint(n))
				}
				return strings.Join(all, " ")
			}(),
		} {
			r := newRecorder()
			s := join(t, b, r, JoinRequest{Topics: []string{"t", "u", "v", "none"}, Start: since(t, count)})
			if id := s.StartID(); id != "" {
				t.Errorf("%s: ready has the id %s: a client that drops then would not get the latest events", count, id)
			}
			wantData(t, r.wait(t, len(strings.Fields(want))), want)
		}
	})
}

// A start without an id that a client could go on from must not be all that it has when it drops in a quiet time.
func TestHub_TellsThePositionWhereNothingElseDoes(t *testing.T) {
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		h := w.hub(t, "a")
		publish(t, h, "other", 0) // the clock has begun
		for _, start := range []string{"last:2", "all", "87600h"} {
			topic := "quiet since " + start
			r := newRecorder()
			join(t, h, r, JoinRequest{Topics: []string{topic}, Start: since(t, start)})
			position := r.wait(t, 1)[0]
			if position.Type != "position" || position.ID == "" || position.Data != `{"id":"`+position.ID+`"}` {
				t.Fatalf("%s: got %+v, want a position", start, position)
			}
			publish(t, h, topic, 1)
			publish(t, h, topic, 2)
			again := newRecorder()
			join(t, h, again, JoinRequest{Topics: []string{topic}, Start: after(position.ID)})
			wantData(t, again.wait(t, 2), "1 2")
		}
	})
}

func TestHub_TellsAGapWhereHistoryWasTrimmed(t *testing.T) {
	eachWorld(t, settings{history: 200}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		publish(t, a, "quiet", 0)
		start := publish(t, a, "t", 1)
		publish(t, a, "u", 2)
		for i := range 1000 {
			publish(t, a, "t", i)
		}
		r := newRecorder()
		join(t, b, r, JoinRequest{Topics: []string{"t", "u", "quiet", "never"}, Start: after(start.String())})
		events := r.wait(t, 150)
		if events[0].Type != "gap" || events[0].ID != "" || !strings.HasPrefix(data(events[1:]), "2 ") || strings.Contains(data(events[1:]), "gap") {
			t.Fatalf("got %s, want one gap, u's event, and the rest", data(events))
		}
		var gap struct{ Topic, After, Oldest string }
		if err := json.Unmarshal([]byte(events[0].Data), &gap); err != nil {
			t.Fatal(err)
		}
		if gap.Topic != "t" || gap.After != start.String() || gap.Oldest != events[2].ID {
			t.Errorf("got the gap %+v, want topic t after %s with oldest %s", gap, start, events[2].ID)
		}
		again := newRecorder()
		join(t, b, again, JoinRequest{Topics: []string{"t", "u"}, Start: after(events[2].ID)})
		if got := again.wait(t, 100); strings.Contains(data(got), "gap") {
			t.Errorf("a stream that was told the gap is told again: %s", data(got))
		}
	})
}

func TestHub_TellsAGapAtItsEndWhereNoEventComesBefore(t *testing.T) {
	eachWorld(t, settings{history: 200}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		start := publish(t, a, "t", 1)
		for i := range 1000 {
			publish(t, a, "t", i)
		}
		r := newRecorder()
		join(t, b, r, JoinRequest{Topics: []string{"t", "u"}, Start: after(start.String())})
		events := r.wait(t, 150)
		if events[0].Type != "gap" || events[0].ID == "" {
			t.Fatalf("got %v, want a gap with an id", events[0])
		}
		again := newRecorder()
		join(t, b, again, JoinRequest{Topics: []string{"t", "u"}, Start: after(events[0].ID)})
		if got, want := data(again.wait(t, len(events)-1)), data(events[1:]); got != want {
			t.Errorf("a stream that was told the gap gets %s, want %s", got, want)
		}
	})
}

// A stream that is cut off within a gap goes on at a replica that still has the end of what was trimmed in its log.
func TestHub_TellsAGapBeforeAnEventFromWithinIt(t *testing.T) {
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		publish(t, a, "t", 0)
		start := publish(t, a, "u", 1)
		live := newRecorder()
		publish(t, a, "t", 2)
		for i := range 400 {
			publish(t, a, "t", i)
		}
		join(t, a, live, JoinRequest{Topics: []string{"t", "u"}})
		publish(t, a, "u", 3)
		for i := range 400 {
			publish(t, a, "t", i)
		}
		live.wait(t, 401)
		r := newRecorder()
		join(t, b, r, JoinRequest{Topics: []string{"t", "u"}, Start: after(start.String())})
		events := r.wait(t, 2)
		if events[0].Type != "gap" {
			t.Fatalf("got %s, want the gap first", data(events))
		}
		rest := newRecorder()
		join(t, a, rest, JoinRequest{Topics: []string{"t", "u"}, Start: after(events[1].ID)})
		publish(t, a, "t", 4)
		if got := rest.wait(t, 1); data(got[:1]) == "gap" {
			t.Errorf("the replica that has all the rest tells a gap: %s", data(got))
		}
	})
}

func TestHub_TellsNoGapWhereNothingWasLost(t *testing.T) {
	eachWorld(t, settings{history: 0}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		publish(t, a, "t", 1)
		last := publish(t, a, "u", 2)
		r := newRecorder()
		join(t, b, r, JoinRequest{Topics: []string{"t", "u", "v"}, Start: after(last.String())})
		publish(t, a, "v", 3)
		wantData(t, r.wait(t, 1), "3")
	})
}

func TestHub_TellsAGapWithoutHistory(t *testing.T) {
	eachWorld(t, settings{history: 0}, func(t *testing.T, w world) {
		a := w.hub(t, "a")
		first := publish(t, a, "t", 1)
		publish(t, a, "t", 2)
		r := newRecorder()
		join(t, a, r, JoinRequest{Topics: []string{"t"}, Start: after(first.String())})
		publish(t, a, "t", 3)
		wantData(t, r.wait(t, 2), "gap 3")
	})
}

func TestHub_TellsAGapForACursorThatItCannotRead(t *testing.T) {
	eachWorld(t, settings{history: 10}, func(t *testing.T, w world) {
		a := w.hub(t, "a")
		publish(t, a, "t", 1)
		for _, bad := range []string{"rubbish", "9999999999999-0", "cAAAA", "1-", "\U0001f600"} {
			r := newRecorder()
			s := join(t, a, r, JoinRequest{Topics: []string{"t", "u"}, Start: after(bad)})
			got := r.wait(t, 2)
			if data(got) != "gap gap" || got[1].ID == "" {
				t.Errorf("last event broker.ID %q: got %v", bad, got)
			}
			s.Leave()
		}
	})
}

func TestHub_TellsEveryStreamOfLostData(t *testing.T) {
	w := redisWorld(t, settings{history: 100})
	a, b := w.hub(t, "a"), w.hub(t, "b")
	r := newRecorder()
	join(t, a, r, JoinRequest{Topics: []string{"t", "u"}})
	cut := publish(t, b, "t", 1)
	r.wait(t, 1)
	w.lose(t)
	publish(t, b, "t", 2)
	events := r.wait(t, 4)
	if got := data(events); strings.Count(got, "gap") != 2 || !strings.HasSuffix(got, "2") {
		t.Fatalf("got %s, want both topics' gaps, then 2", got)
	}
	resumed := newRecorder()
	join(t, b, resumed, JoinRequest{Topics: []string{"t", "u"}, Start: after(cut.String())})
	wantData(t, resumed.wait(t, 3), "gap gap 2")
}

func TestHub_KeyMakesARetrySafe(t *testing.T) {
	eachWorld(t, settings{history: 10}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		r := newRecorder()
		join(t, b, r, JoinRequest{Topics: []string{"t"}})
		pub := Publication{Topic: "t", Data: json.RawMessage("1"), Key: "k", Publisher: "p"}
		first := a.Publish(t.Context(), []Publication{pub})[0]
		again := b.Publish(t.Context(), []Publication{pub})[0]
		if first.Err != nil || first != again {
			t.Errorf("got %v for the retry, want %v", again, first)
		}
		other := pub
		other.Publisher = "q"
		if got := b.Publish(t.Context(), []Publication{other})[0]; got.ID == first.ID {
			t.Error("another publisher's key was taken for this one's")
		}
		publish(t, a, "t", 2)
		wantData(t, r.wait(t, 3), "1 1 2")
	})
}

func TestHub_ClosesATopic(t *testing.T) {
	eachWorld(t, settings{history: 10}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		r := newRecorder()
		s := join(t, b, r, JoinRequest{Topics: []string{"t"}, User: "jack"})
		first := publish(t, a, "t", 1)
		closed, err := a.CloseTopic(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		if again, err := b.CloseTopic(t.Context(), "t"); err != nil || again != closed {
			t.Errorf("closing again: got %s, %v, want %s", again, err, closed)
		}
		wantData(t, r.wait(t, 2), "1 close")
		r.waitEnd(t, "closed")
		s.Leave()
		if got := b.Publish(t.Context(), []Publication{{Topic: "t", Data: json.RawMessage("2")}})[0]; !errors.Is(got.Err, broker.ErrTopicClosed) {
			t.Errorf("publish to a closed topic: got %v", got.Err)
		}
		rest := newRecorder()
		late := join(t, b, rest, JoinRequest{Topics: []string{"t"}, Start: after(first.String())})
		wantData(t, rest.wait(t, 1), "close")
		rest.waitEnd(t, "closed")
		late.Leave()
		done, err := a.Join(t.Context(), JoinRequest{Topics: []string{"t"}, Start: after(closed.String())})
		if err != nil || !done.Closed() {
			t.Errorf("a stream that has it all: not closed, %v", err)
		}
		done.Leave()
		two, err := a.Join(t.Context(), JoinRequest{Topics: []string{"t", "u"}, Start: after(closed.String())})
		if err != nil || two.Closed() {
			t.Errorf("a stream with another topic: closed, or %v", err)
		}
		two.Leave()
	})
}

func TestHub_PagesThroughHistory(t *testing.T) {
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		h := w.hub(t, "a")
		for i := range 25 {
			publish(t, h, "t", i)
		}
		var events []sse.Event
		for after := (broker.ID{}); ; {
			page := readPage(t, h, PageRequest{Topic: "t", After: after, Limit: 10})
			events = append(events, decoded(t, page)...)
			if after = page.Next; !page.More {
				break
			}
		}
		if len(events) != 25 || events[24].Data != `{"topic":"t","data":24}` {
			t.Errorf("got %d events: %v", len(events), events)
		}
	})
}

// readPage reads a page and lets go of it.
func readPage(t *testing.T, h *Hub, req PageRequest) *Page {
	t.Helper()
	page, err := h.History(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	page.Close()
	return page
}

func decoded(t *testing.T, page *Page) []sse.Event {
	t.Helper()
	var events []sse.Event
	for _, stored := range page.Events {
		event, err := stored.Event()
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	return events
}

func TestHub_CountsStreamsOverAllReplicas(t *testing.T) {
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		for range 3 {
			join(t, a, newRecorder(), JoinRequest{Topics: []string{"t"}, User: "jack"})
		}
		join(t, b, newRecorder(), JoinRequest{Topics: []string{"t", "u"}})
		first, last := publish(t, a, "t", 1), publish(t, a, "t", 2)
		info, err := b.Topic(t.Context(), "t")
		want := TopicInfo{Topic: "t", Subscribers: 4, Events: 2, First: first, Last: last}
		if err != nil || info != want {
			t.Errorf("got %+v, %v, want %+v", info, err, want)
		}
		if info, err = b.Topic(t.Context(), address.OfUser("jack").String()); err != nil || info.Subscribers != 3 {
			t.Errorf("got %+v, %v, want 3 streams", info, err)
		}
		list, err := a.Topics(t.Context(), "", 10)
		if topics := list.Topics; err != nil || list.More || list.Partial || len(topics) != 2 || topics[0].Subscribers != 4 || topics[1].Topic != "u" {
			t.Errorf("got %v, %v", list, err)
		}
	})
}

func TestHub_CutsAnOwnersStreams(t *testing.T) {
	eachWorld(t, settings{}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		mine, other := newRecorder(), newRecorder()
		join(t, a, mine, JoinRequest{Topics: []string{"t"}, Owner: "jack"})
		join(t, a, other, JoinRequest{Topics: []string{"t"}, Owner: "jill"})
		if err := b.Cut(t.Context(), "jack"); err != nil {
			t.Fatal(err)
		}
		mine.waitEnd(t, "cut")
		publish(t, b, "t", 1)
		wantData(t, other.wait(t, 1), "1")
	})
}

func TestHub_CutsAStreamThatJoins(t *testing.T) {
	eachWorld(t, settings{}, func(t *testing.T, w world) {
		h := w.hub(t, "a")
		s, err := h.Join(t.Context(), JoinRequest{Topics: []string{"t"}, Owner: "jack"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Leave()
		if err := h.Cut(t.Context(), "jack"); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, 10*time.Second, func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.cut {
				return errors.New("the subscription is not cut")
			}
			return nil
		})
		r := newRecorder()
		if err := s.Deliver(t.Context(), r); !errors.Is(err, ErrCut) {
			t.Errorf("deliver: got %v, want ErrCut", err)
		}
		r.waitEnd(t, "cut")
	})
}

func TestHub_RemembersCutsForReplicasThatComeLater(t *testing.T) {
	url, client := redistest.Start(t)
	learned := make(chan string, 8)
	options := quick
	options.CutTTL = time.Hour
	options.OnCut = func(owner string, _ time.Time) { learned <- owner }
	for _, name := range []string{"a", "b"} {
		store, err := redis.New(redis.Options{URL: url, Replica: name})
		if err != nil {
			t.Fatal(err)
		}
		h := NewHub(store, options)
		if name == "a" {
			if err := h.Cut(t.Context(), "jack"); err != nil {
				t.Error(err)
			}
		}
		select {
		case owner := <-learned:
			if owner != "jack" {
				t.Errorf("replica %s learned of a cut of %q", name, owner)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("replica %s does not learn of the cut", name)
		}
		closeHub(t, h)
		for len(learned) > 0 {
			<-learned
		}
	}
	if ttl := client.PTTL(t.Context(), "gw{p0}cuts").Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("the cuts are kept for %s", ttl)
	}
}

func TestHub_JoinFailsInTimeWithoutBroker(t *testing.T) {
	store, err := redis.New(redis.Options{URL: "redis://127.0.0.1:1", Replica: "a", Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	options := quick
	options.Timeout = 200 * time.Millisecond
	h := NewHub(store, options)
	defer closeHub(t, h)
	if _, err := h.Join(context.Background(), JoinRequest{Topics: []string{"t"}}); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("join: got %v", err)
	}
	if result := h.Publish(context.Background(), []Publication{{Topic: "t", Data: json.RawMessage("1")}})[0]; !errors.Is(result.Err, broker.ErrUnavailable) || !errors.Is(result.Err, broker.ErrNotSent) {
		t.Errorf("publish: got %v, want that nothing was sent", result.Err)
	}
	if h.Ready() == nil {
		t.Error("the hub says it is ready")
	}
}
