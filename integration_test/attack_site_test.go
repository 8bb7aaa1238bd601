package integration_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
)

// An issuer signs tokens that a gateway with its setting accepts.
type issuer struct {
	method  jwt.SigningMethod
	key     any
	setting string // GATEWAY_JWT_…=…
	secret  string // must not be in a log; empty: there is none
	always  jwt.MapClaims
}

func newSecretIssuer() *issuer {
	secret := rand.Text() + rand.Text()
	return &issuer{method: jwt.SigningMethodHS256, key: []byte(secret), setting: "GATEWAY_JWT_KEY=" + secret, secret: secret}
}

// token signs claims, to which it adds iat, an exp in an hour, and what its tokens always have. A nil claim is left out.
func (i *issuer) token(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	all := maps.Clone(i.always)
	if all == nil {
		all = jwt.MapClaims{}
	}
	maps.Copy(all, claims)
	return sign(t, i.method, i.key, complete(all), nil)
}

// bearer is a token as a line of a request's head.
func (i *issuer) bearer(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	return "Authorization: Bearer " + i.token(t, claims)
}

func complete(claims jwt.MapClaims) jwt.MapClaims {
	all := jwt.MapClaims{"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range claims {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

func sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.Claims, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// A site is what is attacked: replicas, and a subscriber on each who must not be disturbed.
type site struct {
	lab.Replicas
	bystanders  []*lab.Subscriber
	credentials []string // of who publishes to them
	published   int
}

// attackable starts a site of n replicas. With an issuer they have AUTH=jwt. They log all that they ever would, and in
// the end there must be no token and no key in it.
func attackable(t *testing.T, n int, who *issuer, env ...string) *site {
	t.Helper()
	env = append(env, "GATEWAY_LOG_LEVEL=debug", "GATEWAY_HOSTS=gateway")
	s := &site{}
	if who != nil {
		env = append(env, "GATEWAY_AUTH=jwt", who.setting)
		s.credentials = []string{who.bearer(t, jwt.MapClaims{"sub": "bystander", "subscribe": []string{"alive"}, "publish": []string{"alive"}})}
	}
	s.Replicas = startReplicas(t, n, env...)
	for _, replica := range s.Replicas {
		keepsSecrets(t, replica, who)
		options := lab.SubscribeOptions{Bases: []string{replica.URL}, Topics: []string{"alive"}, Header: http.Header{}}
		for _, line := range s.credentials {
			name, value, _ := strings.Cut(line, ": ")
			options.Header.Set(name, value)
		}
		bystander := lab.Subscribe(t, options)
		bystander.WaitReady(t)
		s.bystanders = append(s.bystanders, bystander)
	}
	return s
}

// keepsSecrets looks through a replica's log at the end of the test. Every token begins with eyJ, the base64 of {".
func keepsSecrets(t *testing.T, replica *lab.Gateway, who *issuer) {
	t.Helper()
	secrets := []string{"eyJ", "PRIVATE KEY", "access_token"}
	if who != nil && who.secret != "" {
		secrets = append(secrets, who.secret)
	}
	t.Cleanup(func() {
		for _, secret := range secrets {
			if log := replica.Log(); bytes.Contains(log, []byte(secret)) {
				t.Errorf("the log of %s holds %.12q…", replica.URL, secret)
			}
		}
	})
}

// unharmed publishes on every replica, and waits until every bystander has got it over the stream it has had all along.
func (s *site) unharmed(t *testing.T) {
	t.Helper()
	for _, replica := range s.Replicas {
		s.published++
		body := fmt.Sprintf(`{"topic":"alive","data":%d}`, s.published)
		if got := ask(t, replica, request{method: "POST", target: "/publish", header: s.credentials, body: body}); got.status != http.StatusOK {
			t.Fatalf("afterwards %s answers a publish with %d: %s", replica.URL, got.status, got.body)
		}
	}
	for i, bystander := range s.bystanders {
		events := bystander.WaitFired(t, s.published)
		last := events[len(events)-1].Envelope(t)
		if state := bystander.State(); state.Connects != 1 || len(events) != s.published || string(last.Data) != fmt.Sprint(s.published) {
			t.Errorf("the bystander on %s has had %d connections and %d events of %d, the last %s",
				s.Replicas[i].URL, state.Connects, len(events), s.published, last.Data)
		}
	}
}

// A request is sent as it is written here: most attacks are what clients of the standard library would not send.
type request struct {
	method string // empty: GET
	host   string // empty: gateway
	target string
	header []string // lines
	body   string
	from   string // an address of 127.0.0.0/8; empty: 127.0.0.1
}

func (r request) String() string {
	method, host := cmp.Or(r.method, http.MethodGet), cmp.Or(r.host, "gateway")
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, r.target, host)
	for _, line := range r.header {
		text.WriteString(line + "\r\n")
	}
	if r.body != "" {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(r.body))
	}
	return text.String() + "\r\n" + r.body
}

// A reply is an answer with its body; of a stream, the first block.
type reply struct {
	status int
	header http.Header
	body   string
	title  string // of the problem that it is
	detail string
}

// ask sends a request on a connection of its own.
func ask(t testing.TB, gateway *lab.Gateway, r request) reply {
	t.Helper()
	conn := dialFrom(t, gateway, r.from)
	defer conn.Close()
	return exchange(t, conn, r.String())
}

func dialFrom(t testing.TB, gateway *lab.Gateway, from string) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: wait}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := dialer.DialContext(t.Context(), "tcp", gateway.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(2 * wait))
	return conn
}

// exchange writes raw text to a connection and reads one answer. Who refuses something huge does not read all of it, so
// that writing may fail.
func exchange(t testing.TB, conn net.Conn, raw string) reply {
	t.Helper()
	go func() { _, _ = io.WriteString(conn, raw) }()
	got, err := readReply(bufio.NewReader(conn))
	if err != nil {
		t.Fatalf("no answer to %.100q: %v", raw, err)
	}
	return got
}

func readReply(from *bufio.Reader) (reply, error) {
	resp, err := http.ReadResponse(from, nil) //nolint:bodyclose // closing would read a stream to its end
	if err != nil {
		return reply{}, err
	}
	got := reply{status: resp.StatusCode, header: resp.Header}
	kind := resp.Header.Get("Content-Type")
	if kind == "text/event-stream" {
		got.body, err = readBlock(resp.Body)
		return got, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return got, fmt.Errorf("read the body of a %s: %w", resp.Status, err)
	}
	got.body = string(body)
	if kind != "application/problem+json" {
		return got, nil
	}
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal(body, &problem); err != nil || problem.Status != got.status || problem.Type == "" || problem.Detail == "" {
		return got, fmt.Errorf("a %s with the problem %s: %w", resp.Status, body, err)
	}
	got.title, got.detail = problem.Title, problem.Detail
	return got, nil
}

func readBlock(body io.Reader) (string, error) {
	lines := bufio.NewReader(body)
	var block strings.Builder
	for {
		line, err := lines.ReadString('\n')
		block.WriteString(line)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) && strings.HasPrefix(block.String(), ": not now: "):
			return block.String(), nil // a refusal, which breaks off
		case err != nil || line == "\n":
			return block.String(), err
		}
	}
}

// titles of problems by their status.
var titles = map[int]string{
	http.StatusBadRequest:            "Invalid request",
	http.StatusUnauthorized:          "Not authenticated",
	http.StatusForbidden:             "Not allowed",
	http.StatusNotFound:              "Not found",
	http.StatusMethodNotAllowed:      "Method not allowed",
	http.StatusRequestEntityTooLarge: "Too large",
	http.StatusUnsupportedMediaType:  "Unsupported encoding",
	http.StatusTooManyRequests:       "Too many events",
}

// An attack is a request and what it is to be answered with.
type attack struct {
	name string
	request
	status int
	says   string // a part of the problem's detail, or byServer
}

// byServer stands for the answers of net/http itself, which has no problems to tell.
const byServer = "(answered before any handler)"

// repels makes attacks on the replicas in turn, and checks the answers and that nobody else notices.
func (s *site) repels(t *testing.T, attacks []attack) {
	t.Helper()
	for i, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			got := ask(t, s.Replicas[i%len(s.Replicas)], a.request)
			title, says := titles[a.status], a.says
			if says == byServer {
				title, says = "", ""
			}
			if got.status != a.status || !strings.EqualFold(got.title, title) || !strings.Contains(got.detail, says) {
				t.Errorf("status %d, want %d %q with %q: %s", got.status, a.status, title, says, got.body)
			}
			if strings.Contains(got.body, "eyJ") {
				t.Errorf("the answer repeats a token: %s", got.body)
			}
			s.unharmed(t)
		})
	}
}
