// Package lab is the equipment of the tests that run the gateway for real: gateway processes, Redis, a load
// balancer, faulty links, browsers, and clients that check what they receive. It shares no code with the gateway, so
// that a mistake there cannot hide itself here.
//
// Every part listens on a free port of 127.0.0.1, keeps its files in a directory of its own, and is gone at the end
// of the test that started it.
package lab

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sse-gateway/internal/testkit"
)

// pollInterval is how often Hold looks.
const pollInterval = 5 * time.Millisecond

// Eventually polls until cond returns nil, and fails the test with cond's last error when it has not within timeout.
func Eventually(t testing.TB, timeout time.Duration, cond func() error) {
	t.Helper()
	testkit.Eventually(t, timeout, cond)
}

// Hold keeps watching cond for the whole of d, and fails the test at its first error.
func Hold(t testing.TB, d time.Duration, cond func() error) {
	t.Helper()
	deadline := time.Now().Add(d)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for time.Now().Before(deadline) {
		if err := cond(); err != nil {
			t.Fatalf("%v before the end of %v: %v", time.Until(deadline).Round(time.Millisecond), d, err)
		}
		<-ticker.C
	}
}

// Pause lets d pass: for faults that last a set time, never to wait for something to happen.
func Pause(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// FreePort returns a port that nothing listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	return testkit.FreePort(t)
}

// FreeAddr returns an address of 127.0.0.1 with a free port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return testkit.FreeAddr(t)
}

// WriteFile writes a file of the test and returns its path.
func WriteFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
