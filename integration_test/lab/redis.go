package lab

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sse-gateway/internal/testkit"
)

// A Redis is a running redis-server with a port and a directory of its own.
type Redis struct {
	*testkit.Process
	Addr string

	dir    string
	args   []string
	client *redis.Client
}

// NewRedis prepares a redis-server that is not started yet. The arguments are added to its command line
// ("--appendonly", "yes").
func NewRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := &Redis{Addr: FreeAddr(t), dir: t.TempDir(), args: args}
	r.client = redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1, Protocol: 2})
	t.Cleanup(func() { _ = r.client.Close() })
	return r
}

// StartRedis starts a redis-server and waits until it answers.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := NewRedis(t, args...)
	r.Start(t)
	return r
}

// URL is the address as GATEWAY_REDIS_URL wants it.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// Env is the setting that makes a gateway use this Redis.
func (r *Redis) Env() string { return "GATEWAY_REDIS_URL=" + r.URL() }

// Start starts the server, or starts it again on the same port and directory, and waits until it has loaded its data.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	_, port, _ := strings.Cut(r.Addr, ":")
	args := append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", r.dir, "--save", "", "--daemonize", "no",
		"--auto-aof-rewrite-percentage", "0", // a copy of the directory is then a state of the past
	}, r.args...)
	r.Process = testkit.StartProcess(t, "redis "+r.Addr, nil, testkit.Program(t, "redis-server"), args...)
	Eventually(t, 20*time.Second, func() error {
		if err := r.Alive(); err != nil {
			t.Fatalf("%v\n%s", err, r.Log())
		}
		return r.client.Ping(t.Context()).Err()
	})
}

// Client talks to the server itself, beside whatever faulty link the gateways use.
func (r *Redis) Client() *redis.Client { return r.client }

// Wipe deletes everything that a stopped server would find again.
func (r *Redis) Wipe(t testing.TB) {
	t.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(r.dir, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// A Snapshot is what a server had on its disk at a moment.
type Snapshot map[string][]byte // content by path

// Snapshot copies what the running server has on its disk. Its append-only file may end in half a command there,
// as after a power cut.
func (r *Redis) Snapshot(t testing.TB) Snapshot {
	t.Helper()
	snapshot := Snapshot{}
	err := filepath.WalkDir(r.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		snapshot[path] = content
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// RollBack makes a stopped server find what it had at the time of the snapshot.
func (r *Redis) RollBack(t testing.TB, snapshot Snapshot) {
	t.Helper()
	r.Wipe(t)
	for path, content := range snapshot {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Info reads one field of INFO.
func (r *Redis) Info(t testing.TB, section, field string) string {
	t.Helper()
	info, err := r.client.Info(t.Context(), section).Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Calls is how often the server has executed a command, scripts' calls included.
func (r *Redis) Calls(t testing.TB, command string) int {
	t.Helper()
	for field := range strings.SplitSeq(r.Info(t, "commandstats", "cmdstat_"+command), ",") {
		if text, ok := strings.CutPrefix(field, "calls="); ok {
			calls, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			return calls
		}
	}
	return 0
}

// A Conn is a line of CLIENT LIST.
type Conn map[string]string

// Conns are the server's connections of a type: "normal" or "pubsub".
func (r *Redis) Conns(t testing.TB, kind string) []Conn {
	t.Helper()
	list, err := r.client.ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	var conns []Conn
	for line := range strings.Lines(list) {
		conn := Conn{}
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			conn[name] = value
		}
		isPubSub := conn["sub"] != "0" || conn["psub"] != "0" || strings.Contains(conn["flags"], "P")
		if isPubSub == (kind == "pubsub") {
			conns = append(conns, conn)
		}
	}
	return conns
}

// KillPubSub cuts every Pub/Sub connection.
func (r *Redis) KillPubSub(t testing.TB) {
	t.Helper()
	if err := r.client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatalf("kill Pub/Sub connections: %v", err)
	}
}

// Channels are the channels that have a subscriber, with the number of their subscribers.
func (r *Redis) Channels(t testing.TB) map[string]int {
	t.Helper()
	names, err := r.client.PubSubChannels(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	counts, err := r.client.PubSubNumSub(t.Context(), names...).Result()
	if err != nil {
		t.Fatal(err)
	}
	channels := make(map[string]int, len(counts))
	for name, count := range counts {
		channels[name] = int(count)
	}
	return channels
}

// Keys are the names of all keys that match a pattern.
func (r *Redis) Keys(t testing.TB, pattern string) []string {
	t.Helper()
	keys, err := r.client.Keys(t.Context(), pattern).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

// Config sets a parameter of the running server.
func (r *Redis) Config(t testing.TB, name string, value any) {
	t.Helper()
	if err := r.client.ConfigSet(t.Context(), name, fmt.Sprint(value)).Err(); err != nil {
		t.Fatalf("set %s to %v: %v", name, value, err)
	}
}
