package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sse-gateway/internal/testkit"
)

// shell makes a command for bash, in which gateway is this test's own binary and GATEWAY_URL a running gateway.
func shell(t *testing.T, url, command string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(dir, "gateway")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-o", "pipefail", "-c", command)
	cmd.Env = []string{asGateway, "GATEWAY_URL=" + url, "PATH=" + dir + ":" + os.Getenv("PATH")}
	return cmd
}

// The commands of the README, as they stand there. Those that do not end by themselves are interrupted.
func TestUse_EveryCommandOfTheReadmeWorks(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	url := startProcess(t).url()
	ran := 0
	for line := range strings.Lines(string(readme)) {
		command, _, _ := strings.Cut(strings.TrimSpace(line), "  #")
		if !strings.HasPrefix(line, "    ") || !strings.HasPrefix(command[strings.LastIndex(command, "|")+1:], "gateway ") &&
			!strings.Contains(command, "| gateway ") {
			continue
		}
		ran++
		t.Run(command, func(t *testing.T) {
			endless := strings.Contains(command, " tail ") || strings.Contains(command, " sub ") && !strings.Contains(command, "--count")
			if endless {
				command = strings.Replace(command, "gateway ", "timeout -s INT 1 gateway ", 1)
			}
			out, err := shell(t, url, command).CombinedOutput()
			exit, interrupted := errors.AsType[*exec.ExitError](err)
			if endless && interrupted && exit.ExitCode() == 124 && len(out) == 0 {
				return
			}
			if err != nil || endless || len(out) == 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	if ran < 5 {
		t.Errorf("only %d commands were found", ran)
	}
}

func TestUse_ResumesThroughARestartAndEndsAtCtrlC(t *testing.T) {
	addr := testkit.FreeAddr(t)
	first := startProcess(t, "GATEWAY_ADDR="+addr, "GATEWAY_RETRY=100ms")
	url := first.url()
	sub := shell(t, url, "exec gateway sub robot --all")
	out, err := sub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log testkit.Buffer
	sub.Stderr = &log
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	expect := func(want string) {
		t.Helper()
		for timeout := time.After(20 * time.Second); ; {
			select {
			case line, ok := <-lines:
				if strings.Contains(line, want) {
					return
				}
				if !ok {
					t.Fatalf("it ends before %s; it says\n%s", want, log.String())
				}
			case <-timeout:
				t.Fatalf("%s does not come; it says\n%s", want, log.String())
			}
		}
	}
	expect(`"event":"ready"`)
	first.stop(syscall.SIGKILL)
	first.end()
	startProcess(t, "GATEWAY_ADDR="+addr, "GATEWAY_RETRY=100ms").url()
	expect(`"event":"gap","topic":"robot"`) // the embedded broker keeps nothing
	environ := []string{"GATEWAY_URL=" + url}
	if err := run(context.WithoutCancel(t.Context()), []string{"gateway", "pub", "robot", "again"}, environ, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	expect(`"data":"again"`)
	_ = sub.Process.Signal(os.Interrupt)
	if err := sub.Wait(); sub.ProcessState.ExitCode() != 130 {
		t.Errorf("%v; it says\n%s", err, log.String())
	}
	if got := log.String(); strings.Contains(got, "interrupted") || !strings.Contains(got, "; connecting again") {
		t.Errorf("it says\n%s", got)
	}
}
