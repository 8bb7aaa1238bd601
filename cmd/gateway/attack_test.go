package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sse-gateway/internal/testkit"
)

func TestRun_RefusesHugeHeads(t *testing.T) {
	r := startRun(t)
	url := r.url()
	for name, request := range map[string]string{
		"100,000 topics": "GET /subscribe?topics=" + strings.Repeat("ab|", 100_000) + "x HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"1 MB token":     "GET /subscribe?topics=a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"1 MB cookie":    "GET /subscribe?topics=a HTTP/1.1\r\nHost: localhost\r\nCookie: gateway_token=" + strings.Repeat("x", 1<<20) + "\r\n\r\n",
	} {
		conn, err := testkit.Dial(strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(conn, request) }()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: got %v, %v", name, response, err)
		}
		if err == nil {
			_ = response.Body.Close()
		}
		_ = conn.Close()
	}
}

// What makes sense must fit: as many topics as are allowed, their names as long as they may be and percent-encoded.
func TestRun_TakesTheLongestHeadThatMakesSense(t *testing.T) {
	r := startRun(t)
	var query strings.Builder
	for i := range 100 {
		query.WriteString("topic=" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + strings.Repeat("%C3%A4", 126) + "&")
	}
	url := r.url()
	response, err := r.get(url + "/subscribe?" + query.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Errorf("got %s", response.Status)
	}
}

func TestRun_IsNotHeldUpByThoseWhoDawdle(t *testing.T) {
	r := startRun(t)
	url := r.url()
	addr := strings.TrimPrefix(url, "http://")
	for i := range 300 {
		conn, err := testkit.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		request := "GET /subscribe?topics=robot HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
		if i%2 == 0 {
			request = "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n{"
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if _, stream := r.subscribe(url); stream.Close() != nil || time.Since(began) > 2*time.Second {
		t.Errorf("a stream opened after %s", time.Since(began))
	}
}
