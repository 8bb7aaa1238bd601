package lab

import (
	"testing"
)

func TestRedis_ComesBackWithWhatItHad(t *testing.T) {
	// With fsync each second only, Redis 7.0 may have answered a write that it has not given to the kernel yet.
	r := StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	ctx := t.Context()
	get := func() string { return r.Client().Get(ctx, "k").Val() }
	r.Client().Set(ctx, "k", "1", 0)
	snapshot := r.Snapshot(t)
	r.Client().Set(ctx, "k", "2", 0)
	r.Kill()
	r.Start(t)
	if got := get(); got != "2" {
		t.Errorf("after kill -9: %q, want 2", got)
	}
	r.Kill()
	r.RollBack(t, snapshot)
	r.Start(t)
	if got := get(); got != "1" {
		t.Errorf("rolled back: %q, want 1", got)
	}
	r.Kill()
	r.Wipe(t)
	r.Start(t)
	if got := get(); got != "" {
		t.Errorf("wiped: %q, want nothing", got)
	}
	if got := r.Calls(t, "get"); got != 1 {
		t.Errorf("Calls(get) = %d, want 1", got)
	}
	if got := len(r.Conns(t, "pubsub")); got != 0 {
		t.Errorf("%d Pub/Sub connections, want 0", got)
	}
}
