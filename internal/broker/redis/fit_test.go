package redis

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"

	goredis "github.com/redis/go-redis/v9"
)

// aclRule is the line of docs/operations.md that gives the gateway its rights, as arguments.
func aclRule(t *testing.T) []any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rule := strings.TrimSpace(line); strings.HasPrefix(rule, "ACL SETUSER gateway ") {
			var args []any
			for word := range strings.FieldsSeq(rule) {
				args = append(args, word)
			}
			return args
		}
	}
	t.Fatal("docs/operations.md has no ACL rule")
	return nil
}

// work does what a gateway does, and returns the first error.
func work(t *testing.T, url string) error {
	t.Helper()
	store, err := New(Options{URL: url, Replica: "a", Partitions: 2, Retention: broker.Retention{Size: 10}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	floor := broker.ID{}
	for _, op := range []broker.Op{{Topic: "t", Key: "k"}, {Topic: "t", Key: "k"}, {Topic: "t", Close: true}, {Topic: "u"}} {
		op.Block = []byte("data: 1\n")
		r := store.Publish(t.Context(), 0, []broker.Op{op})[0]
		if r.Err != nil {
			return r.Err
		}
		floor = broker.Later(floor, r.ID)
	}
	feed, err := store.Open(t.Context(), 0)
	if err != nil {
		return err
	}
	defer feed.Close()
	_, readErr := store.Read(t.Context(), 0, []broker.Read{{Topic: "t", Count: true, Limit: 10, Bytes: 1000, Before: floor}, {Topic: "u", Limit: 1}})
	_, sendErr := store.Send(t.Context(), "", []byte("x"))
	_, nowErr := store.Now(t.Context())
	_, cutsErr := store.Cuts(t.Context())
	return errors.Join(feed.Subscribe(t.Context(), []string{"t"}), feed.Unsubscribe(t.Context(), []string{"t"}), readErr, sendErr, nowErr, cutsErr,
		store.Mark(t.Context(), 0, 1, floor, broker.ID{}), store.RememberCut(t.Context(), "jack", time.Now(), time.Hour))
}

// TestFit_TheDocumentedRightsAreEnough, alone and on a Cluster.
func TestFit_TheDocumentedRightsAreEnough(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (string, *goredis.Client){
		"alone":   func(t *testing.T) (string, *goredis.Client) { return redistest.Start(t) },
		"cluster": redistest.StartNode,
	} {
		t.Run(name, func(t *testing.T) {
			url, client := start(t)
			if err := client.Do(t.Context(), aclRule(t)...).Err(); err != nil {
				t.Fatal(err)
			}
			if err := work(t, strings.Replace(url, "://", "://gateway:secret@", 1)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFit_NamesEveryMissingRight, before anything is published, and leaves nothing behind.
func TestFit_NamesEveryMissingRight(t *testing.T) {
	url, client := redistest.Start(t)
	for _, args := range [][]any{aclRule(t), {"ACL", "SETUSER", "gateway", "-pexpire", "-zadd", "-eval_ro"}} {
		if err := client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	store := openStore(t, strings.Replace(url, "://", "://gateway:secret@", 1))
	publish := func() error {
		return store.Publish(t.Context(), 0, []broker.Op{{Topic: "t", Block: []byte("data: 1\n")}})[0].Err
	}
	err := publish()
	for _, want := range []string{"PEXPIRE", "ZADD", "EVAL_RO"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want one that names %s", err, want)
		}
	}
	if !errors.Is(err, broker.ErrRefused) || !errors.Is(err, broker.ErrNotSent) || store.Refusals()["noperm"] == 0 {
		t.Errorf("got %v, %v, want a refusal that is counted, and nothing sent", err, store.Refusals())
	}
	if keys := client.Keys(t.Context(), "*").Val(); len(keys) != 1 || keys[0] != "gw:charter" {
		t.Errorf("it left %v behind", keys)
	}
	if err := client.Do(t.Context(), aclRule(t)...).Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.Patience, publish)
}

// TestFit_SaysWhatTheErrorsMean: what most likely is behind what Redis, or go-redis, says when they do not get together.
func TestFit_SaysWhatTheErrorsMean(t *testing.T) {
	certs := redistest.NewCertificates(t)
	plain, client := redistest.Start(t)
	locked, guarded := redistest.Start(t)
	if err := guarded.ConfigSet(t.Context(), "requirepass", "right").Err(); err != nil {
		t.Fatal(err)
	}
	node := elsewhere(t, redistest.StartCluster(t), "gw:charter")
	_, replica := redistest.Start(t, "--replicaof", "127.0.0.1 "+client.Options().Addr[strings.LastIndexByte(client.Options().Addr, ':')+1:])
	testkit.WaitFor(t, "the replica answers", func() bool { return errors.Is(replica.Get(t.Context(), "x").Err(), goredis.Nil) })
	for name, test := range map[string]struct{ url, want string }{
		"TLS to a plain port":    {strings.Replace(plain, "redis", "rediss", 1), "no TLS at that port"},
		"plain to a TLS port":    {"redis://localhost:" + startRaw(t, certs.Args), "rediss"},
		"no password":            {locked, "does not pass by itself"},
		"wrong password":         {strings.Replace(locked, "://", "://:wrong@", 1), "does not pass by itself"},
		"a node of a Cluster":    {node, "want redis+cluster://"},
		"no Cluster":             {strings.Replace(plain, "redis", "redis+cluster", 1), "no Cluster"},
		"Sentinel":               {"redis://localhost:" + startSentinel(t, "1"), "redis+sentinel://"},
		"a database that is not": {plain + "/99", "fewer databases"},
		"a replica":              {"redis://" + replica.Options().Addr, "READONLY"},
	} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t, test.url)
			err := store.Publish(t.Context(), 0, []broker.Op{{Topic: "t", Block: []byte("data: 1\n")}})[0].Err
			if !errors.Is(err, broker.ErrNotSent) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "wrong@") {
				t.Errorf("got %v, want that nothing was sent, and %q", err, test.want)
			}
		})
	}
}

// elsewhere is the URL of a node of a Cluster that does not have a key.
func elsewhere(t *testing.T, cluster, key string) string {
	t.Helper()
	for addr := range strings.SplitSeq(strings.TrimPrefix(cluster, "redis+cluster://"), ",") {
		client := goredis.NewClient(&goredis.Options{Addr: addr})
		err := client.Get(t.Context(), key).Err()
		_ = client.Close()
		if goredis.HasErrorPrefix(err, "MOVED") {
			return "redis://" + addr
		}
	}
	t.Fatal("no node says MOVED")
	return ""
}

func TestFit_SaysWhatIsNotSetUp(t *testing.T) {
	url, _ := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru")
	var log testkit.Buffer
	store, err := New(Options{URL: url, Replica: "a", Replicas: 2, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for range 3 {
		if _, err := store.Now(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := store.Mark(t.Context(), 0, 1, broker.ID{}, broker.ID{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"maxmemory-policy volatile-lru", "it has 0 replicas", "product=Redis", "version=7", "mode=standalone"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log does not have %q once:\n%s", want, log.String())
		}
	}
}

func TestServer_Troubles(t *testing.T) {
	for name, test := range map[string]struct{ info, product, trouble string }{
		"Redis 7":         {"redis_version:7.2.4\r\nredis_mode:standalone\r\nrole:master\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", "Redis", ""},
		"Redis 6":         {"redis_version:6.2.14\r\nrole:master\r\n", "Redis", "older than version 7"},
		"Valkey":          {"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\nrole:master\r\n", "Valkey", ""},
		"Dragonfly":       {"redis_version:7.4.0\r\ndragonfly_version:df-v1.27.1\r\nrole:master\r\n", "Dragonfly", "not been tried"},
		"KeyDB":           {"redis_version:6.3.4\r\nmvcc_depth:0\r\nrole:active-replica\r\n", "KeyDB", "not been tried"},
		"evicts":          {"redis_version:8.0.0\r\nmaxmemory:1000\r\nmaxmemory_policy:volatile-ttl\r\n", "Redis", "volatile-ttl"},
		"a Cluster":       {"redis_version:8.0.0\r\nredis_mode:cluster\r\nrole:master\r\n", "Redis", "redis+cluster://"},
		"a replica":       {"redis_version:8.0.0\r\nrole:slave\r\n", "Redis", "takes no events"},
		"says no version": {"", "Redis", ""},
	} {
		s := serverOf(test.info)
		got := strings.Join(s.troubles(alone, 0), "; ")
		if s.product != test.product || (got == "") != (test.trouble == "") || !strings.Contains(got, test.trouble) {
			t.Errorf("%s: got %s, %q", name, s.product, got)
		}
	}
}
