package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"sse-gateway/bench/internal/server"
	"sse-gateway/bench/internal/wire"
)

// single runs one workload against one server that it starts.
func single(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("single", flag.ContinueOnError)
	var p params
	p.register(flags)
	var s subject
	flags.StringVar(&s.System, "system", "gateway", "gateway or nchan")
	flags.StringVar(&s.Gateway, "gateway", "bin/gateway", "path of the gateway's binary")
	flags.BoolVar(&s.Redis, "redis", false, "with a Redis, started for it")
	name := flags.String("workload", "fanout", workloadNames())
	profile := flags.String("profile", "", "file for a CPU profile of the gateway's measured time")
	own := flags.String("own-profile", "", "file for a CPU profile of the load tool")
	if err := flags.Parse(args); err != nil {
		return err
	}
	w, err := findWorkload(*name)
	if err != nil {
		return err
	}
	r, err := setUp(ctx, s, w, p)
	if err != nil {
		return err
	}
	var profiling sync.WaitGroup
	var profileErr error // written by profiling
	if *profile != "" {
		r.begin = func() {
			profiling.Go(func() { profileErr = saveProfile(ctx, r.servers[0], r.Duration, *profile) })
		}
	}
	stop, err := profileSelf(*own)
	if err != nil {
		return errors.Join(err, r.tearDown())
	}
	err = w.run(r)
	profiling.Wait()
	err = errors.Join(err, profileErr, stop())
	printFigures(stdout, r.figures)
	return errors.Join(err, r.tearDown())
}

// drive runs one workload against a server that is running.
func drive(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("drive", flag.ContinueOnError)
	var p params
	p.register(flags)
	name := flags.String("workload", "fanout", workloadNames())
	pid := flags.Int("pid", 0, "process of the server, for its CPU and memory, which its descendants count to")
	t := wire.Gateway("")
	flags.StringVar(&t.Addr, "addr", "127.0.0.1:8000", "address of the server")
	flags.StringVar(&t.Subscribe, "subscribe", t.Subscribe, "path of a subscription")
	flags.StringVar(&t.Separator, "separator", t.Separator, "what stands between topics there")
	flags.StringVar(&t.Publish, "publish", t.Publish, "path of a publish request")
	flags.StringVar(&t.Body, "body", t.Body, "its body")
	flags.StringVar(&t.NDJSON, "ndjson", t.NDJSON, "path of a streaming publish; empty: there is none")
	flags.StringVar(&t.Header, "header", "", `one more header line, such as "Authorization: Bearer …"`)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if t.Header != "" {
		t.Header += "\r\n"
	}
	w, err := findWorkload(*name)
	switch {
	case err != nil:
		return err
	case w.replicas > 1 || w.name == "idle" && *pid == 0:
		return fmt.Errorf("workload %q needs to start its servers, or to know their process (-pid)", w.name)
	}
	r := &run{params: p, figures: make(figures)}
	if *pid != 0 {
		r.servers = []*server.Process{{PID: *pid}}
	}
	if err := r.connect(ctx, t, t, w); err != nil {
		return err
	}
	err = w.run(r)
	printFigures(stdout, r.figures)
	return errors.Join(err, r.client.Close())
}

func workloadNames() string {
	var text strings.Builder
	for _, w := range workloads() {
		fmt.Fprintf(&text, "\n%s: %s", w.name, w.about)
	}
	return text.String()[1:]
}

func printFigures(w io.Writer, f figures) {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		_, _ = fmt.Fprintf(w, "%12s  %s\n", number(f[name]), name)
	}
}

// profileSelf starts to profile the load tool, unless path is empty, and returns what ends that.
func profileSelf(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path) //nolint:gosec // where the user wants it
	if err != nil {
		return nil, fmt.Errorf("create profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("start profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// saveProfile has the gateway profile itself, for less than the measured time.
func saveProfile(ctx context.Context, p *server.Process, measured time.Duration, path string) error {
	if p.Admin == "" {
		return errors.New("only the gateway can be profiled")
	}
	seconds := max(int(measured.Seconds())-1, 1)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.Admin, seconds), http.NoBody)
	if err != nil {
		return fmt.Errorf("fetch profile: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("fetch profile: %w", err)
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("fetch profile: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch profile: status %d", response.StatusCode)
	}
	return os.WriteFile(path, body, 0o600)
}
