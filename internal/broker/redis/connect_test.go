package redis

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"
)

// startRaw starts a server and waits until it listens. It returns its port.
func startRaw(t *testing.T, args func(port string) []string) string {
	t.Helper()
	addr := redistest.StartServer(t, func(port string) *exec.Cmd {
		return exec.Command("redis-server", append(args(port), "--dir", t.TempDir(), "--save", "")...)
	})
	testkit.Eventually(t, testkit.Patience, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// startSentinel starts a sentinel that watches the master at a port, and returns its own port.
func startSentinel(t *testing.T, master string, lines ...string) string {
	t.Helper()
	return startRaw(t, func(port string) []string { return append(sentinelArgs(t, master, lines...), "--port", port) })
}

// sentinelArgs are the arguments of such a sentinel, but for its port.
func sentinelArgs(t *testing.T, master string, lines ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := strings.Join(append([]string{"sentinel monitor main 127.0.0.1 " + master + " 1"}, lines...), "\n") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{file, "--sentinel"}
}

// TestNew_Connects: every form of URL leads to a Redis of that form, with what is to be given beside it.
func TestNew_Connects(t *testing.T) {
	certs := redistest.NewCertificates(t)
	const passwords = "p@ss/w?rd% #1"
	encoded := "p%40ss%2Fw%3Frd%25%20%231"
	plainArgs := func(port string) []string { return []string{"--port", port, "--requirepass", passwords} }
	for name, prepare := range map[string]func(t *testing.T) Options{
		"password to be encoded": func(t *testing.T) Options {
			return Options{URL: "redis://default:" + encoded + "@localhost:" + startRaw(t, plainArgs) + "/2"}
		},
		"IPv6": func(t *testing.T) Options {
			port := startRaw(t, func(port string) []string { return []string{"--port", port, "--bind", "::1", "127.0.0.1"} })
			return Options{URL: "redis://[::1]:" + port}
		},
		"Unix socket": func(t *testing.T) Options {
			socket := filepath.Join(t.TempDir(), "redis.sock")
			startRaw(t, func(port string) []string { return append(plainArgs(port), "--unixsocket", socket) })
			return Options{URL: "unix://:" + encoded + "@" + socket + "?db=3"}
		},
		"client certificate": func(t *testing.T) Options {
			return Options{URL: "rediss://localhost:" + startRaw(t, certs.Args), TLS: certs.Client(t)}
		},
		"Sentinel with its own password": func(t *testing.T) Options {
			master := startRaw(t, plainArgs)
			sentinel := startSentinel(t, master, "requirepass of-sentinel", "sentinel auth-pass main "+strconv.Quote(passwords))
			return Options{URL: "redis+sentinel://:" + encoded + "@127.0.0.1:1,localhost:" + sentinel + "/main/1", SentinelPassword: "of-sentinel"}
		},
		"Sentinel with its own user": func(t *testing.T) Options {
			sentinel := startSentinel(t, startRaw(t, plainArgs), "user gateway on >of-sentinel +@all", "user default off",
				"sentinel auth-pass main "+strconv.Quote(passwords))
			return Options{URL: "redis+sentinel://:" + encoded + "@localhost:" + sentinel + "/main", SentinelUser: "gateway", SentinelPassword: "of-sentinel"}
		},
		"Sentinel with TLS": func(t *testing.T) Options {
			master := startRaw(t, certs.Args)
			sentinel := startRaw(t, func(port string) []string { return append(sentinelArgs(t, master), certs.Args(port)...) })
			return Options{URL: "rediss+sentinel://localhost:" + sentinel + "/main", TLS: certs.Client(t)}
		},
		"Cluster with TLS": func(t *testing.T) Options {
			port := startRaw(t, func(port string) []string {
				return append(certs.Args(port), "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--cluster-port", strconv.Itoa(testkit.FreePort(t)))
			})
			args := []string{"--tls", "--cert", certs.Cert, "--key", certs.Key, "--cacert", certs.CA, "-p", port, "cluster", "addslotsrange", "0", "16383"}
			if out, err := exec.Command("redis-cli", args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return Options{URL: "rediss+cluster://localhost:" + port, TLS: certs.Client(t), Partitions: 2}
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := prepare(t)
			opts.Replica = "a"
			store, err := New(opts)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			testkit.Eventually(t, testkit.Patience, func() error {
				return store.Publish(t.Context(), 0, []broker.Op{{Topic: "t", Block: []byte("data: 1\n")}})[0].Err
			})
			feed, err := store.Open(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := feed.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
