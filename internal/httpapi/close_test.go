package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/sse"
)

func TestClose_BringsTheLastEvents(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{})
	follower := bearer(t, auth.Grant{Subject: "jack", Subscribe: []string{"*"}})
	admin := bearer(t, auth.Grant{Subject: "root", Admin: true})
	s, _ := g.subscribe("topics=run&raw=1", follower...)
	closed := g.do(http.MethodPost, "/topics/run/close", `[{"data":{"type":"finish"},"event":"part","retry":5000},{"data":"[DONE]"}]`, admin...)
	if closed.status != http.StatusOK {
		t.Fatalf("got %d %s", closed.status, closed.body)
	}
	for _, want := range []sse.Event{{Type: "part", Data: `{"type":"finish"}`, Retry: 5000}, {Type: "message", Data: "[DONE]"}, {Type: "close", Data: "null"}} {
		if got := s.next(); got.Type != want.Type || got.Data != want.Data || got.Retry != want.Retry {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if event, err := s.Next(); err == nil {
		t.Errorf("after the close: %+v", event)
	}
	if again := g.do(http.MethodPost, "/topics/run/close", `{"data":"late"}`, admin...); again.body != closed.body {
		t.Errorf("a second close: got %s, want %s", again.body, closed.body)
	}
	events := g.do(http.MethodGet, "/topics/run/events", "", follower...)
	if strings.Contains(events.body, "late") || strings.Count(events.body, `"from":"root"`) != 2 {
		t.Errorf("got %s, want two events and the close", events.body)
	}
}

func TestClose_ChecksTheBodyWhole(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{MaxEventBytes: 1 << 10, MaxBodyBytes: 1 << 16})
	for name, test := range map[string]struct {
		body, detail string
		status       int
	}{
		"no data":         {`{}`, "data: missing", 400},
		"a topic":         {`{"topic":"run","data":1}`, "topic: the path says", 400},
		"a user":          {`{"data":1,"user":"jack"}`, "user: the path says", 400},
		"a key":           {`{"data":1,"key":"k"}`, "key: a close needs none", 400},
		"unknown":         {`{"data":1,"x":1}`, `"x": unknown field`, 400},
		"a type":          {`{"data":1,"event":"close"}`, "reserved", 400},
		"no JSON":         {`{"data":`, "body: not JSON", 400},
		"no object":       {`"[DONE]"`, "body: must be empty, an object", 400},
		"a second one":    {`[{"data":1},{"data":2,"topic":"a"}]`, "item 1: topic: the path says", 400},
		"no object in it": {`[1]`, "item 0: must be an object", 400},
		"large":           {`{"data":"` + strings.Repeat("x", 1<<10) + `"}`, "data: ", 413},
		"very large":      {strings.Repeat(" ", 1<<16+1), "body: larger", 413},
		"many":            {"[" + strings.Repeat(`{"data":1},`, maxLast) + `{"data":1}]`, "item 100: more than 100", 413},
	} {
		got := g.do(http.MethodPost, "/topics/run/close", test.body)
		if p := got.problem(t); p.Status != test.status || !strings.Contains(p.Detail, test.detail) {
			t.Errorf("%s: got %+v", name, p)
		}
	}
	if got := g.do(http.MethodPost, "/topics/run/close", "x", "Content-Encoding", "gzip"); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("compressed: got %d %s", got.status, got.body)
	}
	if got := g.do(http.MethodGet, "/topics/run", ""); !strings.Contains(got.body, `"events":0,"closed":false`) {
		t.Errorf("got %s after nothing but mistakes", got.body)
	}
	for _, body := range []string{" \n", "[]", `[{"data":1}]`} {
		if got := g.do(http.MethodPost, "/topics/"+string(rune('a'+len(body)))+"/close", body); got.status != http.StatusOK {
			t.Errorf("%q: got %d %s", body, got.status, got.body)
		}
	}
}
