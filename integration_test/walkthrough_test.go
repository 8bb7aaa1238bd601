package integration_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// readmeCommands are the curl commands of the README's walk-through, as typed there.
func readmeCommands(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile(lab.RepoFile(t, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for line := range strings.Lines(string(readme)) {
		line, _, _ = strings.Cut(line, "  #") // a comment
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") && strings.Contains(line, "localhost:8000") {
			commands = append(commands, line)
		}
	}
	return commands
}

func TestWalkThrough_WorksAsTyped(t *testing.T) {
	gateway := lab.StartGateway(t, gateways.Binary(t))
	typed := func(command string) *exec.Cmd {
		command = strings.ReplaceAll(command, "localhost:8000", gateway.Addr())
		return exec.CommandContext(t.Context(), "bash", "-c", command)
	}
	listen := `curl -N 'http://localhost:8000/subscribe?user=jack&topics=chatgpt|robot'`
	publish := `curl -d '{"topic": "robot", "data": "hi robot"}' http://localhost:8000/publish`
	for _, command := range []string{listen, publish} {
		if !slices.Contains(readmeCommands(t), command) {
			t.Errorf("the README does not have %s", command)
		}
	}

	stream := typed("exec " + strings.Replace(listen, "curl ", "curl -s ", 1))
	out, err := stream.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stream.Process.Kill()
		_ = stream.Wait()
	}()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	expectLines(t, lines, `retry: \d+`, `event: ready`, `data: {"topics":\["chatgpt","robot"\],"user":"jack","heartbeat":15000}`, `id: \d+-\d+`, ``)

	answer, err := typed(publish).Output()
	if err != nil || !regexp.MustCompile(`^{"id":"\d+-\d+"}\s*$`).Match(answer) {
		t.Fatalf("publish answered %q, %v", answer, err)
	}
	id := string(bytes.Split(answer, []byte(`"`))[3])
	expectLines(t, lines, `data: {"topic":"robot","data":"hi robot"}`, `id: `+id, ``)

	_, port, _ := strings.Cut(gateway.Addr(), ":")
	if log := string(gateway.Log()); !strings.Contains(log, "http://localhost:"+port+"/") {
		t.Errorf("the log does not say where the page is:\n%s", log)
	}
}

func expectLines(t *testing.T, lines <-chan string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		select {
		case line, ok := <-lines:
			if !ok || !regexp.MustCompile("^"+pattern+"$").MatchString(line) {
				t.Fatalf("got line %q (more: %v), want %q", line, ok, pattern)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no line came; want %q", pattern)
		}
	}
}
