package integration_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
)

// everyRoute is a request to each route that asks who one is, in an order in which all may be made by an admin.
func everyRoute() []request {
	return []request{
		{target: "/subscribe?topics=room"},
		{target: "/subscribe?user=root"},
		{method: "POST", target: "/publish", body: `{"topic":"room","data":1}`},
		{method: "POST", target: "/publish", body: `[{"topic":"room","data":1}]`},
		{target: "/topics"},
		{target: "/topics/room"},
		{target: "/topics/room/events"},
		{method: "POST", target: "/topics/room/close"},
		{target: "/users/root"},
		{target: "/users/root/events"},
		{method: "DELETE", target: "/users/someone/streams"},
	}
}

func (r request) with(lines ...string) request {
	r.header = append(slices.Clip(r.header), lines...)
	return r
}

func rootClaims() jwt.MapClaims {
	return jwt.MapClaims{"sub": "root", "admin": true, "subscribe": []string{"*"}, "publish": []string{"*"}}
}

// A page whose site has pointed its name at the gateway (DNS rebinding) is of the gateway's own origin, as browsers see it.
// Where nobody is asked who they are it must have nothing all the same, on any route and by either protocol.
func TestAttack_ReboundName(t *testing.T) {
	s := attackable(t, 1, nil)
	inbox := lab.Subscribe(t, lab.SubscribeOptions{Bases: []string{s.Replicas[0].URL}, User: "root"})
	inbox.WaitReady(t)
	for _, host := range []string{"evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"} {
		own := []string{"Origin: http://" + host, "Sec-Fetch-Site: same-origin"}
		routes := append(everyRoute(), request{method: "DELETE", target: "/users/root/streams"}, request{target: "/"})
		for _, r := range routes {
			r.host = host
			if got := ask(t, s.Replicas[0], r.with(own...)); got.status != http.StatusMisdirectedRequest || !strings.Contains(got.detail, "GATEWAY_HOSTS") {
				t.Errorf("%s %s for %s: %d %s", r.method, r.target, host, got.status, got.body)
			}
		}
		conn := dialFrom(t, s.Replicas[0], "")
		if got := exchange(t, conn, "GET http://"+host+"/topics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); got.status != http.StatusMisdirectedRequest {
			t.Errorf("the name in the request's line: %d", got.status)
		}
		_ = conn.Close()
		if got := authority(t, s.Replicas[0], host); got != http.StatusMisdirectedRequest {
			t.Errorf("the :authority %s: %d", host, got)
		}
	}
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]:8000", "gateway"} {
		if got := ask(t, s.Replicas[0], request{host: host, target: "/users/root/events"}); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", host, got.status, got.body)
		}
	}
	if state := inbox.State(); state.Connects != 1 {
		t.Errorf("the user was cut off: %d connections", state.Connects)
	}
	s.unharmed(t)
}

// authority asks by HTTP/2 under a name, and returns the status.
func authority(t *testing.T, gateway *lab.Gateway, host string) int {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway.URL+"/users/root/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	response, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != 2 {
		t.Errorf("it was asked by %s", response.Proto)
	}
	return response.StatusCode
}

// A page of another site can make the browser send the user's cookie, but must have nothing of it, on any route.
func TestAttack_CookieFromAForeignOrigin(t *testing.T) {
	who := newSecretIssuer()
	const friend = "https://app.example"
	s := attackable(t, 2, who, lab.StartRedis(t).Env(), "GATEWAY_CORS_ORIGINS="+friend)
	cookie := "Cookie: theme=dark; gateway_token=" + who.token(t, rootClaims())
	for name, lines := range map[string][]string{
		"another site":                  {"Origin: https://evil.example"},
		"a sandbox":                     {"Origin: null"},
		"an empty origin":               {"Origin: "},
		"any":                           {"Origin: *"},
		"another port":                  {"Origin: http://gateway:81"},
		"our name in front":             {"Origin: http://gateway.evil.example"},
		"a friend's name in front":      {"Origin: " + friend + ".evil.example"},
		"a friend without TLS":          {"Origin: http://app.example"},
		"no URL":                        {"Origin: gateway"},
		"two origins":                   {"Origin: http://gateway", "Origin: https://evil.example"},
		"a friend and another":          {"Origin: " + friend, "Origin: https://evil.example"},
		"the browser says cross-site":   {"Origin: http://gateway", "Sec-Fetch-Site: cross-site"},
		"the browser says same-site":    {"Origin: http://gateway", "Sec-Fetch-Site: same-site"},
		"a proxy's header that says so": {"Origin: https://evil.example", "X-Forwarded-Host: evil.example"},
		"a method in disguise":          {"Origin: https://evil.example", "X-HTTP-Method-Override: GET"},
		"a preflight's header":          {"Origin: https://evil.example", "Access-Control-Request-Method: GET"},
		"an image on another site":      {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"},
		"a script on a sibling's page":  {"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, r := range everyRoute() {
				got := ask(t, s.Replicas[i%2], r.with(cookie).with(lines...))
				if got.status != http.StatusForbidden || got.title != "Not allowed" || !strings.Contains(got.detail, "origin") {
					t.Errorf("%s %s: %d %s", r.method, r.target, got.status, got.body)
				}
				if allowed := got.header.Get("Access-Control-Allow-Origin"); allowed != "" && allowed != friend {
					t.Errorf("%s %s: readable for %q", r.method, r.target, allowed)
				}
			}
			s.unharmed(t)
		})
	}
	for name, lines := range map[string][]string{
		"no origin":    nil,
		"a link":       {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
		"our own page": {"Origin: http://gateway"},
		"a friend":     {"Origin: " + friend, "Sec-Fetch-Site: cross-site"},
	} {
		for _, r := range everyRoute() {
			if got := ask(t, s.Replicas[0], r.with(cookie).with(lines...)); got.status/100 != 2 && got.status != http.StatusConflict {
				t.Errorf("%s: %s %s: %d %s", name, r.method, r.target, got.status, got.body)
			}
		}
	}
}

// Without tokens nobody's page may change anything from afar either.
func TestAttack_ForeignPageWithoutTokens(t *testing.T) {
	s := attackable(t, 1, nil)
	var attacks []attack
	for _, r := range everyRoute() {
		if r.method != "" {
			attacks = append(attacks, attack{r.method + " " + r.target, r.with("Origin: https://evil.example"), http.StatusForbidden, "origin"})
		}
	}
	s.repels(t, attacks)
	got := ask(t, s.Replicas[0], request{target: "/topics/alive/events", header: []string{"Origin: https://evil.example"}})
	if got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a foreign page may read what it asks for")
	}
}

// Whoever can add a token to somebody's request must not decide who it comes from.
func TestAttack_SeveralTokens(t *testing.T) {
	who := newSecretIssuer()
	s := attackable(t, 1, who)
	jack := who.token(t, jwt.MapClaims{"sub": "jack"})
	jill := who.token(t, jwt.MapClaims{"sub": "jill"})
	inbox := func(query string, lines ...string) request {
		return request{target: "/subscribe?user=jill" + query, header: lines}
	}
	const many = "more than one token"
	s.repels(t, []attack{
		{"header and query", inbox("&access_token="+jack, "Authorization: Bearer "+jill), http.StatusBadRequest, many},
		{"cookie and query", inbox("&access_token="+jack, "Cookie: gateway_token="+jill), http.StatusBadRequest, many},
		{"twice in the query", inbox("&access_token=" + jill + "&access_token=" + jack), http.StatusBadRequest, many},
		{"two headers", inbox("", "Authorization: Bearer "+jill, "Authorization: Bearer "+jack), http.StatusBadRequest, many},
		{"two cookies", inbox("", "Cookie: gateway_token="+jill+"; gateway_token="+jack), http.StatusBadRequest, many},
		{"two lines of cookies", inbox("", "Cookie: gateway_token="+jill, "Cookie: gateway_token="+jack), http.StatusBadRequest, many},
		{"jack's header beside jill's cookie", inbox("", "Authorization: Bearer "+jack, "Cookie: gateway_token="+jill), http.StatusForbidden, "not that of"},
		{"another cookie's name", inbox("", "Cookie: Gateway_Token="+jill), http.StatusUnauthorized, "required"},
		{"in the body of a form", request{
			method: "POST", target: "/publish", body: "access_token=" + jill, header: []string{"Content-Type: application/x-www-form-urlencoded"},
		}, http.StatusUnauthorized, "required"},
	})
	if got := ask(t, s.Replicas[0], inbox("&access_token="+jill, "Authorization: bearer "+jill, "Cookie: gateway_token="+jill)); got.status != http.StatusOK {
		t.Errorf("the same token everywhere: %d %s", got.status, got.body)
	}
}
