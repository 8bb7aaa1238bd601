package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sse-gateway/bench/internal/server"
)

// A bench starts servers of its own and reads their processor time, which a busy machine disturbs much less than the clock.
type bench struct {
	ctx     context.Context
	out     io.Writer
	dir     string
	gateway string
	started []*server.Process
}

func measure(ctx context.Context, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("measure", flag.ContinueOnError)
	events := f.Int("events", 20_000, "events to publish in each measurement")
	streams := f.Int("streams", 4000, "streams to open")
	idle := f.Duration("idle", 15*time.Second, "how long to look at partitions in which nothing happens")
	if err := f.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "capacity")
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, out: stdout, dir: dir, gateway: filepath.Join(dir, "gateway")}
	defer func() { _ = os.RemoveAll(dir) }()
	output, err := exec.CommandContext(ctx, "go", "build", "-o", b.gateway, "sse-gateway/cmd/gateway").CombinedOutput() //nolint:gosec // a directory of our own
	if err != nil {
		return fmt.Errorf("build the gateway: %w\n%s", err, output)
	}
	return errors.Join(
		b.alone(func() error { return b.publishes(*events) }),
		b.alone(func() error { return b.history(*events) }),
		b.alone(func() error { return b.opens(*streams) }),
		b.alone(func() error { return b.primaries(*events) }),
		b.alone(func() error { return b.partitions(*idle) }),
	)
}

// alone runs a measurement and stops what it has started.
func (b *bench) alone(run func() error) error {
	defer b.stop()
	return run()
}

func (b *bench) stop() {
	for _, p := range b.started {
		p.Stop()
	}
	b.started = nil
}

func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format+"\n", args...) }

// startOnRedis starts a Redis and a gateway on it.
func (b *bench) startOnRedis() (store, gateway *server.Process, err error) {
	if store, err = b.start(server.StartRedis, server.Options{Core: 1}); err != nil {
		return nil, nil, err
	}
	gateway, err = b.start(server.StartGateway, server.Options{Redis: store.Target.Addr})
	return store, gateway, err
}

func (b *bench) start(run func(server.Options) (*server.Process, error), o server.Options) (*server.Process, error) {
	dir, err := os.MkdirTemp(b.dir, "")
	if err != nil {
		return nil, err
	}
	o.Dir, o.Path = dir, b.gateway
	p, err := run(o)
	if p != nil {
		b.started = append(b.started, p)
	}
	return p, err
}

// publishes measures what an event costs Redis and each replica that has a subscriber, by the number of these replicas.
func (b *bench) publishes(events int) error {
	for _, n := range []int{1, 2, 4} {
		if err := b.publishesTo(n, events); err != nil {
			return err
		}
		b.stop()
	}
	return nil
}

func (b *bench) publishesTo(n, events int) error {
	store, err := b.start(server.StartRedis, server.Options{Core: 1})
	if err != nil {
		return err
	}
	replicas := make([]*server.Process, n)
	for i := range replicas {
		if replicas[i], err = b.start(server.StartGateway, server.Options{Redis: store.Target.Addr}); err != nil {
			return err
		}
		s, err := openStream(b.ctx, replicas[i].Target.Addr, "t", "")
		if err != nil {
			return err
		}
		defer s.close()
	}
	body := array(func(int) string { return "t" })
	all := slices.Concat(replicas, []*server.Process{store})
	before, err := times(all)
	if err != nil {
		return err
	}
	for range events / batch {
		if err := b.post(replicas[0].Target.Addr, body); err != nil {
			return err
		}
	}
	after, err := times(all)
	if err != nil {
		return err
	}
	per := func(i int) float64 { return (after[i] - before[i]).Seconds() * 1e6 / float64(events) }
	b.say("arrays of %d, %d replicas with a subscriber: Redis %.1f µs an event, the publishing replica %.1f", batch, n, per(n), per(0))
	for i := 1; i < n; i++ {
		b.say("  another replica: %.1f µs an event", per(i))
	}
	return nil
}

// batch is how many events are published in one array.
const batch = 100

// array is a publish of a batch, each event to the topic that its number has.
func array(topic func(i int) string) []byte {
	events := make([]string, batch)
	for i := range events {
		events[i] = fmt.Sprintf(`{"topic":%q,"data":%q}`, topic(i), strings.Repeat("x", 98))
	}
	return []byte("[" + strings.Join(events, ",") + "]")
}

// history measures what Redis keeps of an event and of a topic.
func (b *bench) history(events int) error {
	store, g, err := b.startOnRedis()
	if err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: store.Target.Addr})
	defer func() { _ = client.Close() }()
	for _, topics := range []int{events / 500, events / 10, events} {
		before, err := usedMemory(b.ctx, client)
		if err != nil {
			return err
		}
		for done := 0; done < events; done += batch {
			body := array(func(i int) string { return fmt.Sprintf("h%d-%d", topics, (done+i)%topics) })
			if err := b.post(g.Target.Addr, body); err != nil {
				return err
			}
		}
		after, err := usedMemory(b.ctx, client)
		if err != nil {
			return err
		}
		b.say("%d events of 100 bytes in each of %d topics: Redis %.0f bytes an event", events/topics, topics, (after-before)/float64(events))
	}
	return nil
}

func usedMemory(ctx context.Context, client *redis.Client) (float64, error) {
	info, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, fmt.Errorf("ask Redis for its memory: %w", err)
	}
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			return strconv.ParseFloat(text, 64)
		}
	}
	return 0, errors.New("ask Redis for its memory: no used_memory")
}

// opens measures what a stream costs when it is opened, and when it comes back.
func (b *bench) opens(n int) error {
	store, g, err := b.startOnRedis()
	if err != nil {
		return err
	}
	// The first streams set up what is there once.
	if err := b.opensOf(g, store, "warm", 200, nil); err != nil {
		return err
	}
	cursors := make([]string, n)
	if err := b.opensOf(g, store, "a stream of its own topic", n, cursors); err != nil {
		return err
	}
	return b.opensOf(g, store, "the same, coming back", n, cursors)
}

// opensOf opens n streams, at the cursors if there are some, closes them and keeps their positions in cursors.
func (b *bench) opensOf(g, store *server.Process, name string, n int, cursors []string) error {
	kernel, err := slab()
	if err != nil {
		return err
	}
	before, err := times([]*server.Process{g, store})
	if err != nil {
		return err
	}
	streams := make([]*stream, n)
	defer func() {
		for _, s := range streams {
			if s != nil {
				s.close()
			}
		}
	}()
	for i := range streams {
		cursor := ""
		if cursors != nil {
			cursor = cursors[i]
		}
		if streams[i], err = openStream(b.ctx, g.Target.Addr, fmt.Sprintf("open%d", i), cursor); err != nil {
			return err
		}
		if cursors != nil {
			cursors[i] = streams[i].position
		}
	}
	after, err := times([]*server.Process{g, store})
	if err != nil {
		return err
	}
	opened, err := slab()
	if err != nil {
		return err
	}
	per := func(i int) float64 { return (after[i] - before[i]).Seconds() * 1e6 / float64(n) }
	// Both ends of a connection are on this machine.
	memory, err := server.Memory(g.PID)
	if err != nil {
		return err
	}
	b.say("%s, %d of them: gateway %.0f µs, Redis %.1f µs, kernel %.0f bytes, the gateway has %.1f MB",
		name, n, per(0), per(1), (opened-kernel)/float64(2*n), float64(memory)/1e6)
	return nil
}

// partitions measures what partitions of a Cluster cost in which nothing happens.
func (b *bench) partitions(idle time.Duration) error {
	for _, n := range []int{16, 256, 1024} {
		stores, err := b.cluster(1)
		if err != nil {
			return err
		}
		g, err := b.onCluster(stores, n)
		if err != nil {
			return err
		}
		both := []*server.Process{g, stores[0]}
		before, err := times(both)
		if err != nil {
			return err
		}
		select {
		case <-time.After(idle):
		case <-b.ctx.Done():
			return b.ctx.Err()
		}
		after, err := times(both)
		if err != nil {
			return err
		}
		percent := func(i int) float64 { return (after[i] - before[i]).Seconds() / idle.Seconds() * 100 }
		b.say("%d partitions, nothing happens: gateway %.2f %% of a core, Redis %.2f %%", n, percent(0), percent(1))
		b.stop()
	}
	return nil
}

func times(processes []*server.Process) ([]time.Duration, error) {
	all := make([]time.Duration, len(processes))
	for i, p := range processes {
		var err error
		if all[i], err = server.CPU(p.PID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// slab is what the kernel keeps for sockets and their files.
func slab() (float64, error) {
	text, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return 0, fmt.Errorf("read the kernel's memory: %w", err)
	}
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "TCP", "sock_inode_cache", "filp", "eventpoll_epi":
			objects, err1 := strconv.ParseFloat(fields[1], 64)
			size, err2 := strconv.ParseFloat(fields[3], 64)
			if err := errors.Join(err1, err2); err != nil {
				return 0, fmt.Errorf("read the kernel's memory: %w", err)
			}
			sum += objects * size
		}
	}
	return sum, nil
}

func (b *bench) post(addr string, body []byte) error {
	request, err := http.NewRequestWithContext(b.ctx, http.MethodPost, "http://"+addr+"/publish", bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("publish: %s: %w\n%.300s", response.Status, err, answer)
	}
	return nil
}
