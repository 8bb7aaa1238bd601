package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"sse-gateway/bench/internal/stats"
)

// comparing is a run of the whole plan.
type comparing struct {
	gateway string
	only    *regexp.Regexp
	turns   int
	quick   bool
	until   time.Time
	stderr  io.Writer

	results []result
	sizes   []measuredSeries
	faults  []error
}

// A result holds every figure of one comparison, per system and turn.
type result struct {
	comparison
	Systems map[string][]figures
}

type measuredSeries struct {
	series  `json:"-"`
	Title   string
	Figures []figures // one per size
}

// compare runs the plan in turns and writes its table.
func compare(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	c := &comparing{stderr: stderr}
	flags.StringVar(&c.gateway, "gateway", "bin/gateway", "path of the gateway's binary")
	flags.BoolVar(&c.quick, "quick", false, "the main workloads only, one turn of each, about two minutes")
	flags.IntVar(&c.turns, "turns", 3, "how often each system runs each workload; the table has the medians")
	only := flags.String("only", "", "regular expression: the comparisons and series whose name matches (with Redis: \"redis: \" before it)")
	limit := flags.Duration("limit", 12*time.Minute, "start nothing more after this time")
	out := flags.String("out", "bench/out", "directory for results.json and table.md")
	save := flags.String("save", "", "file for table and machine, such as bench/RESULTS.md")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if c.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("parse -only: %w", err)
	}
	if c.quick {
		c.turns = 1
	}
	c.until = time.Now().Add(*limit)
	m, err := describeMachine(ctx)
	if err != nil {
		return err
	}
	c.runPlan(ctx)
	c.runGrowth(ctx)
	return errors.Join(c.report(m, stdout, *out, *save), errors.Join(c.faults...), ctx.Err())
}

func (c *comparing) runPlan(ctx context.Context) {
	for _, p := range plan() {
		if !c.only.MatchString(p.title()) || c.quick && !p.Quick {
			continue
		}
		p.Params = p.Params.withDefaults()
		c.results = append(c.results, result{p, make(map[string][]figures)})
	}
	for turn := range c.turns {
		for i := range c.results {
			systems := []string{"gateway", "nchan"}
			if turn%2 == 1 {
				systems = []string{"nchan", "gateway"}
			}
			r := &c.results[i]
			for _, system := range systems {
				s := subject{System: system, Gateway: c.gateway, Redis: r.Redis}
				if f := c.one(ctx, r.title(), s, r.Work, r.Params); f != nil {
					r.Systems[system] = append(r.Systems[system], f)
				}
			}
		}
	}
}

func (c *comparing) runGrowth(ctx context.Context) {
	for _, s := range growth() {
		title := "growth: " + s.Name
		if !c.only.MatchString(title) || c.quick {
			continue
		}
		m := measuredSeries{series: s, Title: title}
		for _, size := range s.Sizes {
			f := c.one(ctx, fmt.Sprintf("%s: %d", title, size), subject{System: "gateway", Gateway: c.gateway}, s.Work, s.Params(size).withDefaults())
			m.Figures = append(m.Figures, f)
		}
		c.sizes = append(c.sizes, m)
	}
}

// one runs one workload against one system and returns nil if that could not be done. A fault of the system is kept,
// and so are the figures of the run in which it happened.
func (c *comparing) one(ctx context.Context, title string, s subject, work string, p params) figures {
	if ctx.Err() != nil {
		return nil
	}
	if time.Now().After(c.until) {
		c.faults = append(c.faults, fmt.Errorf("%s, %s: not run, the time is up (-limit)", title, s.System))
		return nil
	}
	start := time.Now()
	f, err := runOnce(ctx, s, work, p)
	if err != nil {
		c.faults = append(c.faults, fmt.Errorf("%s, %s: %w", title, s.System, err))
		_, _ = fmt.Fprintf(c.stderr, "FAULT %s, %s: %v\n", title, s.System, err)
	}
	_, _ = fmt.Fprintf(c.stderr, "%5.1fs  %-8s %s: %s\n", time.Since(start).Seconds(), s.System, title, brief(f))
	return f
}

func runOnce(ctx context.Context, s subject, work string, p params) (figures, error) {
	w, err := findWorkload(work)
	if err != nil {
		return nil, err
	}
	r, err := setUp(ctx, s, w, p)
	if err != nil {
		return nil, err
	}
	err = w.run(r)
	return r.figures, errors.Join(err, r.tearDown())
}

// median returns the median of a figure over a system's turns.
func (r result) median(system, figure string) float64 {
	var values []float64
	for _, f := range r.Systems[system] {
		if v, ok := f[figure]; ok {
			values = append(values, v)
		}
	}
	return stats.Median(values)
}

// title is the comparison's name with what it runs on.
func (p comparison) title() string {
	if p.Redis {
		return "redis: " + p.Name
	}
	return p.Name
}

// report prints the table and stores it with everything that was measured.
func (c *comparing) report(m machine, stdout io.Writer, out, save string) error {
	table := c.table()
	_, _ = fmt.Fprintf(stdout, "\n%s", table)
	raw, err := json.MarshalIndent(map[string]any{"machine": m, "results": c.results, "growth": c.sizes}, "", "\t")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	err = errors.Join(
		os.MkdirAll(out, 0o750),
		os.WriteFile(filepath.Join(out, "results.json"), raw, 0o600),
		os.WriteFile(filepath.Join(out, "table.md"), []byte(table), 0o600),
	)
	if save != "" {
		err = errors.Join(err, os.WriteFile(save, []byte(m.document(c.turns, table)), 0o644)) //nolint:gosec // a document
	}
	if err != nil {
		return fmt.Errorf("store results: %w", err)
	}
	return nil
}
