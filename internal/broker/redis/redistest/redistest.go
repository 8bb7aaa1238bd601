// Package redistest starts Redis servers for tests: alone, or as a Cluster.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startServer starts a server of the test's own on a free port, which it returns as an address.
func StartServer(t testing.TB, command func(port string) *exec.Cmd) string {
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
func Start(t testing.TB, args ...string) (string, *redis.Client) {
	t.Helper()
	dir := t.TempDir()
	addr := StartServer(t, func(port string) *exec.Cmd {
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

// eventually polls until cond is nil.
func Eventually(t testing.TB, timeout time.Duration, cond func() error) {
	t.Helper()
	deadline := time.After(timeout)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not after %s: %v", timeout, err)
		}
	}
}

// startCluster starts three masters and returns the cluster's URL.
func StartCluster(t testing.TB) string {
	t.Helper()
	var addrs []string
	for range 3 {
		url, _ := Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		addrs = append(addrs, strings.TrimPrefix(url, "redis://"))
	}
	args := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.Command("redis-cli", append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("create the cluster: %v\n%s", err, out)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	defer client.Close()
	Eventually(t, 20*time.Second, func() error {
		return client.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
			info, err := node.ClusterInfo(ctx).Result()
			if err == nil && !strings.Contains(info, "cluster_state:ok") {
				err = fmt.Errorf("cluster info: %s", info)
			}
			return err
		})
	})
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// StartNode starts a cluster of one node and returns its URL and a client.
func StartNode(t *testing.T) (string, *redis.Client) {
	t.Helper()
	url, client := Start(t, "--cluster-enabled", "yes")
	if err := client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, func() error {
		info, err := client.ClusterInfo(t.Context()).Result()
		if err == nil && !strings.Contains(info, "cluster_state:ok") {
			err = fmt.Errorf("cluster info: %s", info)
		}
		return err
	})
	return "redis+cluster://" + strings.TrimPrefix(url, "redis://"), client
}
