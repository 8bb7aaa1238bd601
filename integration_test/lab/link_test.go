package lab

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"sse-gateway/internal/testkit"
)

// startEcho starts a server that sends back what it gets.
func startEcho(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

type echo struct {
	net.Conn
	lines *bufio.Reader
}

func dialEcho(t *testing.T, addr string) echo {
	t.Helper()
	conn, err := testkit.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return echo{conn, bufio.NewReader(conn)}
}

// say sends a line and returns what came back within d.
func (e echo) say(line string, d time.Duration) (string, error) {
	if line != "" {
		fmt.Fprintf(e, "%s\r\n", line)
	}
	_ = e.SetReadDeadline(time.Now().Add(d))
	got, err := e.lines.ReadString('\n')
	return got, err
}

func TestLink_HoldsWhatABlackHoleSwallows(t *testing.T) {
	link := StartLink(t, startEcho(t))
	pubSub, other := dialEcho(t, link.Addr), dialEcho(t, link.Addr)
	for _, conn := range []echo{pubSub, other} {
		if got, err := conn.say("hi", wait); got != "hi\r\n" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if got, err := pubSub.say("subscribe", wait); err != nil {
		t.Fatalf("got %q, %v", got, err)
	}

	link.BlackHolePubSub()
	if got, err := pubSub.say("lost?", 100*time.Millisecond); err == nil {
		t.Errorf("the Pub/Sub connection answers %q", got)
	}
	if got, err := other.say("hi", wait); got != "hi\r\n" {
		t.Errorf("the other connection answers %q, %v", got, err)
	}
	link.BlackHole()
	if got, err := other.say("later", 100*time.Millisecond); err == nil {
		t.Errorf("a connection answers %q", got)
	}
	link.Heal()
	if got, err := pubSub.say("", wait); got != "lost?\r\n" {
		t.Errorf("after the fault: %q, %v", got, err)
	}
	if got, err := other.say("", wait); got != "later\r\n" {
		t.Errorf("after the fault: %q, %v", got, err)
	}
}

func TestLink_DeafensOnlyThePubSubConnectionsThereAre(t *testing.T) {
	link := StartLink(t, startEcho(t))
	old := dialEcho(t, link.Addr)
	if got, err := old.say("subscribe", wait); err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	link.DeafenPubSub()
	if got, err := old.say("hi", 100*time.Millisecond); err == nil {
		t.Errorf("the old connection answers %q", got)
	}
	if got, err := dialEcho(t, link.Addr).say("subscribe", wait); err != nil {
		t.Errorf("a new connection answers %q, %v", got, err)
	}
	link.HoldAnswers()
	if got, err := dialEcho(t, link.Addr).say("hi", 100*time.Millisecond); err == nil {
		t.Errorf("an answer came: %q", got)
	}
}

func TestLink_DelaysAnswers(t *testing.T) {
	link := StartLink(t, startEcho(t))
	conn := dialEcho(t, link.Addr)
	link.Latency(80*time.Millisecond, 20*time.Millisecond)
	begun := time.Now()
	if got, err := conn.say("hi", wait); err != nil || time.Since(begun) < 60*time.Millisecond {
		t.Errorf("%q, %v after %v", got, err, time.Since(begun))
	}
}

func TestLink_CutClosesConnections(t *testing.T) {
	link := StartLink(t, startEcho(t))
	conn := dialEcho(t, link.Addr)
	if got, err := conn.say("hi", wait); err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	link.Cut()
	if got, err := conn.say("hi", wait); err == nil {
		t.Errorf("got %q", got)
	}
	if got, err := dialEcho(t, link.Addr).say("hi", wait); err == nil {
		t.Errorf("a new connection got %q", got)
	}
	link.Heal()
	if got, err := dialEcho(t, link.Addr).say("hi", wait); got != "hi\r\n" {
		t.Errorf("after the fault: %q, %v", got, err)
	}
}
