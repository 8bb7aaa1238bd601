package lab

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// NDJSON is a long-lived publishing request.
type NDJSON struct {
	body    *io.PipeWriter
	answers chan string
	failed  chan error
}

// OpenNDJSON opens a publishing request that stays open until the test ends.
func OpenNDJSON(t testing.TB, base string) *NDJSON {
	t.Helper()
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/publish", reader)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	n := &NDJSON{body: writer, answers: make(chan string, 16), failed: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.failed <- n.read(ctx, req)
	}()
	t.Cleanup(func() {
		_ = writer.Close()
		cancel()
		<-done
	})
	return n
}

func (n *NDJSON) read(ctx context.Context, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		select {
		case n.answers <- lines.Text():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}

// Send sends a line and returns the line that answers it.
func (n *NDJSON) Send(t testing.TB, line string) string {
	t.Helper()
	if _, err := io.WriteString(n.body, line+"\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case answer := <-n.answers:
		return answer
	case err := <-n.failed:
		t.Fatalf("the answer has ended: %v", err)
	case <-time.After(wait):
		t.Fatalf("no answer to %s", line)
	}
	return ""
}
