// Command prove shows that the model test can fail. It switches the rules of docs/exactness.md off, one at a time, in a
// copy of the code, and runs the model until it finds the fault:
//
//	go run ./internal/fanout/prove           every rule, each for as long as it may take
//	go run ./internal/fanout/prove -short    those that are found within few runs
//	go run ./internal/fanout/prove -rule 14  one rule
//
// It prints a table, and exits with 1 if a rule stays green that should not, or if a rule's code is not where it was. Nothing in
// the work tree is changed: the compiler is given the changed file in the place of the true one (go build -overlay).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	short := flag.Bool("short", false, fmt.Sprintf("only the rules that are found within %d runs", shortRuns))
	only := flag.Int("rule", 0, "only the rule with this `number`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *short, *only); err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(1)
	}
}

// hangs is when a mutation is taken to hang, which is a fault that has been found.
const hangs = 10 * time.Minute

// shortRuns is how many runs a rule may take that the short form proves too: a minute for all of them on two cores that are free.
const shortRuns = 2000

func run(ctx context.Context, out io.Writer, short bool, only int) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "prove")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(out, "%4s  %-66s %10s %8s\n", "rule", "switched off", "found, run", "time")
	green := 0
	all := mutations()
	for i := range all {
		m := &all[i]
		if (short && (m.within > shortRuns || m.equivalent != "")) || (only != 0 && m.rule != only) {
			continue
		}
		v, err := m.prove(ctx, root, dir)
		if err != nil {
			return fmt.Errorf("rule %d, %s: %w", m.rule, m.what, err)
		}
		fmt.Fprintf(out, "%4d  %-66s %10s %7.1fs  %s\n", m.rule, m.what, v.found, v.took.Seconds(), v.note)
		if v.wrong {
			green++
		}
	}
	if green > 0 {
		return fmt.Errorf("%d rules can be switched off, and the model does not find it", green)
	}
	return nil
}

// moduleRoot is the folder of go.mod.
func moduleRoot() (string, error) {
	path, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(path))), nil
}

// A verdict is what the model said of a mutation.
type verdict struct {
	found string // in how many runs
	took  time.Duration
	note  string
	wrong bool // it should have been found, or it is called equivalent and was found
}

// prove builds the model test with the mutation, and runs it.
func (m *mutation) prove(ctx context.Context, root, dir string) (verdict, error) {
	changed, err := m.apply(root)
	if err != nil {
		return verdict{}, err
	}
	replacement, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(replacement, changed, 0o600); err != nil {
		return verdict{}, err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): replacement}})
	if err != nil {
		return verdict{}, err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return verdict{}, err
	}
	test := filepath.Join(dir, "model.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", overlay, "-o", test, "./internal/fanout") //nolint:gosec // names of our own
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return verdict{}, fmt.Errorf("the changed code does not build: %w\n%s", err, out)
	}
	began := time.Now()
	model := exec.CommandContext(ctx, test, "-test.run", "^TestModel$", "-test.v", "-test.timeout", hangs.String(), "-model.runs", strconv.Itoa(m.within)) //nolint:gosec // the same
	model.Dir = filepath.Join(root, "internal/fanout")
	out, err := model.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return verdict{}, ctx.Err()
	case err != nil && !errors.As(err, &exit):
		return verdict{}, fmt.Errorf("run the model: %w", err)
	}
	v, err := m.judge(string(out), err != nil)
	v.took = time.Since(began)
	return v, err
}

// apply returns the file with the mutation.
func (m *mutation) apply(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file)) //nolint:gosec // the same
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return nil, fmt.Errorf("%s has its code %d times, want once:\n%s", m.file, n, m.old)
	}
	return []byte(strings.Replace(string(text), m.old, m.new, 1)), nil
}

var runsDone = regexp.MustCompile(`(\d+) runs, \d+ a second`)

// judge reads what the model test printed.
func (m *mutation) judge(out string, found bool) (verdict, error) {
	runs := "panic" // a mutation may well end the test by force
	if done := runsDone.FindStringSubmatch(out); done != nil {
		runs = done[1]
	} else if !found {
		return verdict{}, fmt.Errorf("the model test ran nothing:\n%s", out)
	}
	switch {
	case found && m.equivalent != "":
		return verdict{found: runs, note: "called equivalent, and is not: " + m.equivalent, wrong: true}, nil
	case found:
		return verdict{found: runs}, nil
	case m.equivalent != "":
		return verdict{found: "-", note: "equivalent: " + m.equivalent}, nil
	}
	return verdict{found: "-", note: "STAYS GREEN in " + runs + " runs", wrong: true}, nil
}
