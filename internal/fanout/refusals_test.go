package fanout

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"
)

func tryPublish(t *testing.T, h *Hub, topic string) error {
	t.Helper()
	return h.Publish(t.Context(), []Publication{{Topic: topic, Data: []byte("1")}})[0].Err
}

// tell runs commands, each a line.
func tell(t *testing.T, client *goredis.Client, lines ...string) {
	t.Helper()
	for _, line := range lines {
		var args []any
		for word := range strings.FieldsSeq(line) {
			args = append(args, word)
		}
		if err := client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

// TestRedis_RefusalsAreSeen: Redis refuses all events, and does not stop to by itself.
func TestRedis_RefusalsAreSeen(t *testing.T) {
	for kind, test := range map[string]struct{ words, fault, repair string }{
		"readonly":   {"READONLY", "replicaof 127.0.0.1 1", "replicaof no one"},
		"noreplicas": {"NOREPLICAS", "config set min-replicas-to-write 1", "config set min-replicas-to-write 0"},
		"noperm":     {"can't run this command", "acl setuser default -pexpire", "acl setuser default +pexpire"},
		"wrongtype":  {"WRONGTYPE", "set gw{p0}clock foreign", "del gw{p0}clock"},
	} {
		t.Run(kind, func(t *testing.T) {
			url, client := redistest.Start(t)
			h, log := openTenant(t, redis.Options{URL: url, Replica: "a"})
			waitReady(t, h)
			if err := tryPublish(t, h, "t"); err != nil {
				t.Fatal(err)
			}
			tell(t, client, test.fault)
			for i := range 20 {
				err := tryPublish(t, h, fmt.Sprint("new", i))
				halfDone := kind == "noperm" || kind == "wrongtype" // in the midst of a script, where writes may have come before
				if !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), test.words) || errors.Is(err, broker.ErrNotSent) == halfDone {
					t.Fatalf("got %v, want that Redis refuses, and its words", err)
				}
			}
			testkit.Eventually(t, 20*time.Second, func() error {
				if err := h.Ready(); !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), test.words) {
					return fmt.Errorf("readiness: %w", err)
				}
				return nil
			})
			if n := h.Refusals()[kind]; n < 20 {
				t.Errorf("%d refusals counted, of 20 or more: %v", n, h.Refusals())
			}
			told := strings.Count(log.String(), `msg="Redis refuses"`)
			if told == 0 || told > 6 || !strings.Contains(log.String(), test.words) {
				t.Errorf("told %d times:\n%s", told, log)
			}
			tell(t, client, test.repair)
			waitReady(t, h)
			if err := tryPublish(t, h, "t"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRedis_RefusesOneTopic: a foreign key in the place of one topic's leaves the gateway ready.
func TestRedis_RefusesOneTopic(t *testing.T) {
	url, client := redistest.Start(t)
	h, _ := openTenant(t, redis.Options{URL: url, Replica: "a"})
	waitReady(t, h)
	tell(t, client, "set gw{p0}t:broken foreign")
	if err := tryPublish(t, h, "broken"); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("got %v", err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { // the probe has come through
		return client.Get(t.Context(), "gw{p0}l:\x00probe").Err()
	})
	if err := h.Ready(); err != nil {
		t.Errorf("unready: %v", err)
	}
	if err := tryPublish(t, h, "t"); err != nil {
		t.Error(err)
	}
}

// TestRedis_RefusalsThatPass: what passes by itself, and a full Redis, are counted, and not called refusals that last.
func TestRedis_RefusalsThatPass(t *testing.T) {
	for kind, faults := range map[string][]string{
		"masterdown": {"config set replica-serve-stale-data no", "replicaof 127.0.0.1 1"},
		"oom":        {"config set maxmemory 1"},
	} {
		t.Run(kind, func(t *testing.T) {
			url, client := redistest.Start(t)
			h, _ := openTenant(t, redis.Options{URL: url, Replica: "a"})
			waitReady(t, h)
			tell(t, client, faults...)
			err := tryPublish(t, h, "t")
			if err == nil || errors.Is(err, broker.ErrRefused) || errors.Is(err, broker.ErrFull) != (kind == "oom") {
				t.Errorf("got %v", err)
			}
			if h.Refusals()[kind] == 0 {
				t.Errorf("not counted: %v", h.Refusals())
			}
		})
	}
}

// TestRedis_SendsNothingToWhomItCannotTalk: nothing has been sent, and whoever publishes is told so.
func TestRedis_SendsNothingToWhomItCannotTalk(t *testing.T) {
	open, _ := redistest.Start(t)
	guarded, _ := redistest.Start(t, "--rename-command", "SCRIPT", "")
	locked, client := redistest.Start(t)
	tell(t, client, "config set requirepass right")
	for name, test := range map[string]struct {
		url     string
		refused bool
		kind    string
	}{
		"no password":       {locked, true, "noauth"},
		"wrong password":    {strings.Replace(locked, "//", "//:wrong@", 1), true, "wrongpass"},
		"no sentinel":       {"redis+sentinel://127.0.0.1:1/main", false, ""},
		"nobody":            {"redis://127.0.0.1:1", false, ""},
		"no cluster":        {"redis+cluster://127.0.0.1:1", false, ""},
		"TLS to plain port": {strings.Replace(open, "redis:", "rediss:", 1), false, ""},
		"SCRIPT renamed":    {guarded, true, "command"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := openTenant(t, redis.Options{URL: test.url, Replica: "a"})
			err := tryPublish(t, h, "t")
			if !errors.Is(err, broker.ErrNotSent) || errors.Is(err, broker.ErrRefused) != test.refused {
				t.Errorf("got %v", err)
			}
			if test.kind != "" && h.Refusals()[test.kind] == 0 {
				t.Errorf("not counted: %v", h.Refusals())
			}
			if h.Ready() == nil {
				t.Error("it is ready")
			}
		})
	}
}
