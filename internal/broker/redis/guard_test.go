package redis

import (
	"errors"
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis/redistest"

	goredis "github.com/redis/go-redis/v9"
)

// TestRedis_SeesALossThoughTheFirstPublishIsRefused: the first op of a pipeline looks whether the clock has lost ids. When Redis
// refuses that op alone, the loss must be seen all the same, before anybody is told of an id above it.
func TestRedis_SeesALossThoughTheFirstPublishIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ isLost, byScript bool }{
		"lost":                {isLost: true},
		"lost, guard refused": {isLost: true, byScript: true},
		"not lost":            {},
	} {
		t.Run(name, func(t *testing.T) {
			url, client := redistest.Start(t)
			store := openStore(t, url)
			sp := &store.spaces[0]
			publish := func(floor broker.ID, topics ...string) []broker.Result {
				var ops []broker.Op
				for _, topic := range topics {
					ops = append(ops, broker.Op{Topic: topic, Block: []byte("data: 1\n"), Floor: floor})
				}
				return store.Publish(t.Context(), 0, ops)
			}
			first := publish(broker.ID{}, "ok")[0]
			if first.Err != nil {
				t.Fatal(first.Err)
			}
			born := client.Get(t.Context(), sp.born).Val()
			floor := first.ID
			if test.isLost {
				floor.MS += 1000 // given out, and lost with a primary
			}
			admin := adminOf(t, client)
			rules := []any{"acl", "setuser", "default", "resetkeys", "~gw:charter", "~" + sp.clock, "~" + sp.born, "~gw{p0}?:ok"}
			if test.byScript {
				rules = append(rules, "-xrange")
			}
			if err := admin.Do(t.Context(), rules...).Err(); err != nil {
				t.Fatal(err)
			}
			results := publish(floor, "denied", "ok")
			if !errors.Is(results[0].Err, broker.ErrRefused) {
				t.Errorf("the first: got %v, want it refused", results[0].Err)
			}
			if test.byScript {
				if err := results[1].Err; !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrNotSent) {
					t.Errorf("the second, of which nobody knows what was lost before it: got %v", err)
				}
				if err := publish(floor, "ok")[0].Err; !errors.Is(err, broker.ErrNotSent) {
					t.Errorf("the next: got %v, want that it was not sent", err)
				}
				if err := admin.Do(t.Context(), "acl", "setuser", "default", "+xrange").Err(); err != nil {
					t.Fatal(err)
				}
				results = publish(broker.ID{}, "denied", "ok")
			}
			if results[1].Err != nil || !floor.Less(results[1].ID) {
				t.Errorf("the second: got %v, %v, want an id above %s", results[1].ID, results[1].Err, floor)
			}
			now, err := broker.ParseID(admin.Get(t.Context(), sp.born).Val())
			if err != nil {
				t.Fatal(err)
			}
			if isSeen := now.String() != born; isSeen != test.isLost || isSeen && !floor.Less(now) {
				t.Errorf("born is %s, was %s, the floor %s", now, born, floor)
			}
		})
	}
}

// openStore opens a broker that is closed with the test.
func openStore(t *testing.T, url string) *Broker {
	t.Helper()
	store, err := New(Options{URL: url, Replica: "a", Retention: broker.Retention{Size: 100}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// adminOf returns a client whose rights are not those of the default user.
func adminOf(t *testing.T, client *goredis.Client) *goredis.Client {
	t.Helper()
	if err := client.Do(t.Context(), "acl", "setuser", "admin", "on", ">admin", "+@all", "~*", "&*").Err(); err != nil {
		t.Fatal(err)
	}
	admin := goredis.NewClient(&goredis.Options{Addr: client.Options().Addr, Username: "admin", Password: "admin"})
	t.Cleanup(func() { _ = admin.Close() })
	return admin
}
