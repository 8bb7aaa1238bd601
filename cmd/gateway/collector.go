package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// heapGrowth is how far the heap may grow under load, in percent, before garbage is collected.
	heapGrowth = 200
	// quietBytes is how much is allocated in a second that counts as quiet.
	quietBytes = 4 << 20
	// garbageBytes is the least amount of garbage that is worth a collection when it is quiet.
	garbageBytes = 4 << 20
)

// A collector trades memory against processor time by the moment: under load garbage may pile up to twice the heap; when it
// is quiet, and half the heap may be garbage, it is collected and returned to the system. Most streams are idle most of the
// time, and their memory is what counts then.
type collector struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// tuneCollector starts a collector, unless GOGC in the environment says how it is to be.
func tuneCollector(environ []string) *collector {
	ctx, cancel := context.WithCancel(context.Background())
	c := &collector{cancel: cancel}
	if !slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") }) {
		debug.SetGCPercent(heapGrowth)
		c.done.Go(func() { c.run(ctx) })
	}
	return c
}

func (c *collector) stop() {
	c.cancel()
	c.done.Wait()
}

func (c *collector) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	var before, released uint64 // bytes allocated until the last tick, and until the last release
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(samples)
		allocated, live := samples[0].Value.Uint64(), samples[1].Value.Uint64()
		if allocated-before < quietBytes && allocated-released > max(garbageBytes, live/2) {
			debug.FreeOSMemory()
			released = allocated
		}
		before = allocated
	}
}
