package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/testkit"
)

// A lineStream is an NDJSON publish under way.
type lineStream struct {
	t       *testing.T
	feed    *io.PipeWriter
	answers *bufio.Reader
}

func (g *testGateway) publishLines(headers ...string) *lineStream {
	g.t.Helper()
	body, feed := io.Pipe()
	response := g.open(http.MethodPost, "/publish", body, append(headers, "Content-Type", "application/x-ndjson")...)
	g.t.Cleanup(func() {
		_ = feed.Close()
		_ = response.Body.Close()
	})
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/x-ndjson" {
		g.t.Fatalf("got %s %v", response.Status, response.Header)
	}
	return &lineStream{g.t, feed, bufio.NewReader(response.Body)}
}

func (s *lineStream) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.feed, text); err != nil {
		s.t.Fatal(err)
	}
}

// expect reads an answer and compares its beginning.
func (s *lineStream) expect(want string) {
	s.t.Helper()
	got, err := s.answers.ReadString('\n')
	if err != nil || !strings.HasPrefix(got, want) {
		s.t.Errorf("got %q (%v), want %q…", got, err, want)
	}
}

func (s *lineStream) expectEnd() {
	s.t.Helper()
	if got, err := s.answers.ReadString('\n'); err != io.EOF {
		s.t.Errorf("got %q, %v, want the end", got, err)
	}
}

func TestPublishLines_AnswersEachLineAtOnce(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{MaxBodyBytes: 1 << 10})
			if protocol == "HTTP/2" {
				g.h2()
			}
			s := g.publishLines()
			s.send("{\"topic\":\"robot\",\"data\":1}\n")
			s.expect(`{"id":"`)
			s.send("{\"topic\":\"robot\"")
			s.send(",\"data\":2}\r\n\n{\"topic\":\"robot\"}\n[]\n{\"topics\":[\"a\",\"robot\"],\"data\":3}\n")
			s.expect(`{"id":"`)
			s.expect(`{"type":"urn:sse-gateway:problem:invalid-request","title":"Invalid request","status":400,"detail":"data: missing"}`)
			s.expect(`{"type":"urn:sse-gateway:problem:invalid-request","title":"Invalid request","status":400,"detail":"body: the array is empty"}`)
			s.expect(`{"results":[{"id":"`)
			s.send(strings.Repeat("x", 5000))
			s.expect(`{"type":"urn:sse-gateway:problem:too-large","title":"Too large","status":413`)
			s.send("x\n{\"topic\":\"robot\",\"data\":4}") // its end is that of the body
			_ = s.feed.Close()
			s.expect(`{"id":"`)
			s.expectEnd()
			got := g.do(http.MethodGet, "/topics/robot/events", "")
			if n := strings.Count(got.body, `"data":`); n != 4 {
				t.Errorf("got %d events: %s", n, got.body)
			}
		})
	}
}

// Many HTTP clients read no answer before they have sent everything.
func TestPublishLines_CanAnswerErrorsOnly(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	const lines = 200_000 // whose answers would be more than the buffers of two sockets hold
	conn, err := testkit.Dial(strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	_ = conn.SetDeadline(time.Now().Add(50 * time.Second))
	out := bufio.NewWriterSize(conn, 64<<10)
	_, _ = fmt.Fprintf(out, "POST /publish?answers=errors HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	body := httputil.NewChunkedWriter(out)
	good := []byte("{\"topic\":\"t\",\"data\":1}\n")
	for i := 1; i <= lines; i++ {
		line := good
		switch i {
		case 3:
			line = []byte("\n{}\n")
		case lines:
			line = []byte("{\"topics\":[\"a\",\"b\"],\"data\":1}\n")
		case lines - 1:
			line = []byte("{\"topics\":[\"a\",\"@b\"],\"data\":1}\n")
		}
		if _, err := body.Write(line); err != nil {
			answer, _ := io.ReadAll(conn)
			t.Fatalf("line %d: %v, after the answer %.1000s", i, err, answer)
		}
	}
	_ = body.Close()
	_, _ = out.WriteString("\r\n")
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	want := fmt.Sprintf(`{"line":3,"type":"urn:sse-gateway:problem:invalid-request","title":"Invalid request","status":400,"detail":"topic: missing, and no user, topics or users either"}
{"line":%d,"type":"urn:sse-gateway:problem:invalid-request","title":"Invalid request","status":400,"detail":"topics[1]: a name that starts with \"@\" is reserved for personal events"}
{"lines":%d,"failed":2}
`, lines-1, lines)
	if err != nil || strings.ReplaceAll(string(got), `\"`, `"`) != strings.ReplaceAll(want, `\"`, `"`) {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestPublishLines_KeepsOrderUnderLoad(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	s := g.publishLines()
	const lines = 20_000
	go func() {
		out := bufio.NewWriterSize(s.feed, 64<<10)
		for i := range lines {
			_, _ = fmt.Fprintf(out, "{\"topic\":\"t%d\",\"data\":%d}\n", i%7, i)
		}
		_ = out.Flush()
		_ = s.feed.Close()
	}()
	last := ""
	for i := range lines {
		line, err := s.answers.ReadString('\n')
		id := strings.TrimSuffix(strings.TrimPrefix(line, `{"id":"`), "\"}\n")
		if err != nil || (len(id) == len(last) && id <= last) || len(id) < 15 {
			t.Fatalf("answer %d is %q after %q (%v)", i, line, last, err)
		}
		last = id
	}
	s.expectEnd()
}

// The end of a token is of the wall clock, which can be set while its publisher is silent.
func TestPublishLines_EndByTheWallClock(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{})
	var ahead atomic.Int64
	g.clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s := g.publishLines(bearer(t, auth.Grant{Publish: []string{"robot"}, Lifetime: time.Hour})...)
	ahead.Store(int64(30 * time.Minute))
	s.send("{\"topic\":\"robot\",\"data\":1}\n")
	s.expect(`{"id":"`)
	ahead.Store(int64(time.Hour))
	s.expectEnd()
}

func TestPublishLines_EndsWhenTheGatewayDrains(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{})
			if protocol == "HTTP/2" {
				g.h2()
			}
			s := g.publishLines()
			s.send("{\"topic\":\"robot\",\"data\":1}\n{\"topic\"")
			s.expect(`{"id":"`)
			g.Drain()
			s.expectEnd()
		})
	}
}

func TestPublishLines_EndsWithTheToken(t *testing.T) {
	t.Parallel()
	g := newTestGateway(t, newTestJWT(t), Options{})
	s := g.publishLines(bearer(t, auth.Grant{Publish: []string{"robot"}, Lifetime: 2 * time.Second})...)
	s.send("{\"topic\":\"robot\",\"data\":1}\n{\"topic\":\"other\",\"data\":1}\n")
	s.expect(`{"id":"`)
	s.expect(`{"type":"urn:sse-gateway:problem:forbidden","title":"Not allowed","status":403,"detail":"topic: `)
	s.expect(`{"type":"urn:sse-gateway:problem:unauthenticated","title":"Not authenticated","status":401,"detail":"token: the token has expired"}`)
	s.expectEnd()
}

func TestPublishLines_HoldsBackWhoIsTooFast(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{PublishRate: 100, PublishBurst: 1})
	began := time.Now()
	got := g.do(http.MethodPost, "/publish", strings.Repeat("{\"topic\":\"robot\",\"data\":1}\n", 30), "Content-Type", "application/x-ndjson")
	if n := strings.Count(got.body, `{"id":`); n != 30 {
		t.Errorf("%d were published: %s", n, got.body)
	}
	// The batches after the first wait for those before them.
	got = g.do(http.MethodPost, "/publish", "{\"topic\":\"robot\",\"data\":1}\n", "Content-Type", "application/x-ndjson")
	if took := time.Since(began); took < 250*time.Millisecond || !strings.Contains(got.body, `{"id":`) {
		t.Errorf("took %s: %s", took, got.body)
	}
}

func TestPublishLines_WorksAsCurlSendsThem(t *testing.T) {
	for name, expect := range map[string]string{"at once": "", "when told to continue": "Expect: 100-continue\r\n"} {
		t.Run(name, func(t *testing.T) { publishLinesByHand(t, expect) })
	}
}

func publishLinesByHand(t *testing.T, expect string) {
	g := newTestGateway(t, auth.None{}, Options{})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	lines := bufio.NewReader(conn)
	read := func(want string) {
		t.Helper()
		if got, err := lines.ReadString('\n'); err != nil || !strings.Contains(got, want) {
			t.Fatalf("got %q (%v), want %q", got, err, want)
		}
	}
	write := func(text string) {
		t.Helper()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	write("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n" + expect + "\r\n")
	heads := []string{"HTTP/1.1 200 OK"}
	if expect != "" {
		heads = []string{"HTTP/1.1 100 Continue", "HTTP/1.1 200 OK"}
	}
	for _, head := range heads {
		read(head)
		for line := ""; line != "\r\n"; {
			if line, err = lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	event := "{\"topic\":\"robot\",\"data\":1}\n"
	for range 2 {
		write(fmt.Sprintf("%x\r\n%s\r\n", len(event), event))
		read("")      // the size of the chunk
		read(`{"id"`) // the answer
		read("\r\n")
	}
	write("0\r\n\r\n")
	read("0\r\n")
	read("\r\n")
	if expect != "" {
		return // net/http closes the connection
	}
	write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	read("HTTP/1.1 200 OK")
}

func TestPublishLines_LetsGoOfAClientThatHasGone(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	body, feed := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/publish", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := g.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = response.Body.Close()
	_ = feed.Close()
	testkit.WaitFor(t, "the request has ended", func() bool { return strings.Contains(g.log.String(), "path=/publish") })
}
