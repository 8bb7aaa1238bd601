package main

import (
	"flag"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// params are the sizes of a workload. Each workload says which of them it uses.
type params struct {
	Streams     int           `json:"streams,omitempty"`
	OwnTopics   bool          `json:"own_topics,omitempty"` // each stream its own topic, instead of one for all
	Topics      int           `json:"topics,omitempty"`
	PerStream   int           `json:"per_stream,omitempty"`
	Idle        int           `json:"idle,omitempty"`
	InFlight    int           `json:"in_flight,omitempty"`
	Rate        int           `json:"rate,omitempty"`
	Publishers  int           `json:"publishers,omitempty"`
	Concurrency int           `json:"concurrency,omitempty"`
	Bytes       int           `json:"bytes,omitempty"`
	Warmup      time.Duration `json:"warmup,omitempty"`
	Duration    time.Duration `json:"duration,omitempty"`
	Drain       time.Duration `json:"drain,omitempty"`
	Settle      time.Duration `json:"settle,omitempty"`
}

func (p *params) register(f *flag.FlagSet) {
	f.IntVar(&p.Streams, "streams", 1000, "streams to open")
	f.BoolVar(&p.OwnTopics, "own-topics", false, "idle, storm: each stream has a topic of its own")
	f.IntVar(&p.Topics, "topics", 1000, "topics, publish, ndjson, replicas: number of topics")
	f.IntVar(&p.PerStream, "per-stream", 1, "topics: how many topics one stream has")
	f.IntVar(&p.Idle, "idle", 0, "topics: streams besides, of topics in which nothing happens")
	f.IntVar(&p.InFlight, "in-flight", 8, "fan-out: events under way at once; ndjson: publishes not yet answered")
	f.IntVar(&p.Rate, "rate", 20, "rate, replicas: events a second")
	f.IntVar(&p.Publishers, "publishers", 64, "topics, publish: connections that publish")
	f.IntVar(&p.Concurrency, "concurrency", 256, "how many streams are being opened at once")
	f.IntVar(&p.Bytes, "bytes", 100, "data in each event")
	f.DurationVar(&p.Warmup, "warmup", 500*time.Millisecond, "load before the measured time")
	f.DurationVar(&p.Duration, "duration", 3*time.Second, "measured time")
	f.DurationVar(&p.Drain, "drain", 10*time.Second, "how long deliveries that are under way then may still take")
	f.DurationVar(&p.Settle, "settle", 12*time.Second, "idle: how long to wait at most until memory stands still")
}

// withDefaults fills in what the comparison does not say of a workload.
func (p params) withDefaults() params {
	var d params
	d.register(flag.NewFlagSet("", flag.ContinueOnError))
	p.Publishers = or(p.Publishers, d.Publishers)
	p.PerStream = or(p.PerStream, 1)
	p.Concurrency = or(p.Concurrency, d.Concurrency)
	p.Bytes = or(p.Bytes, d.Bytes)
	p.Warmup = or(p.Warmup, d.Warmup)
	p.Duration = or(p.Duration, d.Duration)
	p.Drain = or(p.Drain, d.Drain)
	p.Settle = or(p.Settle, d.Settle)
	return p
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// maxFiles is how many descriptors a process may need here; more streams than fit are refused at the start.
const maxFiles = 20_000

// checkFiles reports whether a process may hold a number of streams open.
func checkFiles(streams int) error {
	need := uint64(streams) + 200
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if allowed := min(limit.Cur, maxFiles); need > allowed {
		return fmt.Errorf("%d streams need %d open files, and %d are allowed (ulimit -n)", streams, need, allowed)
	}
	return nil
}
