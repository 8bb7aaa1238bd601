package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
)

// dial connects to the gateway and sends text as it is.
func (g *testGateway) dial(text string) *net.TCPConn {
	g.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
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
		waitFor(t, "both have been answered", func() bool { return answeredRequests() == 2*(i+1) })
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
	waitFor(t, "it has been answered", func() bool { return answeredRequests() > before })
	if log := g.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "status=500") {
		t.Errorf("logged:\n%s", log)
	}
}
