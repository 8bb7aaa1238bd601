package testkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// shownLog is how much of a process's log a failed test shows.
const shownLog = 6 << 10

// A Process is a program that a test has started. The test's end kills it.
type Process struct {
	name  string
	cmd   *exec.Cmd
	log   string // path
	done  chan struct{}
	start time.Time
}

// StartProcess starts a program with exactly the environment env besides PATH and a HOME of its own.
func StartProcess(t testing.TB, name string, env []string, path string, args ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithTest()
	p := &Process{name: name, cmd: cmd, log: log.Name(), done: make(chan struct{}), start: time.Now()}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = cmd.Wait() // the state says how it ended
		close(p.done)
	}()
	t.Cleanup(func() { p.cleanUp(t) })
	return p
}

func (p *Process) cleanUp(t testing.TB) {
	p.Kill()
	log := p.Log()
	for _, fault := range []string{"WARNING: DATA RACE", "\npanic: ", "\nfatal error: "} {
		if bytes.Contains(log, []byte(fault)) {
			t.Errorf("%s logged %q", p.name, bytes.TrimSpace([]byte(fault)))
		}
	}
	if t.Failed() {
		if len(log) > shownLog {
			log = append([]byte("…"), log[len(log)-shownLog:]...)
		}
		t.Logf("log of %s, started at %s:\n%s", p.name, p.start.Format(time.StampMilli), log)
	}
}

// Name is what the process was started as.
func (p *Process) Name() string { return p.name }

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is what the process has written to its standard output and error.
func (p *Process) Log() []byte {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return log
}

// Signal sends a signal.
func (p *Process) Signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("send %v to %s: %v", signal, p.name, err)
	}
}

// Freeze stops the process as it stands (SIGSTOP): its connections stay open and nothing answers.
func (p *Process) Freeze(t testing.TB) {
	t.Helper()
	p.Signal(t, signalFreeze)
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw(t testing.TB) {
	t.Helper()
	p.Signal(t, signalThaw)
}

// Kill ends the process at once (SIGKILL) and waits for it. It does nothing to a process that has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Running tells whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// WaitExit waits for the process to end by itself and returns its exit code, -1 if a signal ended it.
func (p *Process) WaitExit(t testing.TB, timeout time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(timeout):
		t.Fatalf("%s has not ended within %v", p.name, timeout)
		return 0
	}
}

// Memory is the process's resident set in bytes.
func (p *Process) Memory(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(status), &size, &resident); err != nil {
		t.Fatalf("read statm %q: %v", status, err)
	}
	return resident * int64(os.Getpagesize())
}

// Files is the number of file descriptors that the process has open.
func (p *Process) Files(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Alive returns an error once the process has ended, for loops that wait for it to answer.
func (p *Process) Alive() error {
	if p.Running() {
		return nil
	}
	return fmt.Errorf("%s has ended: %s", p.name, p.cmd.ProcessState)
}

// Program returns the path of a program that the tests cannot do without.
func Program(t testing.TB, program string) string {
	t.Helper()
	for _, path := range []string{program, "/usr/sbin/" + program} {
		found, err := exec.LookPath(path)
		if err == nil {
			return found
		}
		if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	t.Fatalf("%s is not installed: scripts/setup installs what the tests need", program)
	return ""
}
