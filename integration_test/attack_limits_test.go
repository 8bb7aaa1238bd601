package integration_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
)

// hold opens a stream and keeps it until the returned function is called, or the test ends. ok tells whether it is open.
func hold(t *testing.T, gateway *lab.Gateway, r request) (got reply, ok bool, release func()) {
	t.Helper()
	conn := dialFrom(t, gateway, r.from)
	t.Cleanup(func() { _ = conn.Close() })
	got = exchange(t, conn, r.String())
	return got, strings.Contains(got.body, "event: ready"), func() { _ = conn.Close() }
}

// checkLater holds an answer against the one of a limit: a stream that breaks off and says when to come back. An
// EventSource would not come back after any other status.
func checkLater(t *testing.T, what string, got reply, why string) {
	t.Helper()
	retry := regexp.MustCompile(`(?m)^retry: (\d+)$`).FindStringSubmatch(got.body)
	if got.status != http.StatusOK || !strings.HasPrefix(got.body, ": not now: "+why) || retry == nil {
		t.Fatalf("%s: %d %q", what, got.status, got.body)
	}
	if ms, _ := strconv.Atoi(retry[1]); ms < 15_000 || ms > 45_000 {
		t.Errorf("%s: retry is %d ms, want 30 s ± 50 %%", what, ms)
	}
}

func TestAttack_MoreStreamsThanAllowed(t *testing.T) {
	s := attackable(t, 1, nil, "GATEWAY_MAX_STREAMS=8", "GATEWAY_MAX_STREAMS_PER_USER=2", "GATEWAY_MAX_STREAMS_PER_IP=3")
	gateway := s.Replicas[0]
	open := func(from, query string) (reply, bool, func()) {
		return hold(t, gateway, request{target: "/subscribe?" + query, from: from})
	}
	// One of the 8 places is the bystander's.
	_, _, release := open("127.0.0.2", "user=jack")
	if _, ok, _ := open("127.0.0.3", "user=jack"); !ok {
		t.Fatal("jack's second stream is not open")
	}
	got, _, _ := open("127.0.0.4", "user=jack")
	checkLater(t, "jack's third stream", got, "the user's limit")
	for range 2 {
		if _, ok, _ := open("127.0.0.3", "topics=t"); !ok {
			t.Fatal("a stream within the limit of its address is not open")
		}
	}
	got, _, _ = open("127.0.0.3", "topics=t")
	checkLater(t, "the fourth stream of an address", got, "the address's limit")
	for i := range 3 {
		if _, ok, _ := open(fmt.Sprintf("127.0.0.%d", 5+i), "topics=t"); !ok {
			t.Fatalf("stream %d of 8 is not open", 6+i)
		}
	}
	got, _, _ = open("127.0.0.9", "topics=t")
	checkLater(t, "the ninth stream", got, "the limit of open streams")
	// What is refused takes nothing, what ends gives its place back.
	release()
	lab.Eventually(t, wait, func() error {
		got, ok, _ := open("127.0.0.4", "user=jack")
		if !ok {
			return fmt.Errorf("jack's place is not free: %s", got.body)
		}
		return nil
	})
	s.unharmed(t)
}

const victim, attacker, proxy = "127.0.0.2", "127.0.0.3", "127.0.0.4"

// insist opens streams and publishes under many invented addresses, and returns how often that worked.
func insist(t *testing.T, gateway *lab.Gateway, from string, header func(claim string) []string) (open, sent int) {
	t.Helper()
	for _, claim := range []string{victim, "10.0.0.1", "::1", victim + ", " + proxy, "garbage", "", "unknown", attacker + ":80", "2001:db8::1"} {
		if _, ok, _ := hold(t, gateway, request{target: "/subscribe?topics=t", from: from, header: header(claim)}); ok {
			open++
		}
		r := request{method: "POST", target: "/publish", body: event, from: from, header: header(claim)}
		switch got := ask(t, gateway, r); got.status {
		case http.StatusOK:
			sent++
		case http.StatusTooManyRequests:
			after, _ := strconv.Atoi(got.header.Get("Retry-After"))
			if got.title != titles[got.status] || after < 1 || after > 100 {
				t.Errorf("429 with Retry-After %q: %s", got.header.Get("Retry-After"), got.body)
			}
		default:
			t.Errorf("publish: %d %s", got.status, got.body)
		}
	}
	return open, sent
}

// Who invents addresses must neither have more than one client's share, nor use up anybody else's.
func TestAttack_ForgedForwardedFor(t *testing.T) {
	limits := []string{"GATEWAY_MAX_STREAMS_PER_IP=2", "GATEWAY_PUBLISH_RATE=0.01", "GATEWAY_PUBLISH_BURST=5"}
	// The client's part of the header, and what the proxy it comes through adds on the right.
	direct := func(claim string) []string { return []string{"X-Forwarded-For: " + claim} }
	behind := func(claim string) []string { return []string{"X-Forwarded-For: " + claim + ", " + attacker} }
	ownLine := func(claim string) []string {
		return []string{"X-Forwarded-For: " + claim, "X-Forwarded-For: " + attacker, "X-Real-IP: " + victim, "Forwarded: for=" + victim}
	}
	tests := []struct {
		name, trusted, from string
		header              func(claim string) []string
	}{
		{"no proxy is trusted", "", attacker, direct},
		{"the attacker is no trusted proxy", proxy, attacker, direct},
		{"through a trusted proxy", proxy, proxy, behind},
		{"through a trusted proxy that adds a line", proxy, proxy, ownLine},
		{"through a trusted network", "127.0.0.4/32,10.0.0.0/8", proxy, behind},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := attackable(t, 1, nil, append(limits, "GATEWAY_TRUSTED_PROXIES="+tt.trusted)...)
			gateway := s.Replicas[0]
			open, sent := insist(t, gateway, tt.from, tt.header)
			if open != 2 || sent != 5 {
				t.Errorf("the attacker has %d streams and %d publishes, want 2 and 5", open, sent)
			}
			// The victim's share is untouched, whichever way it comes.
			for range 2 {
				if got, ok, _ := hold(t, gateway, request{target: "/subscribe?topics=t", from: victim}); !ok {
					t.Errorf("the victim's stream: %d %s", got.status, got.body)
				}
			}
			if got := ask(t, gateway, request{method: "POST", target: "/publish", from: victim, body: list(5, event)}); got.status != http.StatusOK {
				t.Errorf("the victim's publish: %d %s", got.status, got.body)
			}
			s.unharmed(t)
		})
	}
}

// The rate is that of the token's subject, wherever it comes from and in whatever form, and nobody else's.
func TestAttack_PublishingTooFast(t *testing.T) {
	who := newSecretIssuer()
	s := attackable(t, 1, who, "GATEWAY_PUBLISH_RATE=0.5", "GATEWAY_PUBLISH_BURST=10")
	post := func(body, from string, claims jwt.MapClaims) reply {
		return ask(t, s.Replicas[0], request{method: "POST", target: "/publish", body: body, from: from, header: []string{who.bearer(t, claims)}})
	}
	jack := jwt.MapClaims{"sub": "jack", "publish": []string{"*"}}
	array := list(10, event)
	if got := post(array, "", jack); got.status != http.StatusOK {
		t.Fatalf("a burst: %d %s", got.status, got.body)
	}
	for i, body := range []string{`{"topic":"t","data":1}`, `{"topics":["t","u"],"data":1}`, array, `{"topic":"forbidden","data":1}`} {
		jack["jti"] = strconv.Itoa(i) // another token of the same subject
		got := post(body, fmt.Sprintf("127.0.0.%d", 2+i), jack)
		after, _ := strconv.Atoi(got.header.Get("Retry-After"))
		if got.status != http.StatusTooManyRequests || got.title != titles[got.status] || after < 1 || after > 20 {
			t.Errorf("%s: %d, Retry-After %q, %s", body, got.status, got.header.Get("Retry-After"), got.body)
		}
	}
	if got := post(array, "", jwt.MapClaims{"sub": "jill", "publish": []string{"*"}}); got.status != http.StatusOK {
		t.Errorf("jill: %d %s", got.status, got.body)
	}
	// Lines are not refused but held back: the first that come together pass, and are worked off before any more do.
	const together = 256
	if published := endlessLines(t, s.Replicas[0], who.bearer(t, jwt.MapClaims{"sub": "joe", "publish": []string{"*"}})); published > together {
		t.Errorf("%d lines were published within a second", published)
	}
	s.unharmed(t)
}

// endlessLines sends lines for as long as they are taken, for a second, and returns how many have been answered.
func endlessLines(t *testing.T, gateway *lab.Gateway, header string) int {
	t.Helper()
	conn := dialFrom(t, gateway, "")
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(conn, "POST /publish HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Type: application/x-ndjson\r\nContent-Length: 999999999\r\n\r\n", header)
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		endless(conn, []byte(`{"topic":"t","data":1}`+"\n"))
	}()
	answers := bufio.NewScanner(conn)
	n := 0
	for answers.Scan() {
		if strings.Contains(answers.Text(), `"id"`) {
			n++
		}
	}
	_ = conn.Close()
	<-writing
	return n
}

// endless writes a text again and again until the connection fails.
func endless(conn net.Conn, text []byte) {
	for {
		if _, err := conn.Write(text); err != nil {
			return
		}
	}
}
