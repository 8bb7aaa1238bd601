package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/limit"
	"sse-gateway/internal/testkit"
)

// A refused is a request and the problem that it is answered with.
type refused struct {
	name         string
	method, path string
	body         string
	headers      []string
	status       int
	title        string
	detail       string // the beginning: it names the field
}

func (g *testGateway) expectRefusals(t *testing.T, tests []refused) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := g.do(test.method, test.path, test.body, test.headers...)
			p := got.problem(t)
			if got.status != test.status || p.Status != test.status || p.Title != test.title || !strings.HasPrefix(p.Detail, test.detail) {
				t.Errorf("got %d %+v, want %d %q with %q…", got.status, p, test.status, test.title, test.detail)
			}
			if p.Type == "" || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("type %q, headers %v", p.Type, got.header)
			}
		})
	}
}

// TestBadInput_IsAProblemThatNamesTheField holds section by section what is never accepted. What is wrong with a publish's
// JSON itself is in TestParseBody_Refuses.
func TestBadInput_IsAProblemThatNamesTheField(t *testing.T) {
	const (
		get, post = http.MethodGet, http.MethodPost
		bad       = "Invalid request"
	)
	g := newTestGateway(t, auth.None{}, Options{MaxEventBytes: 100, MaxBodyBytes: 1000, MaxTopics: 3, Users: []string{"jack", "a*"}, Topics: []string{"robot", "chat.*", "a/b", "x*"}})
	long := strings.Repeat("x", 256)
	g.expectRefusals(t, []refused{
		{"not JSON", post, "/publish", "topic=robot", nil, 400, bad, "body: not JSON"},
		{"unknown field", post, "/publish", `{"topic":"robot","data":1,"to":"x"}`, nil, 400, bad, `"to": unknown`},
		{"no topic", post, "/publish", `{"data":1}`, nil, 400, bad, "topic: missing"},
		{"no data", post, "/publish", `{"topic":"robot"}`, nil, 400, bad, "data: missing"},
		{"reserved event", post, "/publish", `{"topic":"robot","data":1,"event":"ready"}`, nil, 400, bad, "event: "},
		{"item of an array", post, "/publish", `[{"topic":"robot","data":1},{}]`, nil, 400, bad, "item 1: topic: missing"},
		{"empty array", post, "/publish", `[]`, nil, 400, bad, "body: the array is empty"},
		{"data too large", post, "/publish", `{"topic":"robot","data":"` + strings.Repeat("x", 99) + `"}`, nil, 413, "Too large", "data: "},
		{"body too large", post, "/publish", strings.Repeat(" ", 1001), nil, 413, "Too large", "body: "},
		{"data too large in an array", post, "/publish", `[{"topic":"robot","data":"` + strings.Repeat("x", 99) + `"}]`, nil, 413, "Too large", "item 0: data: "},
		{"key header", post, "/publish", `{"topic":"robot","data":1}`, []string{"Idempotency-Key", long}, 400, bad, "Idempotency-Key: "},
		{"gzip", post, "/publish", "\x1f\x8b", []string{"Content-Encoding", "gzip"}, 415, "Unsupported encoding", `Content-Encoding: "gzip" is not taken; send`},
		{"zstd lines", post, "/publish", "\x28", []string{"Content-Encoding", "zstd", "Content-Type", "application/x-ndjson"}, 415, "Unsupported encoding", "Content-Encoding: "},
		{"answers of one", post, "/publish?answers=errors", `{"topic":"robot","data":1}`, nil, 400, bad, "answers: only NDJSON"},
		{"answers none", post, "/publish?answers=none", "", []string{"Content-Type", "application/x-ndjson"}, 400, bad, `answers: "none"`},
		{"answers misspelled", post, "/publish?Answers=errors", "", []string{"Content-Type", "application/x-ndjson"}, 400, bad, `"Answers": unknown`},
		{"BOM alone", post, "/publish", "\ufeff", nil, 400, bad, "body: empty"},
		{"topic not listed", post, "/publish", `{"topic":"other","data":1}`, nil, 404, "Not found", "topic: "},
		{"user not listed", post, "/publish", `{"user":"eve","data":1}`, nil, 403, "Not allowed", "user: "},

		{"nothing to subscribe to", get, "/subscribe", "", nil, 400, bad, "topics: missing"},
		{"empty topics", get, "/subscribe?topics=&user=", "", nil, 400, bad, "topics: missing"},
		{"empty topic among topics", get, "/subscribe?topics=robot|", "", nil, 400, bad, "topics: must not be empty"},
		{"empty topic", get, "/subscribe?topic=", "", nil, 400, bad, "topic: must not be empty"},
		{"topic too long", get, "/subscribe?topics=" + long, "", nil, 400, bad, "topics: longer"},
		{"topic not UTF-8", get, "/subscribe?topics=%ff", "", nil, 400, bad, "topics: not valid UTF-8"},
		{"topic with a control character", get, "/subscribe?topics=a%0ab", "", nil, 400, bad, "topics: holds the control"},
		{"topic with an override", get, "/subscribe?topics=a%E2%80%AEb", "", nil, 400, bad, "topics: holds the text direction"},
		{"topic of an inbox", get, "/subscribe?topics=@jack", "", nil, 400, bad, "topics: a name that starts"},
		{"one topic of an inbox", get, "/subscribe?topic=%40jack", "", nil, 400, bad, "topic: a name that starts"},
		{"too many topics", get, "/subscribe?topics=x1|x2|x3|x4", "", nil, 400, bad, "topics: more than the 3"},
		{"too many topics, one by one", get, "/subscribe?topics=x1|x2&topic=x3&topic=x4", "", nil, 400, bad, "topic: more than the 3"},
		{"malformed since", get, "/subscribe?topics=robot&since=yesterday", "", nil, 400, bad, "since: "},
		{"number since", get, "/subscribe?topics=robot&since=5", "", nil, 400, bad, "since: "},
		{"latest none", get, "/subscribe?topics=robot&since=last:0", "", nil, 400, bad, "since: "},
		{"since twice", get, "/subscribe?topics=robot&since=all&since=now", "", nil, 400, bad, "since: given 2 times"},
		{"raw yes", get, "/subscribe?topics=robot&raw=yes", "", nil, 400, bad, `raw: "yes" is none of`},
		{"raw empty", get, "/subscribe?topics=robot&raw=", "", nil, 400, bad, `raw: "" is none of`},
		{"raw True", get, "/subscribe?topics=robot&raw=True", "", nil, 400, bad, `raw: "True" is none of`},
		{"raw twice", get, "/subscribe?topics=robot&raw=1&raw=0", "", nil, 400, bad, "raw: given 2 times"},
		{"negative since", get, "/subscribe?topics=robot&since=-10m", "", nil, 400, bad, "since: "},
		{"malformed query", get, "/subscribe?topics=%zz", "", nil, 400, bad, "query: "},
		{"subscribe to a topic not listed", get, "/subscribe?topics=robot|other", "", nil, 404, "Not found", "topic: "},
		{"subscribe as a user not listed", get, "/subscribe?user=eve", "", nil, 403, "Not allowed", "user: "},
		{"user with a control character", get, "/subscribe?user=a%00", "", nil, 400, bad, "user: holds the control"},
		{"user too long", get, "/subscribe?user=" + long, "", nil, 400, bad, "user: longer"},

		{"topic in the path reserved", get, "/topics/@jack", "", nil, 400, bad, "topic: a name"},
		{"topic in the path reserved, encoded", get, "/topics/%40jack/events", "", nil, 400, bad, "topic: a name"},
		{"topic in the path empty", get, "/topics//events", "", nil, 400, bad, "topic: must not"},
		{"topic in the path not UTF-8", get, "/topics/%ff", "", nil, 400, bad, "topic: not valid"},
		{"topic in the path control", post, "/topics/%00/close", "", nil, 400, bad, "topic: holds"},
		{"topic in the path not listed", get, "/topics/other", "", nil, 404, "Not found", "topic: "},
		{"close a topic not listed", post, "/topics/other/close", "", nil, 404, "Not found", "topic: "},
		{"after is the end of time", get, "/topics/robot/events?after=18446744073709551615-18446744073709551615", "", nil, 400, bad, "after: "},
		{"after is no id", get, "/topics/robot/events?after=1", "", nil, 400, bad, "after: "},
		{"after twice", get, "/topics/robot/events?after=1-1&after=2-2", "", nil, 400, bad, "after: given 2 times"},
		{"limit with a sign", get, "/topics/robot/events?limit=%2B5", "", nil, 400, bad, "limit: "},
		{"limit empty", get, "/topics/robot/events?limit=", "", nil, 400, bad, "limit: "},
		{"limit zero", get, "/topics/robot/events?limit=0", "", nil, 400, bad, "limit: "},
		{"limit too high", get, "/topics/robot/events?limit=1001", "", nil, 400, bad, "limit: "},
		{"limit no number", get, "/topics/robot/events?limit=ten", "", nil, 400, bad, "limit: "},
		{"user in the path not listed", get, "/users/eve", "", nil, 403, "Not allowed", "user: "},
		{"user's events not listed", get, "/users/eve/events", "", nil, 403, "Not allowed", "user: "},
		{"cut a user not listed", http.MethodDelete, "/users/eve/streams", "", nil, 403, "Not allowed", "user: "},

		{"nothing there", get, "/nothing", "", nil, 404, "Not found", `there is nothing at "/nothing"`},
		{"nothing below", get, "/subscribe/x", "", nil, 404, "Not found", "there is nothing"},
		{"trailing slash", get, "/topics/", "", nil, 404, "Not found", "there is nothing"},
		{"wrong method", get, "/publish", "", nil, 405, "Method not allowed", `"/publish" takes only POST, OPTIONS`},
		{"odd method for nothing", "BREW", "/nothing", "", nil, 404, "Not found", `there is nothing at "/nothing"`},
		{"odd method", "BREW", "/publish", "", nil, 405, "Method not allowed", `"/publish" takes only POST, OPTIONS`},
		{"post to subscribe", post, "/subscribe", "", nil, 405, "Method not allowed", `"/subscribe" takes only GET, HEAD, OPTIONS`},
	})
}

func TestBadInput_PublishesNothing(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	g.do(http.MethodPost, "/publish", `[{"topic":"robot","data":1},{"topic":"robot","data":2},{"topic":""}]`)
	if got := g.page("/topics/robot/events"); len(got.Events) > 0 || got.Next != "0-0" || got.More || got.Gap {
		t.Errorf("got %+v, want an empty page", got)
	}
}

func TestMethodNotAllowed_NamesTheMethods(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for path, want := range map[string]string{
		"/publish": "POST, OPTIONS", "/subscribe": "GET, HEAD, OPTIONS", "/topics/a%2Fb/close": "POST, OPTIONS",
		"/users/jack/streams": "DELETE, OPTIONS", "/": "GET, HEAD, OPTIONS",
	} {
		if got := g.do(http.MethodPut, path, ""); got.status != 405 || got.header.Get("Allow") != want {
			t.Errorf("PUT %s: %d, Allow %q, want %q", path, got.status, got.header.Get("Allow"), want)
		}
		if got := g.do(http.MethodOptions, path, ""); got.status != 204 || got.header.Get("Allow") != want {
			t.Errorf("OPTIONS %s: %d, Allow %q, want %q", path, got.status, got.header.Get("Allow"), want)
		}
	}
	if got := g.do(http.MethodOptions, "/nothing", ""); got.status != 404 {
		t.Errorf("OPTIONS /nothing: %d", got.status)
	}
}

func TestAccess_TokensSayWhoMayDoWhat(t *testing.T) {
	const get, post, del, no = http.MethodGet, http.MethodPost, http.MethodDelete, "Not allowed"
	g := newTestGateway(t, newTestJWT(t), Options{})
	jack := bearer(t, auth.Grant{Subject: "jack", Subscribe: []string{"chat.*"}, Publish: []string{"chat.*", "@jane"}})
	nobody := bearer(t, auth.Grant{Subscribe: []string{"*"}, Publish: []string{"*"}})
	foreign := []string{"Origin", "https://evil.example", "Cookie", "gateway_token=" + mint(t, auth.Grant{Subject: "jack"})}
	g.expectRefusals(t, []refused{
		{"subscribe without a token", get, "/subscribe?topics=a", "", nil, 401, "Not authenticated", "a token is required"},
		{"publish without a token", post, "/publish", `{"topic":"a","data":1}`, nil, 401, "Not authenticated", "a token"},
		{"bad token", get, "/subscribe?topics=a", "", []string{"Authorization", "Bearer x.y.z"}, 401, "Not authenticated", "token: "},
		{"two tokens", get, "/subscribe?topics=a&access_token=a&access_token=b", "", nil, 400, "Invalid request", "token: "},
		{"topic without the right", get, "/subscribe?topics=chat.a|other", "", jack, 403, no, "topic: "},
		{"another's inbox", get, "/subscribe?user=jane", "", jack, 403, no, "user: "},
		{"an inbox without a subject", get, "/subscribe?user=jack", "", nobody, 403, no, "user: "},
		{"history without the right", get, "/topics/other/events", "", jack, 403, no, "topic: "},
		{"topic's state without the right", get, "/topics/other", "", jack, 403, no, "topic: "},
		{"another's history", get, "/users/jane/events", "", jack, 403, no, "user: "},
		{"another's presence", get, "/users/jane", "", jack, 403, no, "user: "},
		{"list of topics", get, "/topics", "", jack, 403, no, "token: it lacks the claim admin"},
		{"close", post, "/topics/chat.a/close", "", jack, 403, no, "token: "},
		{"cut", del, "/users/jack/streams", "", jack, 403, no, "token: "},
		{"publish without the right", post, "/publish", `{"topic":"other","data":1}`, jack, 403, no, "topic: "},
		{"publish to another's inbox", post, "/publish", `{"user":"jim","data":1}`, jack, 403, no, "user: "},
		{"star covers no inbox", post, "/publish", `{"user":"jack","data":1}`, nobody, 403, no, "user: "},
		{"cookie from another site", get, "/subscribe?user=jack", "", foreign, 403, no, "origin: "},
		{"cookie from another site, history", get, "/users/jack/events", "", foreign, 403, no, "origin: "},
		{"cookie from another site, publish", post, "/publish", `{"topic":"a","data":1}`, foreign, 403, no, "origin: "},
	})
	for name, request := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
	}{
		"own presence":   {get, "/users/jack", "", jack, 200},
		"own history":    {get, "/users/jack/events", "", jack, 200},
		"topic":          {get, "/topics/chat.a", "", jack, 200},
		"publish":        {post, "/publish", `{"topic":"chat.a","data":1}`, jack, 200},
		"granted inbox":  {post, "/publish", `{"user":"jane","data":1}`, jack, 200},
		"admin list":     {get, "/topics", "", bearer(t, auth.Grant{Admin: true}), 200},
		"admin presence": {get, "/users/jane", "", bearer(t, auth.Grant{Admin: true}), 200},
		"admin close":    {post, "/topics/done/close", "", bearer(t, auth.Grant{Admin: true}), 200},
		"admin cut":      {del, "/users/jane/streams", "", bearer(t, auth.Grant{Admin: true}), 204},
		"own cookie":     {get, "/users/jack", "", []string{"Origin", g.url, "Cookie", "gateway_token=" + mint(t, auth.Grant{Subject: "jack"})}, 200},
	} {
		if got := g.do(request.method, request.path, request.body, request.headers...); got.status != request.status {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, request.status)
		}
	}
	if log := g.log.String(); strings.Contains(log, "eyJ") || strings.Contains(log, "access_token") {
		t.Error("the log holds a token")
	}
}

func TestPublish_IsLimitedByRate(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{PublishRate: 0.1, PublishBurst: 3})
	if got := g.do(http.MethodPost, "/publish", `{"topics":["a","b"],"data":1}`); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	got := g.do(http.MethodPost, "/publish", `[{"topic":"a","data":1},{"topic":"a","data":2}]`)
	if p := got.problem(t); p.Status != 429 || p.Title != "Too many events" || got.header.Get("Retry-After") != "10" {
		t.Errorf("got %+v, Retry-After %q", p, got.header.Get("Retry-After"))
	}
	g.publish(`{"topic":"a","data":1}`) // one is left: nothing of the refused was taken
}

func TestSubscribe_LimitsAreAStreamThatEnds(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{Streams: limit.PlaceLimits{PerUser: 1}})
	first, _ := g.subscribe("user=jack")
	second := g.do(http.MethodGet, "/subscribe?user=jack", "")
	var retry int
	comment, rest, _ := strings.Cut(second.body, "\n")
	if _, err := fmt.Sscanf(rest, "retry: %d\n", &retry); err != nil || !strings.HasPrefix(comment, ": ") || retry < 15_000 || retry > 45_000 || !second.broken {
		t.Errorf("got %+v (%v)", second, err)
	}
	g.subscribe("user=jane")
	first.close()
	testkit.WaitFor(t, "the place is free again", func() bool {
		s := g.stream("user=jack")
		defer s.close()
		event, err := s.Next()
		return err == nil && event.Type == "ready"
	})
}
