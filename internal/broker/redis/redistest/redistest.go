// Package redistest starts Redis servers for tests: alone, or as a Cluster.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"sse-gateway/internal/testkit"
)

// StartServer starts a server of the test's own on a free port, which it returns as an address.
func StartServer(t testing.TB, command func(port string) *exec.Cmd) string {
	t.Helper()
	addr, _ := startServer(t, command)
	return addr
}

func startServer(t testing.TB, command func(port string) *exec.Cmd) (string, *testkit.Process) {
	t.Helper()
	addr := testkit.FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	cmd := command(port)
	return addr, testkit.StartProcess(t, cmd.Args[0]+" "+addr, nil, testkit.Program(t, cmd.Args[0]), cmd.Args[1:]...)
}

// Start starts a redis-server of the test's own and returns its URL and a client.
func Start(t testing.TB, args ...string) (string, *redis.Client) {
	t.Helper()
	url, client, _ := StartProcess(t, args...)
	return url, client
}

// StartProcess is Start, and returns the process too, to be frozen or killed.
func StartProcess(t testing.TB, args ...string) (string, *redis.Client, *testkit.Process) {
	t.Helper()
	dir := t.TempDir()
	addr, server := startServer(t, func(port string) *exec.Cmd {
		return exec.Command("redis-server", append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", ""}, args...)...)
	})
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = client.Close() })
	testkit.Eventually(t, testkit.Patience, func() error {
		if err := server.Alive(); err != nil {
			t.Fatal(err)
		}
		return client.Ping(context.Background()).Err()
	})
	return "redis://" + addr, client, server
}

// startMember starts a server that is to be part of a Cluster. Its nodes talk on a port of their own, by default 10,000 above
// the other one, where anything may listen.
func startMember(t testing.TB, args ...string) (string, *redis.Client) {
	t.Helper()
	return Start(t, append([]string{"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(testkit.FreePort(t))}, args...)...)
}

// StartCluster starts three masters and returns the cluster's URL.
func StartCluster(t testing.TB) string {
	t.Helper()
	var addrs []string
	for range 3 {
		url, _ := startMember(t, "--cluster-node-timeout", "2000")
		addrs = append(addrs, strings.TrimPrefix(url, "redis://"))
	}
	args := append([]string{"--cluster", "create"}, addrs...)
	create := exec.Command("redis-cli", append(args, "--cluster-yes")...)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("create the cluster: %v\n%s", err, out)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	defer client.Close()
	testkit.Eventually(t, testkit.Patience, func() error {
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
	url, client := startMember(t)
	if err := client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.Patience, func() error {
		info, err := client.ClusterInfo(t.Context()).Result()
		if err == nil && !strings.Contains(info, "cluster_state:ok") {
			err = fmt.Errorf("cluster info: %s", info)
		}
		return err
	})
	return "redis+cluster://" + strings.TrimPrefix(url, "redis://"), client
}
