package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// A machine describes where figures were measured.
type machine struct {
	CPU, Cores, Memory, Kernel             string
	Gateway, Go, Nginx, Nchan, Redis, Date string
}

// describeMachine gathers the description, and fails if the machine cannot run the comparison.
func describeMachine(ctx context.Context) (machine, error) {
	output := func(name string, args ...string) string {
		out, err := exec.CommandContext(ctx, name, args...).CombinedOutput() //nolint:gosec // fixed commands
		if err != nil && len(out) == 0 {
			return "unknown"
		}
		line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
		return string(line)
	}
	m := machine{
		CPU:     procField("/proc/cpuinfo", "model name"),
		Cores:   output("nproc", "--all"),
		Memory:  procField("/proc/meminfo", "MemTotal"),
		Kernel:  output("uname", "-sr"),
		Gateway: output("git", "describe", "--always", "--dirty"),
		Go:      runtime.Version(),
		Nginx:   strings.TrimPrefix(output("nginx", "-v"), "nginx version: "),
		Nchan:   output("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"),
		Redis:   output("redis-server", "--version"),
		Date:    time.Now().Format(time.DateOnly),
	}
	if m.Cores == "1" {
		return m, errors.New("the comparison needs two cores: one for the server, one for the load tool")
	}
	return m, nil
}

// document is a saved result: what was measured, on what, and how to do it again.
func (m machine) document(turns int, table string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Results\n\nMade by `make bench`; bench/README.md says what each workload is and how it is measured. Medians of %d turns, "+
		"gateway and nchan\nalternating. Compare ratios, not figures of different machines.\n\n", turns)
	for _, line := range [][2]string{
		{"date", m.Date},
		{"processor", fmt.Sprintf("%s, %s cores; server on core %d, load tool and Redis on core %d", m.CPU, m.Cores, serverCore, loadCore)},
		{"memory", m.Memory},
		{"kernel", m.Kernel},
		{"gateway", m.Gateway + ", " + m.Go},
		{"nchan", m.Nchan + ", " + m.Nginx},
		{"Redis", m.Redis},
	} {
		fmt.Fprintf(&b, "- %s: %s\n", line[0], line[1])
	}
	return b.String() + "\n" + table
}

// procField returns the value of the first line of a /proc file that starts with name.
func procField(path, name string) string {
	f, err := os.Open(path) //nolint:gosec // a file of /proc
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
