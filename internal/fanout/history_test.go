package fanout

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/sse"
)

// valuesOf returns the published values of a page.
func valuesOf(t *testing.T, page *Page) string {
	t.Helper()
	return data(decoded(t, page))
}

func TestHub_PagesBackwards(t *testing.T) {
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		h := w.hub(t, "a")
		var ids []broker.ID
		for i := range 7 {
			ids = append(ids, publish(t, h, "t", i))
		}
		for _, tt := range []struct {
			req  PageRequest
			want string
			more bool
			next broker.ID
		}{
			{PageRequest{Limit: 3}, "4 5 6", true, ids[6]},
			{PageRequest{Limit: 3, Before: ids[4]}, "1 2 3", true, ids[3]},
			{PageRequest{Limit: 3, Before: ids[1]}, "0", false, ids[0]},
			{PageRequest{Limit: 3, Before: ids[0]}, "", false, broker.ID{}},
			{PageRequest{Limit: 7}, "0 1 2 3 4 5 6", false, ids[6]},
			{PageRequest{Limit: 6}, "1 2 3 4 5 6", true, ids[6]},
			{PageRequest{Limit: 2, Before: ids[6].Next()}, "5 6", true, ids[6]},
			{PageRequest{Limit: 2, Before: broker.ID{MS: 1<<64 - 1, Seq: 1}}, "5 6", true, ids[6]},
		} {
			tt.req.Topic, tt.req.Back = "t", true
			page := readPage(t, h, tt.req)
			if got := valuesOf(t, page); got != tt.want || page.More != tt.more || page.Next != tt.next || page.Gap {
				t.Errorf("%+v: got %q, more %t, next %s, gap %t, want %q, %t, %s, false", tt.req, got, page.More, page.Next, page.Gap, tt.want, tt.more, tt.next)
			}
		}
		for _, until := range []string{"x", "1-", "c", "cAA"} {
			page, err := h.History(t.Context(), PageRequest{Topic: "t", Back: true, Until: until, Limit: 1})
			if !errors.Is(err, ErrCursor) {
				t.Errorf("until %q: got %v, %v, want that it is no cursor", until, page, err)
			}
		}
	})
}

// A page back is bounded in bytes too: it holds the newest that have room, and one at least.
func TestHub_BoundsPagesBackInBytes(t *testing.T) {
	eachWorld(t, settings{history: 100}, func(t *testing.T, w world) {
		h := w.hub(t, "a")
		for i := range 20 {
			publishLarge(t, h, "t", i, 60<<10)
		}
		pages, events := 0, 0
		for req := (PageRequest{Topic: "t", Back: true, Limit: 1000}); ; pages++ {
			page := readPage(t, h, req)
			size := 0
			for _, e := range decoded(t, page) {
				size += len(e.Data)
			}
			if events += len(page.Events); size > h.opts.QueueBytes || len(page.Events) == 0 {
				t.Fatalf("page %d holds %d events of %d bytes", pages, len(page.Events), size)
			}
			if req.Before = page.Events[0].ID; !page.More {
				break
			}
		}
		if events != 20 || pages != 4 {
			t.Errorf("got %d events in %d full pages and one more, want 20 in 4", events, pages)
		}
	})
}

// Pages of several topics that end at one moment, and a stream from there, hold every event once, whatever is published
// meanwhile, on whichever replica.
func TestHub_StreamsGoOnFromPages(t *testing.T) {
	test := func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		for _, first := range []PageRequest{{Back: true, Limit: 5}, {Back: true, Limit: 1000}, {Limit: 3}, {Limit: 1000}} {
			t.Run(fmt.Sprintf("back %t, %d events", first.Back, first.Limit), func(t *testing.T) { streamFromPages(t, a, b, first) })
		}
	}
	eachWorld(t, settings{history: 1000}, test)
	t.Run("cluster", func(t *testing.T) {
		test(t, redisWorldAt(t, redistest.StartCluster(t), nil, settings{history: 1000}))
	})
}

func streamFromPages(t *testing.T, a, b *Hub, first PageRequest) {
	const topics, rounds = 6, 60
	begun, published := make(chan struct{}), make(chan error, 1)
	name := func(i int) string { return fmt.Sprint(t.Name(), i) }
	go func() {
		defer close(published)
		for n := range topics * rounds {
			if n == topics*rounds/3 {
				close(begun)
			}
			result := a.Publish(t.Context(), []Publication{{Topic: name(n % topics), Data: json.RawMessage(fmt.Sprint(n))}})[0]
			if result.Err != nil {
				published <- result.Err
				return
			}
		}
	}()
	select {
	case <-begun:
	case err := <-published:
		t.Fatal(err)
	}
	pages := make([][]sse.Event, topics)
	position := ""
	for i := range pages {
		req := first
		if i > 0 {
			req = PageRequest{Back: true, Limit: 1000, Until: position}
		}
		req.Topic = name(i)
		page := readPage(t, []*Hub{a, b}[i%2], req)
		if i > 0 && page.Cursor != position {
			t.Errorf("the page of %s until %s ends at %s", req.Topic, position, page.Cursor)
		}
		position = page.Cursor
		pages[i] = decoded(t, page)
	}
	r := newRecorder()
	names := make([]string, topics)
	left, want := 0, make(map[string]string)
	for i := range pages {
		names[i] = name(i)
		from := i
		if seen := data(pages[i]); seen != "" {
			if _, err := fmt.Sscan(seen, &from); err != nil {
				t.Fatal(err)
			}
		}
		var all []string
		for n := from; n < topics*rounds; n += topics {
			all = append(all, fmt.Sprint(n))
		}
		want[names[i]] = strings.Join(all, " ") + " "
		left += len(all) - len(pages[i])
	}
	join(t, b, r, JoinRequest{Topics: names, Start: since(t, position)})
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	rest := values(t, r.wait(t, left))
	for i, topic := range names {
		if got := values(t, pages[i])[topic] + rest[topic]; got != want[topic] {
			t.Errorf("%s: got %s in its page and in the stream, want %s", topic, got, want[topic])
		}
	}
}
