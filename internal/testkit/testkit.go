// Package testkit is what tests of every package need: waiting for a condition, free addresses, a buffer that may be read
// while it is written, and processes that end with their test. It knows nothing of the gateway.
package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what should happen at once. It is long since the machine may be busy.
const Patience = 30 * time.Second

// pollInterval is how often a condition is looked at.
const pollInterval = 10 * time.Millisecond

// Eventually waits until cond returns nil, and fails the test with cond's last error when it has not within timeout.
func Eventually(t testing.TB, timeout time.Duration, cond func() error) {
	t.Helper()
	if err := Poll(timeout, cond); err != nil {
		t.Fatalf("not within %v: %v", timeout, err)
	}
}

// WaitFor waits, with Patience, until what is described holds.
func WaitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	notYet := errors.New(what)
	Eventually(t, Patience, func() error {
		if holds() {
			return nil
		}
		return notYet
	})
}

// Poll waits until cond returns nil, and returns its last error when it has not within timeout.
func Poll(timeout time.Duration, cond func() error) error {
	deadline := time.Now().Add(timeout)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := cond()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-ticker.C
	}
}

// FreePort returns a port that nothing listens on. It is below the kernel's ephemeral range: from that range, the
// port of a process that is down for a moment would sooner or later be taken by an outgoing connection of a load
// test, or a client that keeps trying to connect to it would end up connected to itself.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(22000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatalf("close the probe of port %d: %v", port, err)
		}
		return port
	}
	t.Fatal("no free port found")
	return 0
}

// FreeAddr returns an address of 127.0.0.1 with a free port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}

// dialTry is how long one try of a dial lasts. The kernel repeats a SYN after 1, 3 and 7 s, so that one that is lost takes
// longer than many a test has time for.
const dialTry = 1500 * time.Millisecond

// Dial connects to addr by TCP. A try that gets no answer, as when a busy machine drops the SYN, is followed by another, until
// Patience ends; a refusal is returned at once.
func Dial(addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTry}
	for deadline := time.Now().Add(Patience); ; {
		conn, err := dialer.Dial("tcp", addr)
		var failure net.Error
		if err == nil || !errors.As(err, &failure) || !failure.Timeout() || time.Now().After(deadline) {
			return conn, err
		}
	}
}

// A Buffer may be read while it is written. The zero value is ready to use.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is what has been written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
