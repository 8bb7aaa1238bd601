package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sse-gateway/bench/internal/stats"
)

// replicas publishes Rate events a second at one replica, to Topics topics that have a subscriber each at the other. First
// it measures, on the same cores, what Redis alone takes.
func replicas(r *run) error {
	if err := r.measureFloor(); err != nil {
		return err
	}
	if _, err := r.open(r.Topics, ownTopic); err != nil {
		return err
	}
	if err := r.publishAtRate(8, r.Topics); err != nil {
		return err
	}
	return r.measure()
}

// measureFloor runs floor in a process on the server's core: that is where replicas speak to Redis from.
func (r *run) measureFloor() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	cmd := exec.CommandContext(context.Background(), "taskset", "-c", strconv.Itoa(serverCore), self, "floor", //nolint:gosec // ourselves
		"-redis", r.redis.Target.Addr, "-rate", strconv.Itoa(r.Rate), "-duration", r.Duration.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("measure the floor: %w", err)
	}
	var floor figures
	if err := json.Unmarshal(out, &floor); err != nil {
		return fmt.Errorf("measure the floor: %w", err)
	}
	maps.Copy(r.figures, floor)
	return nil
}

// floor publishes with go-redis at a rate and measures until go-redis has received it, with nothing between.
func floor(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("floor", flag.ContinueOnError)
	addr := flags.String("redis", "127.0.0.1:6379", "address of Redis")
	rate := flags.Int("rate", 1000, "events a second")
	duration := flags.Duration("duration", 3*time.Second, "measured time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	db := redis.NewClient(&redis.Options{Addr: *addr})
	defer db.Close()
	sub := db.Subscribe(ctx, "floor")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	base := time.Now()
	total := int(duration.Seconds() * float64(*rate))
	published := make(chan error, 1)
	go func() { published <- publishFloor(ctx, db, base, total, time.Second/time.Duration(*rate)) }()
	var h stats.Histogram
	for range total {
		message, err := sub.ReceiveMessage(ctx)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		sent, err := strconv.ParseInt(message.Payload, 10, 64)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		h.Record(time.Since(base) - time.Duration(sent))
	}
	if err := <-published; err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(figures{floorP50: millis(h.Percentile(50)), floorP99: millis(h.Percentile(99))})
}

// publishFloor publishes the time since base, total times. A late tick does not count against Redis: the time is that
// of the call.
func publishFloor(ctx context.Context, db *redis.Client, base time.Time, total int, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for range total {
		<-ticker.C
		if err := db.Publish(ctx, "floor", int64(time.Since(base))).Err(); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}
