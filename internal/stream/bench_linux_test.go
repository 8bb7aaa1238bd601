package stream

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// BenchmarkFanOut publishes to all streams in a closed loop, 8 events in flight, with the subscribers in a process of
// their own. For a figure per core: STREAM_BENCH_PIN=1 taskset -c 0 go test -run - -bench FanOut -cpu 1
func BenchmarkFanOut(b *testing.B) {
	for _, subscribers := range []int{100, 1000, 5000} {
		for _, path := range []path{byEngine, byHandler} {
			b.Run(fmt.Sprintf("subscribers=%d/path=%s", subscribers, path), func(b *testing.B) {
				benchmarkFanOut(b, subscribers, path)
			})
		}
	}
}

func benchmarkFanOut(b *testing.B, subscribers int, path path) {
	const inFlight = 8
	event := frame(1, 100)
	g := newGate(b, path, defaults())
	subscriber := startRole(b, "subscribers", g.addr, strconv.Itoa(subscribers), strconv.Itoa(subscribers*event.Len()))
	streams := make([]*Stream, subscribers)
	for i := range streams {
		streams[i] = (<-g.opened).Stream
	}
	subscriber.await(b)
	credit := inFlight
	before := g.Stats()
	b.ReportAllocs()
	for b.Loop() {
		if credit == 0 {
			subscriber.await(b)
			credit++
		}
		credit--
		event := frame(1, 100)
		for _, st := range streams {
			if !st.Push(event) {
				b.Fatal("stream ended")
			}
		}
	}
	for ; credit < inFlight; credit++ {
		subscriber.await(b)
	}
	after := g.Stats()
	b.ReportMetric(float64(b.N*subscribers)/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64(b.N*subscribers)/float64(after.Writes-before.Writes), "events/write")
}

// BenchmarkPush pushes to streams whose writer never comes.
func BenchmarkPush(b *testing.B) {
	const streams = 15000
	g := newGate(b, byEngine, defaults())
	_ = g
	event := frame(1, 100)
	all := make([]*Stream, streams)
	for i := range all {
		all[i] = &Stream{set: g.Streams, queued: true}
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		st := all[n%streams]
		if !st.Push(event) {
			b.Fatal("refused")
		}
		if len(st.q.frames) == 8 {
			st.set.free(st.q)
			st.q = nil
		}
	}
}

// BenchmarkIdle measures what an idle stream costs the process, net/http's garbage of opening it included.
func BenchmarkIdle(b *testing.B) {
	const streams = 10000
	for _, path := range []path{byEngine, byHandler} {
		b.Run(fmt.Sprintf("path=%s", path), func(b *testing.B) {
			for b.Loop() {
				g := newGate(b, path, defaults())
				heap, resident := memory(b)
				subscriber := startRole(b, "subscribers", g.addr, strconv.Itoa(streams), "1000000")
				subscriber.await(b)
				b.ReportMetric(float64(runtime.NumGoroutine())/streams, "goroutines/stream")
				_, grown := memoryNow(b)
				b.ReportMetric((grown-resident)/streams, "resident-B/stream")
				live, _ := memory(b)
				b.ReportMetric((live-heap)/streams, "live-B/stream")
			}
		})
	}
}

// memory returns the bytes that the process holds live, and those that it has resident.
func memory(tb testing.TB) (live, resident float64) {
	tb.Helper()
	runtime.GC()
	runtime.GC()
	return memoryNow(tb)
}

func memoryNow(tb testing.TB) (live, resident float64) {
	tb.Helper()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		tb.Fatal(err)
	}
	var size, pages float64
	if _, err := fmt.Sscan(string(statm), &size, &pages); err != nil {
		tb.Fatal(err)
	}
	// Stacks are left out: those of handlers that have returned are kept for the next ones, and goroutines are counted.
	return float64(stats.HeapAlloc), pages * float64(os.Getpagesize())
}
