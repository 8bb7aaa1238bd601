package integration_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
	"sse-gateway/internal/testkit"
)

// A crawler is a connection over which something comes very slowly.
type crawler struct {
	what string
	conn net.Conn
	drip string // what comes each time
}

// crawlers opens n connections with the beginning of a request.
func crawlers(t *testing.T, gateway *lab.Gateway, n int, what, beginning, drip string) []crawler {
	t.Helper()
	all := make([]crawler, n)
	for i := range all {
		conn, err := testkit.Dial(gateway.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, beginning); err != nil {
			t.Fatal(err)
		}
		all[i] = crawler{what, conn, drip}
	}
	return all
}

// crawl lets a connection drip until the gateway closes it, and returns an error if it does not before the deadline.
func (c crawler) crawl(deadline time.Time) error {
	answer := bufio.NewReader(c.conn)
	for time.Now().Before(deadline) {
		if _, err := io.WriteString(c.conn, c.drip); err != nil {
			return nil // it has been closed, as it should
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := io.Copy(io.Discard, answer); !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil // likewise
		}
	}
	return fmt.Errorf("%s: the connection is still open", c.what)
}

// crawl lets all connections drip at once, and returns what is wrong.
func crawl(all []crawler, deadline time.Time) []error {
	var crawling sync.WaitGroup
	errs := make([]error, len(all))
	for i, c := range all {
		crawling.Go(func() { errs[i] = c.crawl(deadline) })
	}
	crawling.Wait()
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

type slowRequest struct {
	n                     int
	what, beginning, drip string
}

func slowRequests() []slowRequest {
	return []slowRequest{
		{1000, "slowloris", "GET /subscribe?topics=t HTTP/1.1\r\nHost: localhost\r\nX-", "a"},
		{10, "nothing at all", "", ""},
		{10, "half a request line", "GE", "T"},
		{10, "header by header", "GET / HTTP/1.1\r\n", "X-A: b\r\n"},
		{10, "half of HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\n", ""},
		{50, "a body", posted + "Content-Length: 1000000\r\n\r\n{", " "},
		{50, "a body in chunks", posted + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "1\r\n \r\n"},
		{10, "half a chunk's size", posted + "Transfer-Encoding: chunked\r\n\r\n0", "0"},
		{10, "the trailer of a body", posted + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nX-T: ", "a"},
		{50, "a line", posted + "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "1\r\n \r\n"},
		{2, "a line without an end", posted + "Content-Type: application/x-ndjson\r\nContent-Length: 999999999\r\n\r\n" + strings.Repeat("x", 9<<20), "x"},
		{10, "a body that nobody reads", "POST /topics/x/close HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", "x"},
		{10, "a body for nothing", "DELETE /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", "x"},
	}
}

// Whoever sends slowly is cut off, and others do not notice.
func TestAttack_SlowClients(t *testing.T) {
	t.Parallel() // it waits for time-outs mostly
	s := attackable(t, 1, nil)
	gateway := s.Replicas[0]
	started := time.Now()
	var all []crawler
	for _, slow := range slowRequests() {
		all = append(all, crawlers(t, gateway, slow.n, slow.what, slow.beginning, slow.drip)...)
	}
	ended := make(chan []error, 1)
	go func() { ended <- crawl(all, started.Add(40*time.Second)) }()
	// Meanwhile, and while they are being cut off, the service goes on.
	var failures []error
	for over := false; !over; {
		began := time.Now()
		s.unharmed(t)
		lab.Listen(t, gateway.URL, "t").Close()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("a publish, a delivery and a new stream took %v", took)
		}
		select {
		case failures = <-ended:
			over = true
		case <-time.After(200 * time.Millisecond):
		}
	}
	for _, err := range failures {
		t.Error(err)
	}
	t.Logf("%d slow connections were closed within %v", len(all), time.Since(started).Round(time.Millisecond))
	lab.Eventually(t, wait, func() error {
		if files := gateway.Files(t); files > 100 {
			return fmt.Errorf("the gateway has %d files open", files)
		}
		return nil
	})
}
