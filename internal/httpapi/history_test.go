package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
)

// A historyPage is an answer of /events.
type historyPage struct {
	Events []struct {
		ID   string
		Data json.RawMessage
	}
	Next, Cursor string
	More, Gap    bool
}

func (g *testGateway) page(path string) historyPage {
	g.t.Helper()
	got := g.do(http.MethodGet, path, "")
	var page historyPage
	if err := json.Unmarshal([]byte(got.body), &page); err != nil || got.status != http.StatusOK {
		g.t.Fatalf("%s: %d %s", path, got.status, got.body)
	}
	return page
}

func (p historyPage) data() string {
	var all []string
	for _, event := range p.Events {
		all = append(all, string(event.Data))
	}
	return strings.Join(all, " ")
}

func TestEvents_PageBackwards(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for _, data := range []string{"1", "2", "3", "4", "5"} {
		g.publish(`{"topic":"robot","data":` + data + `}`)
		g.publish(`{"user":"jack","data":` + data + `}`)
	}
	for _, path := range []string{"/topics/robot/events", "/users/jack/events"} {
		newest := g.page(path + "?last=2")
		if newest.data() != "4 5" || !newest.More || newest.Gap {
			t.Errorf("%s: the newest: %+v", path, newest)
		}
		older := g.page(path + "?last=2&before=" + newest.Events[0].ID)
		if older.data() != "2 3" || !older.More {
			t.Errorf("%s: before them: %+v", path, older)
		}
		oldest := g.page(path + "?before=" + older.Events[0].ID)
		if oldest.data() != "1" || oldest.More {
			t.Errorf("%s: the first: %+v", path, oldest)
		}
		if got := g.page(path + "?limit=1&before=" + older.Events[0].ID); got.data() != "1" || got.More {
			t.Errorf("%s: with a limit: %+v", path, got)
		}
		if got := g.page(path + "?after=" + older.Next); got.data() != "4 5" || got.More {
			t.Errorf("%s: forward again: %+v", path, got)
		}
	}
}

// What the README says of a page that shows history, and goes on from there.
func TestEvents_GoOnInAStream(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	both := func(data string) {
		for _, topic := range []string{"a", "b"} {
			g.publish(`{"topic":"` + topic + `","data":` + data + `}`)
		}
	}
	both("1")
	both("2")
	first := g.page("/topics/a/events?last=50")
	both("3")
	second := g.page("/topics/b/events?last=50&until=" + url.QueryEscape(first.Cursor))
	both("4")
	if first.data() != "1 2" || len(second.Events) == 0 || second.Cursor != first.Cursor {
		t.Fatalf("got the pages %+v and %+v", first, second)
	}
	got := map[string]string{"a": first.data(), "b": second.data()}
	s, _ := g.subscribe("topics=a|b&since=" + url.QueryEscape(second.Cursor))
	for len(got["a"]) < len("1 2 3 4") || len(got["b"]) < len("1 2 3 4") {
		var envelope struct {
			Topic string
			Data  json.RawMessage
		}
		event := s.next()
		if err := json.Unmarshal([]byte(event.Data), &envelope); err != nil || event.Type != "message" {
			t.Fatalf("got %+v, %v", event, err)
		}
		got[envelope.Topic] += " " + string(envelope.Data)
	}
	if got["a"] != "1 2 3 4" || got["b"] != "1 2 3 4" {
		t.Errorf("got %v", got)
	}
	// Also a stream's own position will do, whose ready comes first.
	stream, ready := g.subscribe("topics=a")
	both("5")
	stream.next()
	if page := g.page("/topics/a/events?last=2&until=" + url.QueryEscape(ready.ID)); page.data() != "3 4" || !page.More {
		t.Errorf("until the stream began: %+v", page)
	}
}

func TestEvents_RefuseWhatContradictsItself(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	id := g.publish(`{"topic":"t","data":1}`)
	for query, want := range map[string]string{
		"last=0":                        "last: must be a whole number from 1 to 1000",
		"last=1001":                     "last: must be a whole number from 1 to 1000",
		"last=":                         "last: must be a whole number from 1 to 1000",
		"last=" + id:                    "last: must be a whole number from 1 to 1000",
		"last=1&last=2":                 "last: given 2 times",
		"last=1&limit=1":                "last: cannot be given together with limit",
		"last=1&after=" + id:            "after: cannot be given together with last",
		"before=" + id + "&after=0":     "after: cannot be given together with before",
		"until=" + id + "&after=" + id:  "after: cannot be given together with until",
		"before=1-0&until=" + id:        "before: cannot be given together with until",
		"before=":                       `before: "" is no event id`,
		"before=0-0":                    `before: "0-0" is no event id`,
		"before=x":                      `before: "x" is no event id`,
		"before=18446744073709551615-0": `before: "18446744073709551615-0" is no event id`,
		"until=":                        "until: must be the position of a stream or a page, as the id of ready and the cursor of a page are",
		"until=x":                       `until: "x" is no position of a stream or a page of this gateway`,
		"befor=" + id:                   `"befor": unknown parameter; it is written before`,
	} {
		got := g.do(http.MethodGet, "/topics/t/events?"+query, "")
		if got.status != http.StatusBadRequest || got.problem(t).Detail != want {
			t.Errorf("%s: got %d %s, want %s", query, got.status, got.body, want)
		}
	}
}
