package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/fanout"
)

func TestSubscribe_EndsBeforeTheTokenExpires(t *testing.T) {
	t.Parallel()
	g := newTestGateway(t, newTestJWT(t), Options{})
	headers := bearer(t, auth.Grant{Subject: "jack", Lifetime: 3 * time.Second})
	began := time.Now()
	s, ready := g.subscribe("user=jack", headers...)
	if ready.Data != `{"topics":[],"user":"jack"}` {
		t.Errorf("ready: %s", ready.Data)
	}
	event := s.next()
	var expiring struct {
		Expires time.Time `json:"expires"`
	}
	if err := json.Unmarshal([]byte(event.Data), &expiring); err != nil || event.Type != "expiring" || event.ID != ready.ID {
		t.Errorf("got %+v (%v)", event, err)
	}
	if _, err := s.Next(); err == nil {
		t.Error("the stream goes on")
	}
	if end := time.Now(); end.After(expiring.Expires) || end.Sub(began) < time.Second {
		t.Errorf("began %v, ended %v, the token expires %v", began, end, expiring.Expires)
	}
}

// However little a token has left: a stream that is opened has told its page to renew it.
func TestSubscribe_TellsWithItsHeadWhatExpiresSoon(t *testing.T) {
	t.Parallel()
	g := newTestGateway(t, newTestJWT(t), Options{})
	told := 0
	for range 8 {
		// exp has whole seconds: what is left is anything up to one.
		got := g.do(http.MethodGet, "/subscribe?user=jack", "", bearer(t, auth.Grant{Subject: "jack", Lifetime: time.Second})...)
		if got.status == http.StatusUnauthorized {
			continue
		}
		if told++; strings.Count(got.body, "event: ready\n") != 1 || strings.Count(got.body, "event: expiring\n") != 1 {
			t.Errorf("got %q", got.body)
		}
	}
	if told == 0 {
		t.Error("no stream has been opened")
	}
	for left, atOnce := range map[time.Duration]bool{-time.Second: true, 0: true, time.Millisecond: true, time.Second: true, 10 * time.Second: false, time.Hour: false} {
		expires := g.clock().Add(left)
		params := g.params(fanout.JoinRequest{}, auth.Identity{Expires: expires}, joined(t, g))
		if first := strings.Contains(string(params.First), "event: expiring\n"); first != atOnce || (params.Notice == nil) != atOnce {
			t.Errorf("with %v left: told with the head: %v, then %v", left, first, params.Notice)
		}
		params = g.params(fanout.JoinRequest{EventsOnly: true}, auth.Identity{Expires: expires}, joined(t, g))
		if strings.Contains(string(params.First), "event:") || params.Notice != nil {
			t.Errorf("a stream of events only is told %q and %v", params.First, params.Notice)
		}
	}
}

// joined is a subscription that nothing is done with.
func joined(t *testing.T, g *testGateway) *subscription {
	t.Helper()
	sub, err := g.hub.Join(t.Context(), fanout.JoinRequest{Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Leave)
	return &subscription{Subscription: sub}
}

func TestExpiry_EndsShortlyBeforeAndTellsAhead(t *testing.T) {
	now := time.Now()
	for _, left := range []time.Duration{time.Second, 10 * time.Second, time.Minute, time.Hour} {
		for range 100 {
			p := expiry(now.Add(left), now)
			ahead := now.Add(left).Sub(p.Expiry)
			if !p.Deadline.Equal(now.Add(left)) {
				t.Fatalf("a token of %s may be served until %s", left, p.Deadline)
			}
			if ahead <= 0 || ahead > 5*time.Second || ahead > left/4 {
				t.Fatalf("a token of %s ends %s ahead", left, ahead)
			}
			if notice := p.Expiry.Sub(p.NoticeAt); notice > 30*time.Second || notice < min(30*time.Second, left/2) || p.NoticeAt.Before(now) {
				t.Fatalf("a token of %s is told %s ahead", left, notice)
			}
		}
	}
	for _, late := range []time.Duration{0, time.Nanosecond, time.Second} {
		if p := expiry(now.Add(-late), now); p.Expiry.After(now) {
			t.Errorf("a token that expired %s ago ends %s later", late, p.Expiry.Sub(now))
		}
	}
	if p := expiry(time.Time{}, now); !p.Expiry.IsZero() || p.Notice != nil {
		t.Errorf("without exp: %+v", p)
	}
}
