package httpapi

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
)

// withHost sends a request with a Host, over HTTP/2 with an :authority, of its own.
func (g *testGateway) withHost(url, method, path, host string) answered {
	g.t.Helper()
	request, err := http.NewRequestWithContext(g.t.Context(), method, url+path, strings.NewReader(`{"user":"jack","data":1}`))
	if err != nil {
		g.t.Fatal(err)
	}
	request.Host = host
	response, err := g.client.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var text []byte
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		if text, err = io.ReadAll(response.Body); err != nil {
			g.t.Fatal(err)
		}
	}
	return answered{response.StatusCode, response.Header, string(text), false}
}

// A page of any site can give its name the gateway's address, so that the browser takes both for one origin. Where nobody
// is asked who they are, it is the name that has to be right.
func TestHosts_RefusesForeignNamesWhereNobodyAuthenticates(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{Hosts: []string{"gateway.lan", "*.example.com", "Balancer"}})
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		for host, ok := range map[string]bool{
			"localhost": true, "localhost:8000": true, "LOCALHOST": true, "localhost.": true, "app.localhost": true,
			"127.0.0.1:8000": true, "192.0.2.7": true, "[::1]:8000": true, "[2001:db8::1]": true,
			"gateway.lan": true, "Gateway.LAN:80": true, "gateway.lan.": true, "a.example.com": true, "a.b.example.com:443": true, "balancer:8000": true,

			"evil.example": false, "evil.example:8000": false, "localhost.evil.example": false, "evillocalhost": false,
			"127.0.0.1.evil.example": false, "gateway.lan.evil.example": false, "x.gateway.lan": false, "gateway": false,
			"example.com": false, "evilexample.com": false, "127.0.0.1.nip.io": false, "2130706433": false, "[::1].evil.example": false,
		} {
			for _, r := range [][2]string{
				{"GET", "/subscribe?user=jack"},
				{"GET", "/users/jack/events"},
				{"GET", "/users/jack"},
				{"DELETE", "/users/jack/streams"},
				{"POST", "/publish"},
				{"GET", "/topics"},
				{"GET", "/topics/t/events"},
				{"GET", "/"},
				{"HEAD", "/topics"},
				{"OPTIONS", "/publish"},
				{"GET", "/nothing"},
			} {
				got := g.withHost(g.url, r[0], r[1], host)
				if (got.status != http.StatusMisdirectedRequest) != ok {
					t.Errorf("%s, %s %s for %s: %d", protocol, r[0], r[1], host, got.status)
				}
				if got.status == http.StatusMisdirectedRequest && r[0] == "GET" {
					if p := got.problem(t); !strings.Contains(p.Detail, "GATEWAY_HOSTS") {
						t.Errorf("the answer does not say what to do: %+v", p)
					}
				}
			}
		}
		g.h2()
	}
}

// Whoever probes and measures calls a replica by whatever name it has there, and learns nothing about anybody.
func TestHosts_LetsProbesThrough(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for _, path := range []string{"/healthz", "/readyz", "/version", "/metrics"} {
		for _, host := range []string{"gateway:8000", "gateway-0.gateway.default.svc", ""} {
			if got := g.withHost(g.url, "GET", path, host); got.status != http.StatusOK {
				t.Errorf("%s for %q: %d", path, host, got.status)
			}
		}
	}
}

func TestHosts_TakesAnyNameWithTokensOrWhereItIsSaid(t *testing.T) {
	for name, g := range map[string]*testGateway{
		"jwt": newTestGateway(t, newTestJWT(t), Options{}),
		"*":   newTestGateway(t, auth.None{}, Options{Hosts: []string{"*"}}),
	} {
		if got := g.withHost(g.url, "GET", "/topics", "gateway.example"); got.status == http.StatusMisdirectedRequest {
			t.Errorf("%s: refused for its name: %s", name, got.body)
		}
	}
}

// Nobody is asked on the operators' port, whoever is on the other: profiles are for those who call it by its address.
func TestHosts_KeepForeignNamesFromProfiles(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{Hosts: []string{"admin.lan"}})
	admin := newAdminServer(t, g.API)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline"} {
		for host, want := range map[string]int{"localhost": 200, "127.0.0.1": 200, "admin.lan": 200, "evil.example": 421} {
			if got := g.withHost(admin, "GET", path, host); got.status != want {
				t.Errorf("%s for %s: %d, want %d", path, host, got.status, want)
			}
		}
	}
	if got := g.withHost(admin, "GET", "/metrics", "gateway-admin:9000"); got.status != http.StatusOK {
		t.Errorf("metrics: %d", got.status)
	}
}
