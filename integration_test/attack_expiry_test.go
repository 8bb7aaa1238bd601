package integration_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
)

// A lineSender is a publisher of lines over one long request.
type lineSender struct {
	conn    net.Conn
	answers *bufio.Scanner
}

func openLines(t *testing.T, gateway *lab.Gateway, header string) *lineSender {
	t.Helper()
	conn := dialFrom(t, gateway, "")
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "POST /publish HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n", header)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // the connection is closed
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("open a request of lines: %v, %v", resp, err)
	}
	return &lineSender{conn, bufio.NewScanner(resp.Body)}
}

// send sends a line and returns its answer.
func (l *lineSender) send(t *testing.T, line string) string {
	t.Helper()
	fmt.Fprintf(l.conn, "%x\r\n%s\n\r\n", len(line)+1, line)
	return l.next(t)
}

// next waits for one more line of the answer.
func (l *lineSender) next(t *testing.T) string {
	t.Helper()
	if !l.answers.Scan() {
		t.Fatalf("the answer has ended: %v", l.answers.Err())
	}
	return l.answers.Text()
}

// withBearer are options of a stream on one replica with a token.
func withBearer(replica *lab.Gateway, line string, topics ...string) lab.SubscribeOptions {
	_, value, _ := strings.Cut(line, ": ")
	return lab.SubscribeOptions{Bases: []string{replica.URL}, Topics: topics, Header: http.Header{"Authorization": {value}}, Retry: 10 * time.Millisecond}
}

// No stream outlives its token, and none ends without having said so.
func TestAttack_StreamsEndBeforeTheirTokens(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		t.Parallel() // it waits for tokens to expire
		who := newSecretIssuer()
		s := attackable(t, 1, who, engine)
		expires := time.Now().Add(8 * time.Second).Truncate(time.Second)
		token := who.bearer(t, jwt.MapClaims{"sub": "jack", "exp": expires.Unix(), "subscribe": []string{"*"}, "publish": []string{"*"}})
		const streams = 20
		var subscribers []*lab.Subscriber
		for range streams {
			subscriber := lab.Subscribe(t, withBearer(s.Replicas[0], token, "t"))
			subscriber.WaitReady(t)
			subscribers = append(subscribers, subscriber)
		}
		options := withBearer(s.Replicas[0], token, "t")
		options.Once = true
		once := lab.Subscribe(t, options)
		lines := openLines(t, s.Replicas[0], token)
		if answer := lines.send(t, event); !strings.Contains(answer, `"id"`) {
			t.Errorf("a line: %s", answer)
		}
		_ = once.WaitEnd(t, 2*wait)
		if left := time.Until(expires); left < 0 || left > 5*time.Second {
			t.Errorf("a stream ended %v before its token", left)
		}
		for _, subscriber := range subscribers {
			// It comes back with what is left of its token, and in the end with a dead one.
			ended := subscriber.WaitEnd(t, 2*wait)
			var refused *lab.StatusError
			if !errors.As(ended, &refused) || refused.Status != http.StatusUnauthorized {
				t.Errorf("a stream with a dead token ended with %v", ended)
			}
			checkNotice(t, subscriber.State(), expires)
		}
		if late := time.Since(expires); late > time.Second {
			t.Errorf("the last stream was refused %v after its token had expired", late)
		}
		if got := ask(t, s.Replicas[0], request{method: "POST", target: "/publish", body: event, header: []string{token}}); got.status != http.StatusUnauthorized {
			t.Errorf("a publish with a dead token: %d %s", got.status, got.body)
		}
		if answer := lines.next(t); !strings.Contains(answer, `"status":401`) {
			t.Errorf("the publisher of lines is told %s", answer)
		}
		s.unharmed(t)
	})
}

// checkNotice looks for the expiring event in a stream's life.
func checkNotice(t *testing.T, state lab.State, expires time.Time) {
	t.Helper()
	fired := state.Fired()
	notices := 0
	for _, event := range fired {
		var notice struct{ Expires time.Time }
		if event.Type == "expiring" {
			notices++
			if err := json.Unmarshal([]byte(event.Data), &notice); err != nil || !notice.Expires.Equal(expires) {
				t.Errorf("expiring says %s, want %s", event.Data, expires)
			}
		}
	}
	if notices != state.Connects {
		t.Errorf("%d connections have been told %d times that they would end: %v", state.Connects, notices, fired)
	}
}
