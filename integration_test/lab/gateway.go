package lab

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sse-gateway/internal/testkit"
)

// A Builder builds the gateway once for all tests of a process.
type Builder struct {
	dir   string
	plain func() (string, error)
	race  func() (string, error)
}

// NewBuilder returns a builder that keeps its binaries in dir.
func NewBuilder(dir string) *Builder {
	b := &Builder{dir: dir}
	b.plain = sync.OnceValues(func() (string, error) { return b.build("gateway") })
	b.race = sync.OnceValues(func() (string, error) { return b.build("gateway-race", "-race") })
	return b
}

func (b *Builder) build(name string, flags ...string) (string, error) {
	binary := filepath.Join(b.dir, name)
	args := append(append([]string{"build"}, flags...), "-o", binary, "sse-gateway/cmd/gateway")

	output, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, output)
	}
	return binary, nil
}

// Binary is the path of the gateway's binary: with the race detector when the test has it.
func (b *Builder) Binary(t testing.TB) string {
	t.Helper()
	if RaceDetector {
		return b.path(t, b.race)
	}
	return b.path(t, b.plain)
}

// PlainBinary is the path of the binary as it is shipped, for tests that measure memory or time.
func (b *Builder) PlainBinary(t testing.TB) string {
	t.Helper()
	return b.path(t, b.plain)
}

func (b *Builder) path(t testing.TB, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A Gateway is a running replica.
type Gateway struct {
	*testkit.Process
	URL string // http://127.0.0.1:…, or https://… with a certificate

	binary string
	env    []string
}

// StartGateway starts a replica on a free port with the settings env ("GATEWAY_…=…") and waits until it answers; it
// may not be ready yet. Without settings of its own about it, the log is in text at level info, and the test's own
// GATEWAY_ENGINE, if it has one, says how streams are written.
func StartGateway(t testing.TB, binary string, env ...string) *Gateway {
	t.Helper()
	addr, scheme := "", "http"
	for _, setting := range env {
		if value, ok := strings.CutPrefix(setting, "GATEWAY_ADDR="); ok {
			addr = value
		}
		if strings.HasPrefix(setting, "GATEWAY_TLS_CERT=") {
			scheme = "https"
		}
	}
	if addr == "" {
		addr = FreeAddr(t)
		env = append(slices.Clip(env), "GATEWAY_ADDR="+addr)
	}
	g := &Gateway{URL: scheme + "://" + addr, binary: binary, env: env}
	g.Start(t)
	return g
}

// Start starts the replica again, on the same port with the same settings, after it has ended.
func (g *Gateway) Start(t testing.TB) {
	t.Helper()
	addr := g.Addr()
	env := []string{"GATEWAY_LOG_FORMAT=text"}
	if engine := os.Getenv("GATEWAY_ENGINE"); engine != "" {
		env = append(env, "GATEWAY_ENGINE="+engine)
	}
	env = append(env, g.env...)
	g.Process = testkit.StartProcess(t, "gateway "+addr, env, g.binary)
	Eventually(t, 20*time.Second, func() error {
		if err := g.Alive(); err != nil {
			t.Fatalf("%v\n%s", err, g.Log())
		}
		conn, err := testkit.Dial(addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Addr is the replica's host and port.
func (g *Gateway) Addr() string {
	_, addr, _ := strings.Cut(g.URL, "://")
	return addr
}

// WaitReady waits until /readyz answers 200.
func (g *Gateway) WaitReady(t testing.TB) {
	t.Helper()
	Eventually(t, 20*time.Second, func() error {
		if status := g.Status("/readyz"); status != http.StatusOK {
			return fmt.Errorf("%s answers /readyz with %d", g.Name(), status)
		}
		return nil
	})
}

// Status is the status of a GET, 0 if there was no answer within 2 seconds.
func (g *Gateway) Status(path string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	status, _, err := request(ctx, http.MethodGet, g.URL+path, nil)
	if err != nil {
		return 0
	}
	return status
}

// Terminate sends SIGTERM.
func (g *Gateway) Terminate(t testing.TB) {
	t.Helper()
	g.Signal(t, syscall.SIGTERM)
}

// Replicas are several gateways on one Redis.
type Replicas []*Gateway

// StartReplicas starts n replicas and waits until all are ready.
func StartReplicas(t testing.TB, n int, binary string, env ...string) Replicas {
	t.Helper()
	replicas := make(Replicas, n)
	for i := range replicas {
		replicas[i] = StartGateway(t, binary, env...)
	}
	for _, replica := range replicas {
		replica.WaitReady(t)
	}
	return replicas
}

// URLs are the base URLs of all replicas.
func (r Replicas) URLs() []string {
	urls := make([]string, len(r))
	for i, replica := range r {
		urls[i] = replica.URL
	}
	return urls
}

// Addrs are the hosts and ports of all replicas.
func (r Replicas) Addrs() []string {
	addrs := make([]string, len(r))
	for i, replica := range r {
		addrs[i] = replica.Addr()
	}
	return addrs
}

// Metric reads a metric of the replica, summed over its labels that contain all of the given label texts.
func (g *Gateway) Metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	_, body := Get(t, g.URL+"/metrics")
	sum := 0.0
	for line := range strings.Lines(string(body)) {
		series, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		base, set, _ := strings.Cut(series, "{")
		if !ok || base != name {
			continue
		}
		matches := true
		for _, label := range labels {
			matches = matches && strings.Contains(set, label)
		}
		var value float64
		if _, err := fmt.Sscan(text, &value); matches && err == nil {
			sum += value
		}
	}
	return sum
}
