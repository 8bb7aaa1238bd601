package lab

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"sse-gateway/internal/testkit"
)

// A Link is a TCP path that can be made faulty, for the way between the gateways and Redis. A fault holds or delays
// what is sent and loses no byte of it, as TCP does over a bad network. (toxiproxy's time-out toxic throws bytes
// away and then closes the connection, and cannot tell a Pub/Sub connection from others.)
type Link struct {
	Addr string

	upstream string

	mu      sync.Mutex
	fault   fault         // guarded by mu
	changed chan struct{} // guarded by mu; closed when fault changes
	cut     bool          // guarded by mu
	conns   map[*linkConn]struct{}
	running sync.WaitGroup
}

type fault struct {
	latency, jitter time.Duration // of answers
	hole            hole
	old             time.Time // unless zero: the hole is for connections from before it only
}

type hole int

const (
	holeNone hole = iota
	holePubSub
	holeAnswers
	holeAll
)

// linkConn is one connection over the link.
type linkConn struct {
	client, server net.Conn
	begun          time.Time
	gone           chan struct{}
	close          func()
	mu             sync.Mutex
	isPubSub       bool // guarded by mu
}

// chunk is a piece of a connection's data; nil data is its end.
type chunk struct {
	data []byte
	due  time.Time
}

// StartLink starts a link to the address upstream.
func StartLink(t testing.TB, upstream string) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{
		Addr: listener.Addr().String(), upstream: upstream,
		changed: make(chan struct{}), conns: map[*linkConn]struct{}{},
	}
	l.running.Go(func() { l.accept(listener) })
	t.Cleanup(func() {
		_ = listener.Close()
		l.Cut()
		l.running.Wait()
	})
	return l
}

// Env is the setting that makes a gateway reach Redis over this link.
func (l *Link) Env() string { return "GATEWAY_REDIS_URL=redis://" + l.Addr }

// Latency delays every answer by d, give or take jitter; answers of one connection stay in order.
func (l *Link) Latency(d, jitter time.Duration) { l.set(fault{latency: d, jitter: jitter}) }

// BlackHole makes all connections silent without closing them, old and new ones, as a router that drops packets
// does. What is sent arrives after Heal.
func (l *Link) BlackHole() { l.set(fault{hole: holeAll}) }

// BlackHolePubSub does that to connections that have sent a SUBSCRIBE or will send one; the others go on.
func (l *Link) BlackHolePubSub() { l.set(fault{hole: holePubSub}) }

// DeafenPubSub does it to the Pub/Sub connections that there are, and to no new one.
func (l *Link) DeafenPubSub() { l.set(fault{hole: holePubSub, old: time.Now()}) }

// HoldAnswers lets requests through to Redis and holds the answers.
func (l *Link) HoldAnswers() { l.set(fault{hole: holeAnswers}) }

// Heal ends every fault.
func (l *Link) Heal() { l.set(fault{}) }

func (l *Link) set(f fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
	l.cut = false
	close(l.changed)
	l.changed = make(chan struct{})
}

// Conns is the number of connections that are open over the link.
func (l *Link) Conns() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Cut closes every connection, and new ones at once, until Heal.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for conn := range l.conns {
		conn.close()
	}
}

func (l *Link) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := testkit.Dial(l.upstream)
		if err != nil {
			_ = client.Close()
			continue
		}
		conn := &linkConn{client: client, server: server, begun: time.Now(), gone: make(chan struct{})}
		conn.close = sync.OnceFunc(func() {
			close(conn.gone)
			_, _ = client.Close(), server.Close()
		})
		l.mu.Lock()
		l.conns[conn] = struct{}{}
		cut := l.cut
		l.mu.Unlock()
		if cut {
			conn.close()
		}
		l.running.Go(func() { l.carry(conn) })
	}
}

// carry moves a connection's data both ways until both have ended.
func (l *Link) carry(conn *linkConn) {
	var pumps sync.WaitGroup
	for _, way := range []struct {
		from, to net.Conn
		answers  bool
	}{{conn.client, conn.server, false}, {conn.server, conn.client, true}} {
		chunks := make(chan chunk, 256)
		pumps.Go(func() {
			defer close(chunks)
			l.read(conn, way.from, way.answers, chunks)
		})
		pumps.Go(func() { l.write(conn, way.to, way.answers, chunks) })
	}
	pumps.Wait()
	conn.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

func (l *Link) read(conn *linkConn, from net.Conn, answers bool, chunks chan<- chunk) {
	var due time.Time
	for {
		data := make([]byte, 16<<10)
		n, err := from.Read(data)
		data = data[:n]
		if n > 0 && !answers && bytes.Contains(bytes.ToLower(data), []byte("subscribe\r\n")) {
			conn.mu.Lock()
			conn.isPubSub = true
			conn.mu.Unlock()
		}
		if answers {
			due = maxTime(due, time.Now().Add(l.delay()))
		}
		if err != nil && !errors.Is(err, io.EOF) {
			conn.close()
			return
		}
		if n > 0 {
			select {
			case chunks <- chunk{data, due}:
			case <-conn.gone:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *Link) delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	delay := l.fault.latency
	if l.fault.jitter > 0 {
		delay += rand.N(2*l.fault.jitter) - l.fault.jitter
	}
	return delay
}

func (l *Link) write(conn *linkConn, to net.Conn, answers bool, chunks <-chan chunk) {
	for {
		next, more := <-chunks
		if !l.wait(conn, answers, next.due) {
			return
		}
		if !more {
			if half, ok := to.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			return
		}
		if _, err := to.Write(next.data); err != nil {
			conn.close()
			return
		}
	}
}

// wait returns true when what is due then may be delivered, false when the connection has gone.
func (l *Link) wait(conn *linkConn, answer bool, due time.Time) bool {
	for {
		l.mu.Lock()
		fault, changed := l.fault, l.changed
		l.mu.Unlock()
		held := fault.holds(conn, answer)
		if !held && !time.Now().Before(due) {
			return true
		}
		var timer <-chan time.Time
		if !held {
			timer = time.After(time.Until(due))
		}
		select {
		case <-timer:
		case <-changed:
		case <-conn.gone:
			return false
		}
	}
}

// holds tells whether what a connection carries is held now.
func (f fault) holds(conn *linkConn, answer bool) bool {
	if !f.old.IsZero() && conn.begun.After(f.old) {
		return false
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return f.hole == holeAll || (f.hole == holePubSub && conn.isPubSub) || (f.hole == holeAnswers && answer)
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
