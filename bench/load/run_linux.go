package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"sse-gateway/bench/internal/check"
	"sse-gateway/bench/internal/client"
	"sse-gateway/bench/internal/server"
	"sse-gateway/bench/internal/wire"
)

// The cores: the server has one for itself; the load tool shares the other with Redis, whichever server uses it.
const (
	serverCore = 0
	loadCore   = 1
)

// figures are what a run has measured, by name and unit.
type figures map[string]float64

// A run is one workload against one server that is started for it.
type run struct {
	params
	client  *client.Client
	servers []*server.Process // the one that subscribers use last; two for the workload over two replicas
	redis   *server.Process   // nil: without
	dir     string
	figures figures
	streams int         // opened, or being opened
	over    bool        // the measured time is over: publish no more
	begin   func()      // told at the start of the measured time; may be nil
	publish wire.Target // where publishers connect
}

// subject says what is measured, and how it is started.
type subject struct {
	System  string // gateway or nchan
	Gateway string // path of the gateway's binary
	Redis   bool
}

// setUp starts what a workload needs.
func setUp(ctx context.Context, s subject, w workload, p params) (_ *run, err error) {
	r := &run{params: p, figures: make(figures)}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.tearDown())
		}
	}()
	if r.dir, err = os.MkdirTemp("", "sse-bench-"); err != nil {
		return nil, fmt.Errorf("create directory: %w", err)
	}
	redis := ""
	if s.Redis {
		if r.redis, err = server.StartRedis(server.Options{Core: loadCore, Dir: r.sub("redis")}); err != nil {
			return nil, err
		}
		redis = r.redis.Target.Addr
	}
	startServer := server.StartGateway
	if s.System == "nchan" {
		startServer = server.StartNchan
	}
	for i := range w.replicas {
		dir := r.sub(fmt.Sprintf("%s-%d", s.System, i))
		p, err := startServer(server.Options{Core: serverCore, Dir: dir, Redis: redis, Path: s.Gateway})
		if err != nil {
			return nil, err
		}
		r.servers = append(r.servers, p)
	}
	return r, r.connect(ctx, r.servers[0].Target, r.servers[len(r.servers)-1].Target, w)
}

// connect makes the client: it publishes at one target and subscribes at the other.
func (r *run) connect(ctx context.Context, publish, subscribe wire.Target, w workload) error {
	r.publish = publish
	book := check.NewBook(max(r.Topics, r.Streams+warmStreams, 1)+r.Idle, w.pipelined)
	c, err := client.New(subscribe, book, r.Bytes)
	if err != nil {
		return err
	}
	c.Interrupt, r.client = ctx.Done(), c
	return nil
}

func (r *run) sub(name string) string {
	dir := filepath.Join(r.dir, name)
	_ = os.Mkdir(dir, 0o700) // a failure shows when the server writes there
	return dir
}

// tearDown closes the client first, so that no server sees the end of its streams while another is measured.
func (r *run) tearDown() error {
	var err error
	if r.client != nil {
		err = r.client.Close()
	}
	for _, p := range append(r.servers, r.redis) {
		if p != nil {
			p.Stop()
		}
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// finish ends the load, waits for what is under way, and returns the faults.
func (r *run) finish() error {
	r.over = true
	if err := r.client.Every(0, nil); err != nil {
		return err
	}
	if err := r.client.Drain(r.Drain); err != nil {
		return err
	}
	for _, p := range r.servers {
		if !p.Running() {
			return fmt.Errorf("the server has ended: %s", p.Log())
		}
	}
	return r.client.Book.Finish().Err()
}

// sample is the state of the counters at one time.
type sample struct {
	at                   time.Time
	delivered, published int
	reads                int
	server, redis, self  time.Duration // processor time
	all                  time.Duration // of the whole machine
}

func (r *run) sample() (s sample, err error) {
	for _, p := range r.servers {
		used, err := server.CPU(p.PID)
		if err != nil {
			return s, err
		}
		s.server += used
	}
	if r.redis != nil {
		if s.redis, err = server.CPU(r.redis.PID); err != nil {
			return s, err
		}
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return s, fmt.Errorf("read own times: %w", err)
	}
	if s.all, err = server.AllCPU(); err != nil {
		return s, err
	}
	s.self = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	s.delivered, s.published, s.reads = r.client.Delivered, r.client.Published, r.client.Reads()
	s.at = time.Now()
	return s, nil
}

// measure lets the load that has been set going run: first unmeasured, then measured.
func (r *run) measure() error {
	if err := r.client.RunFor(r.Warmup); err != nil {
		return err
	}
	r.client.Latency.Reset()
	r.client.Acks.Reset()
	before, err := r.sample()
	if err != nil {
		return err
	}
	if r.begin != nil {
		r.begin()
	}
	if err := r.client.RunFor(r.Duration); err != nil {
		return err
	}
	after, err := r.sample()
	if err != nil {
		return err
	}
	r.note(before, after)
	return r.finish()
}
