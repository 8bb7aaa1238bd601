package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// report prints what a load takes, what was measured apart from what was computed.
func report(w io.Writer, l load, s sizes) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-34s %s\n", name, fmt.Sprintf(format, args...))
	}

	b.WriteString("asked\n")
	line("streams", "%s, topics of each: %s", count(l.Streams), count(l.PerStream))
	line("events published", "%s/s of %s bytes, each to %s streams", count(l.Rate), count(l.Bytes), count(l.Fanout))
	line("topics", "%s", count(l.Topics))
	line("a replica", "%s cores, at most %s streams, %.0f %% busy", count(l.Cores), count(l.MaxStreams), l.Busy*100)

	b.WriteString("\ncomputed\n")
	line("deliveries", "%s/s", count(s.Deliveries))
	line("replicas", "%s: %s for the work, %s for the streams, and one that may be away",
		count(s.Replicas), count(s.ByCPU), count(s.ByStreams))
	line("their cores in use", "%.1f: publishing %.1f, delivering %.1f, receiving %.1f, idling %.1f",
		s.PublishCPU+s.DeliveryCPU+s.ReceiveCPU+s.IdleCPU, s.PublishCPU, s.DeliveryCPU, s.ReceiveCPU, s.IdleCPU)
	line("streams of a replica", "%s, while one is away", count(s.StreamsPerReplica))
	line("memory of a replica", "%s, and %s of the kernel's for sockets; twice that leaves room for queues", size(s.Memory), size(s.KernelMemory))
	line("Redis's cores", "%.2f, on %s", s.RedisCPU, primaries(s.Primaries))
	line("Redis's memory", "%s: history that is full", size(s.RedisMemory))
	line("bandwidth to subscribers", "%s", bits(s.ToSubscribers))
	line("bandwidth to and from Redis", "%s, %s", bits(s.ToRedis), bits(s.FromRedis))
	line("all streams reconnect", "%s, and %.0f core seconds; Redis works %s for it",
		short(s.Reconnect), s.ReconnectCPU, short(s.ReconnectRedis))
	line("one replica dies", "its streams are back after %s", short(s.ReconnectOne))

	b.WriteString("\nmeasured, on one machine of two shared cores (bench/CAPACITY.md)\n")
	for _, c := range measured().all() {
		line(fmt.Sprintf("%s %s", number(c.Value), c.Unit), "%s (%s)", c.What, c.From)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func primaries(n float64) string {
	if n == 1 {
		return "one Redis"
	}
	return "a Cluster of " + count(n) + " primaries"
}

// number is a figure as short as it goes.
func number(v float64) string {
	if v >= 1e6 {
		return count(v)
	}
	return fmt.Sprintf("%g", v)
}

// count is a number with its thousands set apart.
func count(v float64) string {
	if v != math.Trunc(v) {
		return fmt.Sprintf("%.1f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func size(bytes float64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", bytes/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.0f MiB", bytes/(1<<20))
	}
	return fmt.Sprintf("%.0f KiB", bytes/(1<<10))
}

func bits(bytes float64) string {
	if bytes*8 >= 1e9 {
		return fmt.Sprintf("%.1f Gbit/s", bytes*8/1e9)
	}
	return fmt.Sprintf("%.1f Mbit/s", bytes*8/1e6)
}

func short(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
