package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"sse-gateway/bench/internal/wire"
)

// startLimit bounds how long a server may take until it answers.
const startLimit = 10 * time.Second

// A Process is a server under measurement. Stop ends it.
type Process struct {
	PID    int
	Target wire.Target
	Admin  string // address of the gateway's admin port; empty for others

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	dir  string
}

// start runs a command pinned to a core, in a process group of its own so that its workers end with it. What it prints
// goes to log within dir.
func start(core int, dir string, env []string, name string, args ...string) (*Process, error) {
	log, err := os.Create(filepath.Join(dir, filepath.Base(name)+".log")) //nolint:gosec // a directory of our own
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	defer log.Close() // the child has its own descriptor
	args = append([]string{"-c", strconv.Itoa(core), name}, args...)
	cmd := exec.CommandContext(context.Background(), "taskset", args...) //nolint:gosec // what the tool measures
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{PID: cmd.Process.Pid, cmd: cmd, done: make(chan struct{}), dir: dir}
	go func() {
		_ = cmd.Wait() // Stop kills it: how it ended says nothing
		close(p.done)
	}()
	return p, nil
}

// Stop kills the process and its workers and waits for it.
func (p *Process) Stop() {
	_ = syscall.Kill(-p.PID, syscall.SIGKILL) // may have ended already
	<-p.done
}

// Running reports whether the process has not ended by itself.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Log returns the end of what the process printed, for messages about why it failed.
func (p *Process) Log() string {
	var all []byte
	names, _ := filepath.Glob(filepath.Join(p.dir, "*.log"))
	for _, name := range names {
		text, err := os.ReadFile(name) //nolint:gosec // see start
		if err == nil {
			all = append(all, text[max(0, len(text)-2000):]...)
		}
	}
	return string(all)
}

// await waits until probe succeeds, and stops the process if it does not.
func (p *Process) await(probe func() error) error {
	deadline := time.NewTimer(startLimit)
	defer deadline.Stop()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		err := probe()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("start %s: it has ended: %s", p.cmd.Args[3], p.Log())
		case <-deadline.C:
			p.Stop()
			return fmt.Errorf("start %s: not up after %v: %w: %s", p.cmd.Args[3], startLimit, err, p.Log())
		case <-retry.C:
		}
	}
}

// listens is a probe: something accepts connections at addr.
func listens(addr string) func() error {
	return func() error {
		c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		return c.Close()
	}
}

// answers is a probe: a request without body is answered with a 2xx.
func answers(method, url string) func() error {
	return func() error {
		request, err := http.NewRequestWithContext(context.Background(), method, url, http.NoBody)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		if response.StatusCode >= 300 {
			err = fmt.Errorf("probe %s: status %d", url, response.StatusCode)
		}
		return errors.Join(err, response.Body.Close())
	}
}

// freeAddr returns an address of 127.0.0.1 that nothing listens on. Another process could take it before the server
// does; then the start fails and says so.
func freeAddr() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
