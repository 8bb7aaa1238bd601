package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"sse-gateway/internal/auth"
)

func TestMe_SaysWhoTheRequestIsFrom(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{})
	full := mint(t, auth.Grant{Subject: "jack", Subscribe: []string{"chat.*"}, Publish: []string{"a", "@*"}, Admin: true})
	bare := mint(t, auth.Grant{})
	const all = `{"auth":"jwt","user":"jack","admin":true,"subscribe":["chat.*"],"publish":["a","@*"],"expires":"TIME","token":"%s"}` + "\n"
	for name, test := range map[string]struct {
		path    string
		headers []string
		want    string
	}{
		"header":         {"/users/me", []string{"Authorization", "Bearer " + full}, fmt.Sprintf(all, "header")},
		"cookie":         {"/users/me", []string{"Cookie", "gateway_token=" + full}, fmt.Sprintf(all, "cookie")},
		"query":          {"/users/me?access_token=" + full, nil, fmt.Sprintf(all, "query")},
		"without rights": {"/users/me?access_token=" + bare, nil, `{"auth":"jwt","admin":false,"subscribe":[],"publish":[],"expires":"TIME","token":"query"}` + "\n"},
	} {
		got := g.do(http.MethodGet, test.path, "", test.headers...)
		body := regexp.MustCompile(`"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"`).ReplaceAllString(got.body, `"TIME"`)
		if got.status != http.StatusOK || body != test.want {
			t.Errorf("%s: %d %s want %s", name, got.status, got.body, test.want)
		}
	}
	open := newTestGateway(t, auth.None{}, Options{})
	if got, want := open.do(http.MethodGet, "/users/me", "").body, `{"auth":"none","admin":true,"subscribe":["*"],"publish":["*","@*"]}`+"\n"; got != want {
		t.Errorf("AUTH=none: got %s want %s", got, want)
	}
	if got, want := open.do(http.MethodGet, "/users/%6de", "").body, `{"user":"me","online":false,"streams":0}`+"\n"; got != want {
		t.Errorf("a user called me: got %s want %s", got, want)
	}
}

// EventSource tells no status: a page asks for it with HEAD, which opens no stream.
func TestSubscribe_HeadTellsWhyAStreamIsRefused(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{})
	good := url.QueryEscape(mint(t, auth.Grant{Subject: "jack", Subscribe: []string{"chat.*"}}))
	expired := url.QueryEscape(mint(t, auth.Grant{Subject: "jack", Lifetime: time.Second}))
	waitForExpiry := func() int { return g.do(http.MethodHead, "/subscribe?topics=chat.1&access_token="+expired, "").status }
	for deadline := time.Now().Add(20 * time.Second); waitForExpiry() != http.StatusUnauthorized; {
		if time.Now().After(deadline) {
			t.Fatal("an expired token is never 401")
		}
		<-time.After(20 * time.Millisecond)
	}
	for query, want := range map[string]int{
		"topics=chat.1&access_token=" + good: http.StatusOK,
		"topics=other&access_token=" + good:  http.StatusForbidden,
		"user=jane&access_token=" + good:     http.StatusForbidden,
		"topics=@x&access_token=" + good:     http.StatusBadRequest,
		"topics=chat.1":                      http.StatusUnauthorized,
	} {
		if got := g.do(http.MethodHead, "/subscribe?"+query, ""); got.status != want {
			t.Errorf("%s: %d, want %d", query, got.status, want)
		}
	}
	if open := g.streams.Stats().Open; open != 0 {
		t.Errorf("%d streams are open", open)
	}
}
