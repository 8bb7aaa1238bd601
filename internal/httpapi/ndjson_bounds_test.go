package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/limit"
	"sse-gateway/internal/testkit"
)

// Whoever has vanished, or sends nothing, does not hold its request for ever; and is told why it has ended, although that
// is long after its last answer.
func TestPublishLines_EndsWhoSendsNothing(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{PublishIdle: time.Second})
			g.grace, g.answerTime = 100*time.Millisecond, 100*time.Millisecond
			if protocol == "HTTP/2" {
				g.h2()
			}
			s := g.publishLines()
			s.send("{\"topic\":\"robot\",\"data\":1}\n")
			s.expect(`{"id":"`)
			s.expect(`{"type":"urn:sse-gateway:problem:idle","title":"Idle","status":408,"detail":"lines: none came for 1s; an empty one keeps the request open"}`)
			s.expectEnd()
		})
	}
}

func TestPublishLines_TellsWhoseLineTrickles(t *testing.T) {
	t.Parallel()
	g := newTestGateway(t, auth.None{}, Options{})
	g.grace = 100 * time.Millisecond
	s := g.publishLines()
	s.send("{\"topic\":")
	s.expect(`{"type":"urn:sse-gateway:problem:timeout","title":"Too slow","status":408,"detail":"line: it came too slowly"}`)
	s.expectEnd()
}

func TestPublishLines_AreLimitedInNumber(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{Publishes: limit.PlaceLimits{Total: 3, PerUser: 2}})
	headers := func(sub string) []string {
		return append(bearer(t, auth.Grant{Subject: sub, Publish: []string{"*"}}), "Content-Type", "application/x-ndjson")
	}
	expect := func(sub string, status int, want string) {
		t.Helper()
		got := g.do(http.MethodPost, "/publish", "{\"topic\":\"robot\",\"data\":1}\n", headers(sub)...)
		if got.status != status || !strings.Contains(got.body, want) || (got.header.Get("Retry-After") != "") != (status == http.StatusTooManyRequests) {
			t.Errorf("%s: got %d %v %s, want %d with %s", sub, got.status, got.header, got.body, status, want)
		}
	}
	first := g.publishLines(headers("jack")[:2]...)
	g.publishLines(headers("jack")[:2]...)
	expect("jack", 429, "this publisher has 2 requests of lines open, the limit")
	expect("eve", 200, `{"id":`)
	g.publishLines(headers("eve")[:2]...)
	expect("eve", 429, "3 requests of lines are open on this replica, the limit")
	if got := g.do(http.MethodPost, "/publish", `{"topic":"robot","data":1}`, headers("jack")[:2]...); got.status != http.StatusOK {
		t.Errorf("a single event: got %d %s", got.status, got.body)
	}
	_ = first.feed.Close()
	first.expectEnd()
	testkit.WaitFor(t, "the place is free again", func() bool {
		return g.do(http.MethodPost, "/publish", "", headers("jack")...).status == http.StatusOK
	})
}
