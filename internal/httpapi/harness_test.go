package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/sse"
	"sse-gateway/internal/stream"
	"sse-gateway/internal/testkit"
)

// A testGateway is a surface on the embedded broker, served over real connections.
type testGateway struct {
	*API
	t      *testing.T
	url    string
	client *http.Client
	log    *testkit.Buffer
	routes chi.Routes
}

func newTestGateway(t *testing.T, who auth.Authenticator, opts Options) *testGateway {
	t.Helper()
	broker := memory.New(memory.Options{Retention: broker.Retention{Size: 1000}})
	g := newTestGatewayOn(t, broker, who, opts)
	testkit.WaitFor(t, "the hub is ready", func() bool { return g.hub.Ready() == nil })
	return g
}

func newTestGatewayOn(t *testing.T, broker broker.Broker, who auth.Authenticator, opts Options) *testGateway {
	t.Helper()
	log := &testkit.Buffer{}
	opts.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	hub := fanout.NewHub(broker, fanout.Options{Timeout: time.Second})
	streams, err := stream.New(stream.Options{QueueBytes: 256 << 10, QueueEvents: 1024, Heartbeat: time.Minute, Engine: true})
	if err != nil {
		t.Fatal(err)
	}
	api := New(hub, streams, who, opts)
	routes := api.Routes().(chi.Router)
	server := httptest.NewUnstartedServer(routes)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.ErrorLog = slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug)
	server.Start()
	transport := &http.Transport{}
	t.Cleanup(func() {
		api.Drain()
		streams.Drain(context.Background(), 0)
		transport.CloseIdleConnections()
		server.Close()
		if err := streams.Close(); err != nil {
			t.Error(err)
		}
		if err := hub.Close(); err != nil {
			t.Error(err)
		}
	})
	return &testGateway{API: api, t: t, url: server.URL, client: &http.Client{Transport: transport}, log: log, routes: routes}
}

// h2 makes the client speak HTTP/2 without TLS.
func (g *testGateway) h2() {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	g.t.Cleanup(transport.CloseIdleConnections)
	g.client = &http.Client{Transport: transport}
}

// An answered is an answer with its body read.
type answered struct {
	status int
	header http.Header
	body   string
	broken bool // it is a stream that has broken off
}

func (a answered) problem(t *testing.T) problem {
	t.Helper()
	var p problem
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("no problem: %d %s %q (%v)", a.status, a.header.Get("Content-Type"), a.body, err)
	}
	return p
}

// do sends a request. headers are name, value, name, value.
func (g *testGateway) do(method, path, body string, headers ...string) answered {
	g.t.Helper()
	response := g.open(method, path, strings.NewReader(body), headers...)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	broken := err != nil && response.Header.Get("Content-Type") == "text/event-stream"
	if err != nil && !broken {
		g.t.Fatal(err)
	}
	got := answered{response.StatusCode, response.Header, string(text), broken}
	g.conform(method, path, got)
	return got
}

func (g *testGateway) open(method, path string, body io.Reader, headers ...string) *http.Response {
	g.t.Helper()
	request, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := g.client.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	return response
}

// publish publishes one event and returns its id.
func (g *testGateway) publish(body string, headers ...string) string {
	g.t.Helper()
	got := g.do(http.MethodPost, "/publish", body, headers...)
	var id idAnswer
	if err := json.Unmarshal([]byte(got.body), &id); err != nil || got.status != http.StatusOK || id.ID == "" {
		g.t.Fatalf("publish %s: %d %s", body, got.status, got.body)
	}
	return id.ID
}

// A testStream is an open stream.
type testStream struct {
	*sse.Decoder
	t        *testing.T
	response *http.Response
}

// subscribe opens a stream and reads ready.
func (g *testGateway) subscribe(query string, headers ...string) (*testStream, sse.Event) {
	g.t.Helper()
	s := g.stream(query, headers...)
	ready := s.next()
	if ready.Type != "ready" {
		g.t.Fatalf("the first event is %+v", ready)
	}
	return s, ready
}

func (g *testGateway) stream(query string, headers ...string) *testStream {
	g.t.Helper()
	response := g.open(http.MethodGet, "/subscribe?"+query, http.NoBody, headers...)
	g.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		g.t.Fatalf("subscribe: %s", response.Status)
	}
	return &testStream{sse.NewDecoder(response.Body), g.t, response}
}

func (s *testStream) next() sse.Event {
	s.t.Helper()
	event, err := s.Next()
	if err != nil {
		s.t.Fatalf("next event: %v", err)
	}
	s.conform(event)
	return event
}

func (s *testStream) close() { _ = s.response.Body.Close() }

const testKey = "a secret of more than thirty-two bytes"

// newTestJWT checks tokens that are signed with testKey.
func newTestJWT(t *testing.T) *auth.JWT {
	t.Helper()
	who, err := auth.NewJWT(t.Context(), auth.JWTOptions{Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// bearer is the header of a token.
func bearer(t *testing.T, grant auth.Grant) []string {
	t.Helper()
	return []string{"Authorization", "Bearer " + mint(t, grant)}
}

func mint(t *testing.T, grant auth.Grant) string {
	t.Helper()
	if grant.Lifetime == 0 {
		grant.Lifetime = time.Hour
	}
	token, err := auth.Mint(auth.JWTOptions{Key: testKey}, grant)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// newAdminServer serves the routes of the operators' port, and returns its URL.
func newAdminServer(t *testing.T, api *API) string {
	t.Helper()
	server := httptest.NewServer(api.AdminRoutes())
	t.Cleanup(server.Close)
	return server.URL
}
