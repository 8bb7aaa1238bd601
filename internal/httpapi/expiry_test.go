package httpapi

import (
	"encoding/json"
	"testing"
	"time"

	"sse-gateway/internal/auth"
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
