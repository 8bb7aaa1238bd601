package redis

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"

	goredis "github.com/redis/go-redis/v9"
)

// TestRefusals_AreToldApart: by what Redis really says, and by whether somebody has to act.
func TestRefusals_AreToldApart(t *testing.T) {
	do := func(t *testing.T, client *goredis.Client, args ...any) {
		t.Helper()
		if err := client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	for kind, test := range map[string]struct {
		lasts bool
		start func(t *testing.T) (string, *goredis.Client)
		fault func(t *testing.T, client *goredis.Client)
	}{
		"maxclients": {
			true, func(t *testing.T) (string, *goredis.Client) { return redistest.Start(t) },
			func(t *testing.T, client *goredis.Client) {
				do(t, client, "client", "kill", "type", "normal", "skipme", "yes")
				do(t, client, "config", "set", "maxclients", "1")
			},
		},
		"misconf": {
			true, func(t *testing.T) (string, *goredis.Client) {
				return redistest.Start(t, "--enable-protected-configs", "yes", "--stop-writes-on-bgsave-error", "yes")
			},
			func(t *testing.T, client *goredis.Client) {
				dir := t.TempDir()
				do(t, client, "config", "set", "dir", dir)
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
				do(t, client, "config", "set", "save", "3600 1")
				do(t, client, "bgsave")
				testkit.WaitFor(t, "saving has come to nothing", func() bool {
					return strings.Contains(client.Info(t.Context(), "persistence").Val(), "rdb_last_bgsave_status:err")
				})
			},
		},
		"loading": {
			false, func(t *testing.T) (string, *goredis.Client) {
				return redistest.Start(t, "--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024")
			},
			func(t *testing.T, client *goredis.Client) {
				do(t, client, "debug", "populate", "100000")
				do(t, client, "config", "set", "key-load-delay", "500") // µs each
				other := goredis.NewClient(&goredis.Options{Addr: client.Options().Addr, ReadTimeout: -1, MaxRetries: -1})
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = other.Do(t.Context(), "debug", "reload").Err() // ends with the server
				}()
				t.Cleanup(func() { _ = other.Close(); <-done })
				testkit.WaitFor(t, "it loads", func() bool { return goredis.HasErrorPrefix(client.Get(t.Context(), "x").Err(), "LOADING") })
			},
		},
		"clusterdown": {
			false, func(t *testing.T) (string, *goredis.Client) { return redistest.StartNode(t) },
			func(t *testing.T, client *goredis.Client) {
				do(t, client, "cluster", "delslots", "1")
				testkit.WaitFor(t, "the Cluster is down", func() bool {
					return goredis.HasErrorPrefix(client.Get(t.Context(), "x").Err(), "CLUSTERDOWN")
				})
			},
		},
	} {
		t.Run(kind, func(t *testing.T) {
			url, client := test.start(t)
			store, err := New(Options{URL: url, Replica: "a", Partitions: 2, Retention: broker.Retention{Size: 100}})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			if r := publishKeyed(t, store, ""); r.Err != nil {
				t.Fatal(r.Err)
			}
			test.fault(t, client)
			testkit.Eventually(t, testkit.Patience, func() error {
				err := publishKeyed(t, store, "").Err
				if !errors.Is(err, broker.ErrNotSent) || errors.Is(err, broker.ErrRefused) != test.lasts || store.Refusals()[kind] == 0 {
					return fmt.Errorf("got %w, counted %v", err, store.Refusals())
				}
				return nil
			})
		})
	}
}
