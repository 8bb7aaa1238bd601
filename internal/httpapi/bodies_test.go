package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/testkit"
)

// dial connects to the gateway and sends text as it is.
func (g *testGateway) dial(text string) *net.TCPConn {
	g.t.Helper()
	conn, err := testkit.Dial(strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		g.t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

const postChunked = "POST /publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"

// What a client does wrong, or that it goes, is no mistake of the gateway's.
func TestPublish_MalformedChunksAreTheClientsFault(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for name, body := range map[string]string{
		"no number":           "zz\r\n{}\r\n0\r\n\r\n",
		"no line break":       "2\r\n{}0\r\n\r\n",
		"a number too large":  "fffffffffffffffff\r\n",
		"a huge extension":    "2;" + strings.Repeat("x", 64<<10) + "\r\n{}\r\n0\r\n\r\n",
		"a malformed trailer": "2\r\n{}\r\n0\r\nno colon\r\n\r\n",
	} {
		response, err := http.ReadResponse(bufio.NewReader(g.dial(postChunked+body)), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", name, response.Status, text)
		}
	}
	if log := g.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("logged:\n%s", log)
	}
}

func TestPublish_ClientsThatGoAreNoError(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	answeredRequests := func() int { return strings.Count(g.log.String(), "msg=request ") }
	for i, kind := range []string{"application/json", "application/x-ndjson"} {
		head := fmt.Sprintf("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n{\"topic\"", kind)
		reset := g.dial(head)
		_ = reset.SetLinger(0)
		_ = reset.Close()
		_ = g.dial(head).Close()
		testkit.WaitFor(t, "both have been answered", func() bool { return answeredRequests() == 2*(i+1) })
	}
	before := answeredRequests()
	g.h2()
	ctx, cancel := context.WithCancel(t.Context())
	body, feed := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/publish", body)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.WriteString(feed, `{"topic"`)
		cancel() // RST_STREAM
	}()
	if response, err := g.client.Do(request); err == nil {
		_ = response.Body.Close()
	}
	testkit.WaitFor(t, "it has been answered", func() bool { return answeredRequests() > before })
	if log := g.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "status=500") {
		t.Errorf("logged:\n%s", log)
	}
}

// What needs no body is decided before one is waited for: else a token that may do nothing could have bodies held in memory.
func TestBodies_RightsComeFirst(t *testing.T) {
	g := newTestGateway(t, newTestJWT(t), Options{})
	var asked []asked
	follower := "Authorization: " + bearer(t, auth.Grant{Subject: "jack", Subscribe: []string{"*"}})[1] + "\r\n"
	for name, test := range map[string]struct {
		header string
		want   int
	}{
		"no token":         {"", http.StatusUnauthorized},
		"a bad one":        {"Authorization: Bearer x.y.z\r\n", http.StatusUnauthorized},
		"no right":         {follower, http.StatusForbidden},
		"no right, lines":  {follower + "Content-Type: application/x-ndjson\r\n", http.StatusForbidden},
		"a right to admin": {"Authorization: " + bearer(t, auth.Grant{Subject: "root", Admin: true})[1] + "\r\n", http.StatusForbidden},
	} {
		for _, framing := range []string{"Content-Length: 8000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7a1200\r\n"} {
			asked = append(asked, g.ask(name, "POST /publish HTTP/1.1\r\nHost: localhost\r\n"+test.header+framing+`{"topic":"robot","data":"`, test.want))
			if name != "a right to admin" { // which is the one to close a topic
				asked = append(asked, g.ask(name+", close", "POST /topics/robot/close HTTP/1.1\r\nHost: localhost\r\n"+test.header+framing+`{"data":"`, test.want))
			}
		}
	}
	for _, a := range asked {
		if got := a.status(t); got != a.want {
			t.Errorf("%s: %d, want %d", a.what, got, a.want)
		}
	}
}

// An asked is a request whose answer has not been read.
type asked struct {
	what string
	conn *net.TCPConn
	want int
}

// ask sends a request; the answer must begin before a body would be given up.
func (g *testGateway) ask(what, text string, want int) asked {
	conn := g.dial(text)
	_ = conn.SetReadDeadline(time.Now().Add(bodyGrace * 3 / 4))
	return asked{what, conn, want}
}

// status reads the answer's status; 0: there is no answer.
func (a asked) status(t *testing.T) int {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(a.conn), nil)
	if err != nil {
		t.Errorf("%s: %v", a.what, err)
		return 0
	}
	_ = a.conn.Close() // first: the body of a stream is read to its end when it is closed
	_ = response.Body.Close()
	return response.StatusCode
}

// A body that comes slowly, but as fast as it must, is answered however long it took.
func TestBodies_SlowOnesAreAnswered(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{})
			g.answerTime = 300 * time.Millisecond
			if protocol == "HTTP/2" {
				g.h2()
			}
			body, feed := io.Pipe()
			go func() {
				pause := time.NewTicker(10 * time.Millisecond)
				defer pause.Stop()
				_, _ = io.WriteString(feed, `{"topic":"robot","data":"`)
				for range 100 {
					<-pause.C
					_, _ = io.WriteString(feed, strings.Repeat("x", 100))
				}
				_, _ = io.WriteString(feed, `"}`)
				_ = feed.Close()
			}()
			response := g.open(http.MethodPost, "/publish", body)
			text, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || response.StatusCode != http.StatusOK {
				t.Errorf("got %s %s, %v", response.Status, text, err)
			}
		})
	}
}

// bodyTimes are the deadlines that a body asks of its connection.
type bodyTimes struct{ read, write time.Time }

func (d *bodyTimes) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *bodyTimes) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// What came fast earns no rest: else 8 MB less a byte could be held for minutes.
func TestBodies_CreditIsCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &bodyTimes{}
		b := newPacedBody(io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 8<<20)), iotest.ErrReader(os.ErrDeadlineExceeded))), conn, bodyGrace, answerTime)
		if got := time.Until(conn.read); got != bodyGrace {
			t.Errorf("the first byte has %s", got)
		}
		n, _ := io.Copy(io.Discard, b)
		if got := time.Until(conn.read); n != 8<<20 || got > bodyGrace {
			t.Errorf("after %d bytes the next one has %s", n, got)
		}
		time.Sleep(time.Minute)
		_, _ = b.Read(make([]byte, 1))
		if got := time.Until(conn.write); got < answerTime {
			t.Errorf("an answer about the body has %s", got)
		}
	})
}

// A route that takes no body waits for none, neither before its answer nor after its stream.
func TestBodies_NoneIsWaitedForWhereNoneIsTaken(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	var withheld, sent []asked
	for _, route := range []string{"GET /subscribe?topics=robot", "GET /topics", "POST /topics/robot/stop", "DELETE /users/jack/streams", "GET /", "POST /nothing", "PUT /publish"} {
		head := route + " HTTP/1.1\r\nHost: localhost\r\n"
		for name, test := range map[string]struct {
			body string
			want int
		}{
			"withheld": {"Content-Length: 10\r\n\r\n", http.StatusRequestTimeout},
			"half":     {"Content-Length: 10\r\n\r\n{", http.StatusRequestTimeout},
			"chunked":  {"Transfer-Encoding: chunked\r\n\r\n", http.StatusRequestTimeout},
			"huge":     {"Content-Length: 100000000\r\n\r\n" + strings.Repeat("x", 2*strayBody), http.StatusRequestEntityTooLarge},
		} {
			withheld = append(withheld, g.ask(route+", "+name, head+test.body, test.want))
		}
		sent = append(sent, g.ask(route, head+"Content-Length: 2\r\n\r\n{}", 0))
	}
	for _, a := range withheld {
		if got := a.status(t); got != a.want {
			t.Errorf("%s: %d, want %d", a.what, got, a.want)
		}
	}
	for _, a := range sent {
		if got := a.status(t); got == http.StatusRequestTimeout || got == http.StatusRequestEntityTooLarge {
			t.Errorf("%s, with a body that is there: %d", a.what, got)
		}
	}
	if open := g.streams.Stats().Open; open > 1 {
		t.Errorf("%d streams are open for clients that have not sent their request", open)
	}
}
