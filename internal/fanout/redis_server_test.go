package fanout

import (
	"context"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startServer starts a server of the test's own on a free port, which it returns as an address.
func startServer(t testing.TB, command func(port string) *exec.Cmd) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	_ = listener.Close()
	server := command(port)
	if err := server.Start(); err != nil {
		t.Fatalf("start %s (apt-get install redis-server redis-sentinel): %v", server.Path, err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	return addr
}

// startRedis starts a redis-server of the test's own and returns its URL and a client.
func startRedis(t testing.TB, args ...string) (string, *redis.Client) {
	t.Helper()
	dir := t.TempDir()
	addr := startServer(t, func(port string) *exec.Cmd {
		return exec.Command("redis-server", append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", ""}, args...)...)
	})
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = client.Close() })
	deadline := time.Now().Add(10 * time.Second)
	for client.Ping(context.Background()).Err() != nil {
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
	}
	return "redis://" + addr, client
}
