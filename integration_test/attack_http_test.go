package integration_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/integration_test/lab"
)

func TestAttack_MethodsAndPaths(t *testing.T) {
	admin := lab.FreeAddr(t)
	s := attackable(t, 1, nil, "GATEWAY_ADMIN_ADDR="+admin)
	const none, not = http.StatusNotFound, http.StatusMethodNotAllowed
	attacks := []attack{
		{"TRACE", request{method: "TRACE", target: "/", header: []string{"Cookie: gateway_token=x"}}, not, "takes only GET"},
		{"CONNECT to elsewhere", request{method: "CONNECT", target: "127.0.0.1:22"}, none, "nothing at"},
		{"CONNECT to a path", request{method: "CONNECT", target: "/subscribe"}, not, "takes only"},
		{"a method of one's own", request{method: "SUBSCRIBE", target: "/subscribe?topics=t"}, not, "takes only"},
		{"a method in small letters", request{method: "get", target: "/subscribe?topics=t"}, not, "takes only"},
		{"no method's characters", request{method: "G(T", target: "/"}, http.StatusBadRequest, byServer},
		{"GET to publish", request{target: "/publish?topic=t&data=1"}, not, "takes only POST"},
		{"GET to close", request{target: "/topics/t/close"}, not, "takes only POST"},
		{"PUT in disguise", request{method: "PUT", target: "/publish", header: []string{"X-HTTP-Method-Override: POST"}}, not, "takes only POST"},
		{"a topic without a name", request{target: "/topics//events"}, http.StatusBadRequest, "must not be empty"},
		{"a user without a name", request{target: "/users//events"}, http.StatusBadRequest, "must not be empty"},
		{"HTTP/3.0", request{target: "/ HTTP/3.0\r\nX: y\r\n\r\n"}, http.StatusHTTPVersionNotSupported, byServer},
	}
	for _, path := range []string{
		"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=30", "/debug/vars", "/metrics", "//metrics",
		"/metrics/", "/%6detrics/", "/healthz/../metrics", "/assets/../metrics", "/assets/..%2f..%2fmetrics", "/./metrics",
		"/assets/../../../../etc/passwd", "/assets/..%2f..%2f..%2fetc%2fpasswd", "/assets/%2e%2e/%2e%2e/web.go", "/assets/....//web.go",
		"/assets/..%5c..%5cweb.go", "/assets/%00", "/assets/main.js%00.css", "/assets/main.js/", "/assets/", "/assets/C:/x", "/assets", "/index.html",
		"/static/index.html", "/.env", "/.git/config", "/favicon.ico", "/topics/a/b", "/topics/", "/subscribe/",
	} {
		attacks = append(attacks, attack{path, request{target: path}, none, ""})
	}
	s.repels(t, attacks)
	// What is not on the public port is on the other one.
	for _, path := range []string{"/debug/pprof/", "/metrics", "/healthz"} {
		if status, _ := lab.Get(t, "http://"+admin+path); status != http.StatusOK {
			t.Errorf("%s on the admin port: %d", path, status)
		}
	}
	for _, path := range []string{"/subscribe?topics=t", "/topics", "/publish", "/", "/users/jack"} {
		if status, _ := lab.Get(t, "http://"+admin+path); status != none {
			t.Errorf("%s on the admin port: %d", path, status)
		}
	}
}

func TestAttack_PprofIsNowhereWithoutItsPort(t *testing.T) {
	attackable(t, 1, nil).repels(t, []attack{
		{"index", request{target: "/debug/pprof/"}, http.StatusNotFound, "nothing at"},
		{"profile", request{target: "/debug/pprof/profile?seconds=1"}, http.StatusNotFound, "nothing at"},
		{"command line", request{target: "/debug/pprof/cmdline"}, http.StatusNotFound, "nothing at"},
	})
}

const (
	posted   = "POST /publish HTTP/1.1\r\nHost: localhost\r\n"
	event    = `{"topic":"t","data":1}`
	smuggled = posted + "Content-Length: 31\r\n\r\n" + `{"topic":"smuggled","data":666}` + "\r\n\r\n"
)

// ambiguous are requests that two servers may see two ends of, and the status of the first answer; 0: any that is no
// success.
func ambiguous() map[string]struct {
	raw    string
	status int
} {
	return map[string]struct {
		raw    string
		status int
	}{
		"two lengths":                            {posted + "Content-Length: 22\r\nContent-Length: 80\r\n\r\n" + event + smuggled, 400},
		"a list of lengths":                      {posted + "Content-Length: 22, 80\r\n\r\n" + event + smuggled, 400},
		"a length with a sign":                   {posted + "Content-Length: +22\r\n\r\n" + event + smuggled, 400},
		"a length with a space in it":            {posted + "Content-Length: 2 2\r\n\r\n" + event + smuggled, 400},
		"a coding with a space before the colon": {posted + "Transfer-Encoding : chunked\r\nContent-Length: 22\r\n\r\n" + event + smuggled, 400},
		"an unknown coding":                      {posted + "Transfer-Encoding: xchunked\r\nContent-Length: 22\r\n\r\n" + event + smuggled, 501},
		"two codings":                            {posted + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled, 0},
		"a coding behind a tab":                  {posted + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + smuggled, 0},
		"a negative chunk":                       {posted + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + smuggled, 0},
		"a chunk beyond 64 bits":                 {posted + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + smuggled, 0},
		"a chunk with a bare line feed":          {posted + "Transfer-Encoding: chunked\r\n\r\n16\n" + event + "\n0\n\n" + smuggled, 0},
		"a chunk that is shorter than it says":   {posted + "Transfer-Encoding: chunked\r\n\r\n16\r\n" + event[:20] + "\r\n0\r\n\r\n", 0},
		"no host":                                {"GET / HTTP/1.1\r\n\r\n" + smuggled, 400},
		"two hosts":                              {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: y\r\n\r\n" + smuggled, 400},
		"a malformed host":                       {"GET / HTTP/1.1\r\nHost: a b/\x7f\r\n\r\n" + smuggled, 400},
		"a line without a colon":                 {"GET / HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n" + smuggled, 400},
		"NUL in a name":                          {"GET / HTTP/1.1\r\nHost: localhost\r\nX\x00: y\r\n\r\n" + smuggled, 400},
	}
}

// Whoever stands in front must see the same requests as the gateway.
func TestAttack_Smuggling(t *testing.T) {
	s := attackable(t, 1, nil)
	for name, tt := range ambiguous() {
		t.Run(name, func(t *testing.T) {
			conn := dialFrom(t, s.Replicas[0], "")
			defer conn.Close()
			got := exchange(t, conn, tt.raw)
			if got.status != tt.status && (tt.status != 0 || got.status < 400) {
				t.Errorf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
			// The rest of the connection belongs to nobody.
			if rest, _ := io.ReadAll(conn); strings.Contains(string(rest), `{"id"`) {
				t.Errorf("a second answer: %s", rest)
			}
			s.unharmed(t)
		})
	}
	s.smuggledNothing(t)
}

// Where a length and a coding are both said the coding counts (RFC 9112, section 6.3): what follows its end is the next
// request, whoever wrote it.
func TestAttack_CodingAndLength(t *testing.T) {
	s := attackable(t, 1, nil)
	conn := dialFrom(t, s.Replicas[0], "")
	defer conn.Close()
	fmt.Fprintf(conn, "%sTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n16\r\n%s\r\n0\r\n\r\nGET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", posted, event)
	answers := bufio.NewReader(conn)
	for _, want := range []int{http.StatusOK, http.StatusNotFound} {
		if got, err := readReply(answers); err != nil || got.status != want {
			t.Fatalf("got %d, %v, want %d", got.status, err, want)
		}
	}
	s.unharmed(t)
}

// What comes behind the request of a stream is nobody's request any more.
func TestAttack_RequestsBehindAStream(t *testing.T) {
	s := attackable(t, 1, nil)
	conn := dialFrom(t, s.Replicas[0], "")
	defer conn.Close()
	if got := exchange(t, conn, "GET /subscribe?topics=t HTTP/1.1\r\nHost: localhost\r\n\r\n"+smuggled); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	_, _ = io.WriteString(conn, strings.Repeat(smuggled, 1000))
	s.unharmed(t)
	s.smuggledNothing(t)
}

func (s *site) smuggledNothing(t *testing.T) {
	t.Helper()
	if got := ask(t, s.Replicas[0], request{target: "/topics/smuggled/events"}); !strings.HasPrefix(got.body, `{"events":[],"next":"0-0",`) {
		t.Errorf("something was smuggled: %s", got.body)
	}
}

// The Host header decides nothing but whose page is our own, and is never repeated.
func TestAttack_HostHeader(t *testing.T) {
	s := attackable(t, 1, nil)
	for _, head := range []string{
		"GET /nothing HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Original-URL: /metrics\r\nX-Rewrite-URL: /metrics\r\nConnection: close\r\n\r\n",
		"GET http://evil.example/nothing HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n",
		"GET http://evil.example:99999/nothing HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n",
		"GET /nothing HTTP/1.1\r\nHost: gateway\" onload=alert(1)\r\nConnection: close\r\n\r\n",
	} {
		conn := dialFrom(t, s.Replicas[0], "")
		got := exchange(t, conn, head)
		_ = conn.Close()
		if got.status != http.StatusMisdirectedRequest && got.status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", head, got.status, got.body)
		}
		if text := got.body + fmt.Sprint(got.header); strings.Contains(text, "evil") || strings.Contains(text, "onload") {
			t.Errorf("%q: the answer repeats it: %s", head, text)
		}
	}
	s.unharmed(t)
}

// Every answer tells browsers not to guess what it is, and not to pass its address on.
func TestAttack_HeadersOfEveryAnswer(t *testing.T) {
	s := attackable(t, 1, nil)
	requests := append(everyRoute(), request{target: "/"}, request{target: "/assets/main.js"}, request{target: "/nothing"}, request{method: "TRACE", target: "/"},
		request{target: "/healthz"}, request{target: "/metrics"}, request{method: "OPTIONS", target: "/publish"}, request{target: "/subscribe"})
	for _, r := range requests {
		got := ask(t, s.Replicas[0], r)
		if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s %s: %v", r.method, r.target, got.header)
		}
		if strings.Contains(got.header.Get("Content-Type"), "html") != (r.target == "/" && r.method == "") {
			t.Errorf("%s %s is %s", r.method, r.target, got.header.Get("Content-Type"))
		}
		if server := got.header.Get("Server"); server != "" {
			t.Errorf("%s %s names its server: %s", r.method, r.target, server)
		}
	}
}
