package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/testkit"
)

func TestTopicEvents_PageThroughHistory(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	var ids []string
	for _, data := range []string{`1.50`, `"<b>\u00e9</b>"`, `{"a":[null]}`, `12345678901234567890`, `""`} {
		ids = append(ids, g.publish(`{"topic":"robot","data":`+data+`,"event":"e","retry":7000}`))
	}
	got := g.do(http.MethodGet, "/topics/robot/events?limit=2", "")
	want := `{"events":[{"id":"` + ids[0] + `","event":"e","topic":"robot","data":1.50,"retry":7000},` +
		`{"id":"` + ids[1] + `","event":"e","topic":"robot","data":"<b>\u00e9</b>","retry":7000}],"next":"` + ids[1] + `","cursor":"` + ids[1] + `","more":true,"gap":false}` + "\n"
	if got.status != http.StatusOK || got.body != want || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %s\nwant %s", got.status, got.body, want)
	}
	var seen []string
	after := ""
	for {
		got := g.do(http.MethodGet, "/topics/robot/events?limit=2&after="+after, "")
		var page struct {
			Events []struct{ ID string }
			Next   string
			More   bool
		}
		if err := json.Unmarshal([]byte(got.body), &page); err != nil {
			t.Fatal(err)
		}
		for _, event := range page.Events {
			seen = append(seen, event.ID)
		}
		after = page.Next
		if !page.More {
			break
		}
	}
	if strings.Join(seen, " ") != strings.Join(ids, " ") {
		t.Errorf("got %q, want %q", seen, ids)
	}
	if got := g.do(http.MethodGet, "/topics/robot/events?after="+after, ""); got.body != `{"events":[],"next":"`+after+`","cursor":"`+after+`","more":false,"gap":false}`+"\n" {
		t.Errorf("at the end: %s", got.body)
	}
}

func TestUserEvents_AreTheInbox(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{})
	id := g.publish(`{"user":"jack","data":1}`, bearer(t, auth.Grant{Subject: "pub", Publish: []string{"@*"}})...)
	got := g.do(http.MethodGet, "/users/jack/events", "", bearer(t, auth.Grant{Subject: "jack"})...)
	if want := `{"events":[{"id":"` + id + `","event":"message","user":"jack","data":1,"from":"pub"}],"next":"` + id + `","cursor":"` + id + `","more":false,"gap":false}` + "\n"; got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

func TestTopics_AreShownByName(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	if got := g.do(http.MethodGet, "/topics", ""); got.body != `{"topics":[],"next":"","more":false,"partial":false}`+"\n" {
		t.Errorf("got %s", got.body)
	}
	g.subscribe("user=jack&topics=b|a")
	g.subscribe("topics=a")
	if got := g.do(http.MethodGet, "/topics", ""); got.body != `{"topics":[{"topic":"a","subscribers":2},{"topic":"b","subscribers":1}],"next":"b","more":false,"partial":false}`+"\n" {
		t.Errorf("got %s", got.body)
	}
	if got := g.do(http.MethodGet, "/topics?limit=1", ""); got.body != `{"topics":[{"topic":"a","subscribers":2}],"next":"a","more":true,"partial":false}`+"\n" {
		t.Errorf("got %s", got.body)
	}
	if got := g.do(http.MethodGet, "/topics?limit=1&after=a", ""); got.body != `{"topics":[{"topic":"b","subscribers":1}],"next":"b","more":false,"partial":false}`+"\n" {
		t.Errorf("got %s", got.body)
	}
	if got := g.do(http.MethodGet, "/topics?limit=0", ""); got.status != http.StatusBadRequest {
		t.Errorf("got %d %s", got.status, got.body)
	}
	id := g.publish(`{"topic":"a","data":1}`)
	if got, want := g.do(http.MethodGet, "/topics/a", ""), `{"topic":"a","subscribers":2,"events":1,"first":"`+id+`","last":"`+id+`","closed":false}`+"\n"; got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
	if got := g.do(http.MethodGet, "/topics/unknown", ""); got.body != `{"topic":"unknown","subscribers":0,"events":0,"closed":false}`+"\n" {
		t.Errorf("got %s", got.body)
	}
}

func TestTopics_TakeAnyNameInThePath(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for _, topic := range []string{"a/b", "..", ".", "a b", "ü/ß", "100%", "%2F", "a|b?c#d", "a+b", "/events", "close", "<script>"} {
		body, err := json.Marshal(map[string]any{"topic": topic, "data": 1})
		if err != nil {
			t.Fatal(err)
		}
		id := g.publish(string(body))
		path := "/topics/" + strings.ReplaceAll(url.PathEscape(topic), ".", "%2E")
		var info topicAnswer
		if got := g.do(http.MethodGet, path, ""); json.Unmarshal([]byte(got.body), &info) != nil || info.Topic != topic || info.Last != id {
			t.Errorf("%q: got %s, want the last id %s", topic, got.body, id)
		}
		if got := g.do(http.MethodGet, path+"/events", ""); !strings.Contains(got.body, id) {
			t.Errorf("%q: got %s", topic, got.body)
		}
	}
}

func TestHealth_AnswersWhatItIsAskedFor(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for path, want := range map[string]string{"/healthz": `{"status":"live"}`, "/readyz": `{"status":"ready"}`, "/version": `"go":"go1.`} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := g.do(method, path, "")
			if got.status != http.StatusOK || (method == http.MethodGet) != strings.Contains(got.body, want) {
				t.Errorf("%s %s: got %d %s", method, path, got.status, got.body)
			}
		}
	}
	if got := g.do(http.MethodGet, "/", ""); got.status != http.StatusOK || !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page: %d %v", got.status, got.header)
	}
}

func TestMetrics_CountWithoutNames(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	s, _ := g.subscribe("topics=secret-topic&user=secret-user")
	g.publish(`{"topic":"secret-topic","data":1}`)
	g.do(http.MethodPost, "/publish", `{}`)
	s.next()
	s.close()
	testkit.WaitFor(t, "the stream is gone", func() bool { return g.streams.Stats().Open == 0 })
	g.Drain()
	g.do(http.MethodGet, "/subscribe?topics=a", "")
	got := g.do(http.MethodGet, "/metrics", "").body
	for _, want := range []string{
		"gateway_broker_ready 1", "gateway_streams_open 0", "gateway_events_published_total 1", "gateway_events_delivered_total 1",
		`gateway_events_rejected_total{problem="invalid-request"} 1`, `gateway_streams_closed_total{reason="client"} 1`,
		`gateway_streams_closed_total{reason="slow"} 0`, `gateway_streams_refused_total{reason="drain"} 1`, "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(got, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(got, "secret") {
		t.Error("a name shows")
	}
}

func TestAdminRoutes_AreApart(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{AdminElsewhere: true})
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if got := g.do(http.MethodGet, path, ""); got.status != http.StatusNotFound {
			t.Errorf("%s is public: %d", path, got.status)
		}
	}
	admin := newAdminServer(t, g.API)
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/cmdline": 200, "/healthz": 200, "/readyz": 200, "/version": 200, "/publish": 404} {
		g.url = admin
		if got := g.do(http.MethodGet, path, ""); got.status != want {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}
