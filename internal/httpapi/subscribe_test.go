package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
	"sse-gateway/internal/stream"
	"sse-gateway/internal/testkit"
)

func TestSubscribe_AnswersHeadAndReadyInOneWrite(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{Retry: 2 * time.Second, CORSOrigins: []string{"https://app.example"}})
	conn, err := testkit.Dial(strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "GET /subscribe?user=jack&topics=chatgpt|robot&topic=a%7Cb&topic=robot HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	head, chunk, _ := strings.Cut(string(buf[:n]), "\r\n\r\n")
	_, body, _ := strings.Cut(chunk, "\r\n")
	for _, want := range []string{
		"HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Type: text/event-stream", "Cache-Control: no-cache, no-transform", "X-Accel-Buffering: no",
		"Access-Control-Allow-Origin: https://app.example", "Access-Control-Allow-Credentials: true", "Vary: Origin",
	} {
		if !strings.Contains(head+"\r\n", want+"\r\n") {
			t.Errorf("the head lacks %q:\n%s", want, head)
		}
	}
	var retry int
	var id string
	if _, err := fmt.Sscanf(body, "retry: %d\nevent: ready\ndata: {\"topics\":[\"chatgpt\",\"robot\",\"a|b\"],\"user\":\"jack\"}\nid: %s\n\n", &retry, &id); err != nil {
		t.Fatalf("the first write is %q: %v", body, err)
	}
	if retry < 1000 || retry > 3000 {
		t.Errorf("retry %d is not 2 s, spread by half", retry)
	}
	if _, err := broker.ParseID(id); err != nil {
		t.Errorf("ready's id: %v", err)
	}
}

func TestSubscribe_DeliversWhatIsItsOwn(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{})
			if protocol == "HTTP/2" {
				g.h2()
			}
			jack, _ := g.subscribe("user=jack&topics=chatgpt|robot")
			jane, _ := g.subscribe("user=jane&topics=chatgpt")
			raw, _ := g.subscribe("topics=robot&raw=1")
			robot := g.publish(`{"topic":"robot","data":"hi\nrobot"}`)
			personal := g.publish(`{"user":"jack","event":"note","data":{"n":1.0}}`)
			both := g.publish(`{"topic":"chatgpt","data":[],"retry":1234}`)
			expect := func(s *testStream, want ...sse.Event) {
				t.Helper()
				for _, want := range want {
					if got := s.next(); got != want {
						t.Errorf("got %+v, want %+v", got, want)
					}
				}
			}
			shared := sse.Event{Type: "message", Data: `{"topic":"chatgpt","data":[]}`, ID: both, Retry: 1234}
			expect(jack,
				sse.Event{Type: "message", Data: `{"topic":"robot","data":"hi\nrobot"}`, ID: robot},
				sse.Event{Type: "note", Data: `{"user":"jack","data":{"n":1.0}}`, ID: personal},
				shared)
			expect(jane, shared)
			expect(raw, sse.Event{Type: "message", Data: "hi\nrobot", ID: robot})
		})
	}
}

func TestSubscribe_ResumesFromHeaderQueryAndSince(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	first := g.publish(`{"topic":"robot","data":1}`)
	second := g.publish(`{"topic":"robot","data":2}`)
	third := g.publish(`{"topic":"robot","data":3}`)
	for name, test := range map[string]struct {
		query  string
		header string
		want   []string
	}{
		"header":                 {"topics=robot", first, []string{second, third}},
		"header before query":    {"topics=robot&last_event_id=" + first, second, []string{third}},
		"query before since":     {"topics=robot&since=all&last_event_id=" + second, "", []string{third}},
		"empty query is absent":  {"topics=robot&since=" + second + "&last_event_id=", "", []string{third}},
		"polyfill":               {"topics=robot&lastEventId=" + first, "", []string{second, third}},
		"Mercure":                {"topics=robot&lastEventID=" + first, "", []string{second, third}},
		"as the header":          {"topics=robot&Last-Event-ID=" + first, "", []string{second, third}},
		"as the header, small":   {"topics=robot&last-event-id=" + first, "", []string{second, third}},
		"header before polyfill": {"topics=robot&lastEventId=" + first, second, []string{third}},
		// A page that was reloaded gave the address its position; the polyfill then appends its own.
		"the last one counts":        {"topics=robot&last_event_id=" + first + "&lastEventId=" + second, "", []string{third}},
		"an empty one is absent":     {"topics=robot&last_event_id=" + second + "&lastEventId=", "", []string{third}},
		"from the beginning":         {"topics=robot&last_event_id=-1", "", []string{first, second, third}},
		"from the beginning, header": {"topics=robot", "-1", []string{first, second, third}},
		"0":                          {"topics=robot&since=0", "", []string{first, second, third}},
		"latest 2":                   {"topics=robot&since=last:2", "", []string{second, third}},
		"time, plus as a space":      {"topics=robot&since=2020-01-01T00:00:00+01:00", "", []string{first, second, third}},
		"all":                        {"topics=robot&since=all", "", []string{first, second, third}},
		"duration":                   {"topics=robot&since=10m", "", []string{first, second, third}},
		"time":                       {"topics=robot&since=2020-01-01T00:00:00Z", "", []string{first, second, third}},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if test.header != "" {
				headers = []string{"Last-Event-ID", test.header}
			}
			s, _ := g.subscribe(test.query, headers...)
			for _, want := range test.want {
				if got := s.next(); got.ID != want {
					t.Errorf("got %+v, want %s", got, want)
				}
			}
		})
	}
}

func TestSubscribe_UnreadableCursorIsAGap(t *testing.T) {
	t.Parallel()
	g := newTestGateway(t, auth.None{}, Options{})
	id := g.publish(`{"topic":"robot","data":1}`)
	for name, cursor := range map[string]string{
		"no cursor": "nonsense", "from the future": "99999999999999-0", "longer than any": strings.Repeat("9", maxCursorBytes+1),
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := g.subscribe("topics=robot", "Last-Event-ID", cursor)
			if event := s.next(); event.Type != "gap" {
				t.Errorf("got %+v", event)
			}
			_ = id
		})
	}
}

func TestSubscribe_ClosedTopicsAre204(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	s, _ := g.subscribe("topics=job")
	last := g.publish(`{"topic":"job","data":"done"}`)
	closed := g.do(http.MethodPost, "/topics/job/close", "")
	var id idAnswer
	if err := json.Unmarshal([]byte(closed.body), &id); err != nil || closed.status != http.StatusOK {
		t.Fatalf("close: %d %s", closed.status, closed.body)
	}
	if event := s.next(); event.ID != last {
		t.Errorf("got %+v", event)
	}
	if event := s.next(); event.Type != "close" || event.ID != id.ID {
		t.Errorf("got %+v, want the close %s", event, id.ID)
	}
	if event, err := s.Next(); err == nil {
		t.Errorf("after the close: %+v", event)
	}
	if got := g.do(http.MethodGet, "/subscribe?topics=job", "", "Last-Event-ID", id.ID); got.status != http.StatusNoContent || got.body != "" {
		t.Errorf("reconnect: %d %q", got.status, got.body)
	}
	got := g.do(http.MethodPost, "/publish", `{"topic":"job","data":1}`)
	if p := got.problem(t); p.Status != http.StatusConflict || p.Title != "Topic closed" {
		t.Errorf("publish: %+v", p)
	}
	if info := g.do(http.MethodGet, "/topics/job", ""); !strings.Contains(info.body, `"closed":true`) {
		t.Errorf("got %s", info.body)
	}
}

// expectLater reads a stream that says why it does not begin.
func expectLater(t *testing.T, got answered, reason string) {
	t.Helper()
	comment, rest, _ := strings.Cut(got.body, "\n")
	var retry int
	_, err := fmt.Sscanf(rest, "retry: %d\n", &retry)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/event-stream" || err != nil ||
		!got.broken || strings.Count(got.body, "\n") != 2 || !strings.HasPrefix(comment, ": ") || !strings.Contains(comment, reason) || retry < 1500 || retry > 4500 {
		t.Errorf("got %d %v %q (%v)", got.status, got.header, got.body, err)
	}
}

// Who comes back at once, whatever retry says, is slowed down; but not so many are held that it would cost much.
func TestSubscribe_HoldsRefusalsForAMoment(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			g := newTestGateway(t, auth.None{}, Options{})
			if protocol == "HTTP/2" {
				g.h2()
			}
			g.Drain()
			refused := func() time.Duration {
				start := time.Now()
				expectLater(t, g.do(http.MethodGet, "/subscribe?topics=robot", ""), "about to stop")
				return time.Since(start)
			}
			if took := refused(); took < holdTime/2 {
				t.Errorf("held for %v", took)
			}
			if stats := g.streams.Stats(); stats.Open != 0 || stats.Closed[stream.ReasonExpired] != 0 {
				t.Errorf("a refusal counts as a stream: %+v", stats)
			}
			testkit.WaitFor(t, "its place is free", func() bool { return g.held.Load() == 0 })
			g.held.Store(mostHeld)
			fastest := refused()
			for range 4 {
				fastest = min(fastest, refused())
			}
			if fastest >= holdTime/2 {
				t.Errorf("one too many is held for %v", fastest)
			}
			g.held.Store(0)
		})
	}
}

func TestSubscribe_WaitsForADrainingReplicaElsewhere(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	g.Drain()
	g.Drain()
	expectLater(t, g.do(http.MethodGet, "/subscribe?topics=robot", ""), "about to stop")
	if got := g.do(http.MethodGet, "/readyz", ""); got.problem(t).Status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %s", got.body)
	}
	if got := g.do(http.MethodGet, "/healthz", ""); got.status != http.StatusOK {
		t.Errorf("healthz: %s", got.body)
	}
	if got := g.do(http.MethodGet, "/subscribe?topics=@a", ""); got.status != http.StatusBadRequest {
		t.Errorf("a refusal for good: %d", got.status)
	}
	if got := g.do(http.MethodHead, "/subscribe?topics=a", ""); got.status != http.StatusOK || got.body != "" {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
}

func TestSubscribe_HeadOpensNothing(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	got := g.do(http.MethodHead, "/subscribe?topics=robot", "")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/event-stream" || got.body != "" {
		t.Errorf("got %d %v %q", got.status, got.header, got.body)
	}
	if open := g.streams.Stats().Open; open != 0 {
		t.Errorf("%d streams are open", open)
	}
}

func TestSpread_CoversHalfToOneAndAHalf(t *testing.T) {
	low, high := 1<<30, 0
	for range 10_000 {
		ms := spread(time.Second)
		low, high = min(low, ms), max(high, ms)
	}
	if low < 500 || low > 520 || high > 1500 || high < 1480 {
		t.Errorf("from %d to %d", low, high)
	}
}

func TestCutUser_EndsTheUsersStreams(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	jack, _ := g.subscribe("user=jack&topics=robot")
	jane, _ := g.subscribe("user=jane&topics=robot")
	if got := g.do(http.MethodGet, "/users/jack", ""); got.body != `{"user":"jack","online":true,"streams":1}`+"\n" {
		t.Errorf("got %s", got.body)
	}
	if got := g.do(http.MethodDelete, "/users/jack/streams", ""); got.status != http.StatusNoContent || got.body != "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if event, err := jack.Next(); err == nil {
		t.Errorf("jack got %+v", event)
	}
	id := g.publish(`{"topic":"robot","data":1}`)
	if event := jane.next(); event.ID != id {
		t.Errorf("jane got %+v", event)
	}
	testkit.WaitFor(t, "jack is offline", func() bool {
		return g.do(http.MethodGet, "/users/jack", "").body == `{"user":"jack","online":false,"streams":0}`+"\n"
	})
}

// The allow-list of users must not keep anybody's streams from being ended.
func TestCutUser_ReachesSubjectsThatAreNotListed(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{Users: []string{"jack"}})
	eve, _ := g.subscribe("topics=robot&access_token=" + mint(t, auth.Grant{Subject: "eve", Subscribe: []string{"*"}}))
	got := g.do(http.MethodDelete, "/users/eve/streams", "", bearer(t, auth.Grant{Subject: "boss", Admin: true})...)
	if got.status != http.StatusNoContent {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if event, err := eve.Next(); err == nil {
		t.Errorf("eve got %+v", event)
	}
}

// A client that has gone leaves nothing behind.
func TestSubscribe_NoticesThatTheClientHasGone(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{})
			if protocol == "HTTP/2" {
				g.h2()
			}
			s, _ := g.subscribe("topics=robot")
			s.close()
			testkit.WaitFor(t, "the stream is gone", func() bool { return g.streams.Stats().Open == 0 })
			testkit.WaitFor(t, "the topic has no subscriber", func() bool {
				return strings.Contains(g.do(http.MethodGet, "/topics/robot", "").body, `"subscribers":0`)
			})
			testkit.WaitFor(t, "the request is logged", func() bool { return strings.Contains(g.log.String(), "path=/subscribe status=200") })
		})
	}
}

func TestSubscribe_SurvivesHTTP10(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	conn, err := testkit.Dial(strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /subscribe?topics=robot HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if event, err := sse.NewDecoder(response.Body).Next(); err != nil || event.Type != "ready" {
		t.Errorf("got %+v, %v", event, err)
	}
}

// Whoever visits a topic for the first time after its close is stopped, or reads what is kept of it first.
func TestSubscribe_FirstVisitAfterTheClose(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	g.publish(`{"topic":"job","data":"done"}`)
	if got := g.do(http.MethodPost, "/topics/job/close", ""); got.status != http.StatusOK {
		t.Fatalf("close: %d %s", got.status, got.body)
	}
	if got := g.do(http.MethodGet, "/subscribe?topics=job", ""); got.status != http.StatusNoContent {
		t.Errorf("from now on: %d %s", got.status, got.body)
	}
	s, _ := g.subscribe("topics=job&since=all")
	for _, want := range []string{`message {"topic":"job","data":"done"}`, `close {"topic":"job","data":null}`} {
		if event := s.next(); event.Type+" "+event.Data != want {
			t.Errorf("got %+v, want %s", event, want)
		}
	}
	if event, err := s.Next(); err == nil {
		t.Errorf("after the close: %+v", event)
	}
}
