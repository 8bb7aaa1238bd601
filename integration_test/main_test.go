// Package integration_test runs the gateway for real: built binaries, real Redis, a real load balancer, real
// browsers, and faults. See the package lab for the equipment.
package integration_test

import (
	"fmt"
	"os"
	"testing"

	"sse-gateway/integration_test/lab"
)

// gateways builds the gateway once for all tests.
var gateways *lab.Builder

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gateway-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	gateways = lab.NewBuilder(dir)
	return m.Run()
}

// start starts one replica and waits until it is ready.
func start(t testing.TB, env ...string) *lab.Gateway {
	t.Helper()
	return startReplicas(t, 1, env...)[0]
}

// startReplicas starts replicas and waits until they are ready.
func startReplicas(t testing.TB, n int, env ...string) lab.Replicas {
	t.Helper()
	return lab.StartReplicas(t, n, gateways.Binary(t), env...)
}

// The settings that choose how streams are written.
const (
	engineOn  = "GATEWAY_ENGINE=auto"
	engineOff = "GATEWAY_ENGINE=off"
)

// overBothPaths runs a test with streams written by the engine and by handlers. Where GATEWAY_ENGINE has the whole suite
// run over one of them, it does so over that one.
func overBothPaths(t *testing.T, test func(t *testing.T, engine string)) {
	t.Helper()
	if forced := os.Getenv("GATEWAY_ENGINE"); forced != "" {
		test(t, "GATEWAY_ENGINE="+forced)
		return
	}
	for _, engine := range []string{engineOn, engineOff} {
		t.Run(engine, func(t *testing.T) { test(t, engine) })
	}
}

// overBothBrokers runs a test on the embedded broker and on Redis; env is what chooses the broker.
func overBothBrokers(t *testing.T, test func(t *testing.T, env string)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, "GATEWAY_REDIS_URL=") })
	t.Run("Redis", func(t *testing.T) { test(t, lab.StartRedis(t).Env()) })
}
