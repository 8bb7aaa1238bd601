package integration_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
)

// withoutWindow opens a stream over HTTP/2 on a connection that takes no data.
func withoutWindow(t *testing.T, gateway *lab.Gateway, path, token string) *framer {
	t.Helper()
	conn := dialFrom(t, gateway, "")
	t.Cleanup(func() { _ = conn.Close() })
	f := &framer{conn: conn}
	f.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	const initialWindowSize = 4
	f.frame(frameSettings, 0, 0, string(binary.BigEndian.AppendUint32([]byte{0, initialWindowSize}, 0)))
	f.frame(frameHeaders, endStream|endHeaders, 1, get2(path)+field("authorization", token))
	if f.err != nil {
		t.Fatal(f.err)
	}
	return f
}

// giveWindow lets data come, and returns all that comes until the stream has ended.
func (f *framer) giveWindow(t *testing.T) []byte {
	t.Helper()
	f.frame(frameWindow, 0, 1, string(binary.BigEndian.AppendUint32(nil, 1<<20)))
	f.frame(framePing, 0, 0, "12345678")
	_ = f.conn.SetReadDeadline(time.Now().Add(wait))
	var all []byte
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(f.conn, head); err != nil {
			return all
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(f.conn, payload); err != nil {
			return all
		}
		switch {
		case head[3] == frameData:
			all = append(all, payload...)
		case head[3] == framePing && head[4] == 1: // the answer comes behind whatever could be sent
			return all
		}
	}
}

func openStreams(t *testing.T, gateway *lab.Gateway) int {
	t.Helper()
	return int(gateway.Metric(t, "gateway_streams_open"))
}

// A client that takes not even the head of its stream must not get, by opening its window later, what it has no right to
// any more. Meanwhile it counts like everybody.
func TestAttack_WindowOpenedAfterTheRight(t *testing.T) {
	t.Parallel() // it waits for a token to expire
	for name, end := range map[string]func(t *testing.T, s *site, root string, expires time.Time){
		"expired": func(t *testing.T, _ *site, _ string, expires time.Time) {
			lab.Eventually(t, 2*wait, func() error {
				if left := time.Until(expires); left > 0 {
					return fmt.Errorf("the token lives for %s", left)
				}
				return nil
			})
		},
		"cut off": func(t *testing.T, s *site, root string, _ time.Time) {
			if got := ask(t, s.Replicas[0], request{method: "DELETE", target: "/users/jack/streams", header: []string{root}}); got.status != http.StatusNoContent {
				t.Fatalf("cut: %d %s", got.status, got.body)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who := newSecretIssuer()
			s := attackable(t, 1, who)
			before := openStreams(t, s.Replicas[0])
			expires := time.Now().Add(6 * time.Second).Truncate(time.Second)
			token := who.bearer(t, jwt.MapClaims{"sub": "jack", "iat": time.Now().Add(-2 * time.Second).Unix(), "exp": expires.Unix(), "subscribe": []string{"*"}})
			root := who.bearer(t, jwt.MapClaims{"sub": "root", "admin": true, "publish": []string{"*", "@*"}})
			f := withoutWindow(t, s.Replicas[0], "/subscribe?user=jack&topics=t", token[len("Authorization: "):])
			lab.Eventually(t, wait, func() error {
				if got := openStreams(t, s.Replicas[0]); got != before+1 {
					return fmt.Errorf("%d streams are counted, want %d", got, before+1)
				}
				return nil
			})
			end(t, s, root, expires)
			for _, body := range []string{`{"user":"jack","data":"too late"}`, `{"topic":"t","data":"too late"}`} {
				if got := ask(t, s.Replicas[0], request{method: "POST", target: "/publish", header: []string{root}, body: body}); got.status != http.StatusOK {
					t.Fatalf("publish: %d %s", got.status, got.body)
				}
			}
			if got := f.giveWindow(t); bytes.Contains(got, []byte("too late")) {
				t.Errorf("the client got %q", got)
			}
			if f.err != nil && !errors.Is(f.err, io.EOF) {
				t.Logf("the gateway has hung up: %v", f.err)
			}
			lab.Eventually(t, wait, func() error {
				if got := openStreams(t, s.Replicas[0]); got != before {
					return fmt.Errorf("%d streams are open, want %d", got, before)
				}
				return nil
			})
			s.unharmed(t)
		})
	}
}

// A drain waits for no client that has not taken the head of its stream.
func TestAttack_WindowWithheldFromADrain(t *testing.T) {
	gateway := lab.StartGateway(t, gateways.Binary(t), "GATEWAY_DRAIN=1s", "GATEWAY_HOSTS=gateway")
	for range 20 {
		withoutWindow(t, gateway, "/subscribe?topics=t", "none")
	}
	lab.Eventually(t, wait, func() error {
		if got := openStreams(t, gateway); got != 20 {
			return fmt.Errorf("%d streams are open", got)
		}
		return nil
	})
	began := time.Now()
	gateway.Terminate(t)
	gateway.WaitExit(t, 30*time.Second)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the drain took %s", took)
	}
}
