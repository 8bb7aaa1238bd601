//go:build compose

package compose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// patience is for what takes the engine some seconds.
const patience = time.Minute

// A stack is a running compose project, of this test alone.
type stack struct {
	t       *testing.T
	url     string // of the balancer
	compose []string
	env     []string
}

// newStack returns a stack of these files of deploy/ that is not yet up. The test's end takes all of it away.
func newStack(t *testing.T, files []string, env ...string) *stack {
	t.Helper()
	addr := lab.FreeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	s := &stack{
		t:       t,
		url:     "http://" + addr,
		compose: []string{"compose", "--project-name", "sse-gateway-test-" + port, "--progress", "plain"},
		env:     append(os.Environ(), append(env, "LISTEN="+addr)...),
	}
	for _, file := range files {
		s.compose = append(s.compose, "--file", lab.RepoFile(t, "deploy", file))
	}
	return s
}

// up starts the stack as the README says.
func (s *stack) up() {
	s.t.Helper()
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the end of the stack's logs:\n%s", s.do("logs", "--no-color", "--tail", "20"))
		}
		s.do("--profile", "*", "down", "--volumes", "--rmi", "local", "--timeout", "1")
	})
	begun := time.Now()
	s.do("up", "--build", "--wait")
	s.t.Logf("up after %v", time.Since(begun).Round(time.Second))
}

// do runs docker compose and returns what it prints.
func (s *stack) do(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *stack) try(args ...string) (string, error) {
	return docker(s.env, append(slices.Clip(s.compose), args...)...)
}

func docker(env []string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return stdout.String(), nil
}

// A container is what `docker inspect` says of one.
type container struct {
	ID    string
	Name  string
	State struct {
		Running  bool
		ExitCode int
		Health   struct{ Status string }
	}
	Config struct {
		Image  string
		User   string
		Labels map[string]string
	}
	HostConfig struct {
		Memory         int64
		ReadonlyRootfs bool
		CapDrop        []string
		SecurityOpt    []string
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

// url is where the container is reached from this machine, without the balancer.
func (c container) url() string {
	for _, network := range c.NetworkSettings.Networks {
		return "http://" + network.IPAddress + ":8000"
	}
	return ""
}

// containers are those of a service that run.
func (s *stack) containers(service string) []container {
	s.t.Helper()
	return inspect(s.t, s.env, strings.Fields(s.do("ps", "--quiet", service))...)
}

func inspect(t *testing.T, env []string, ids ...string) []container {
	t.Helper()
	out, err := docker(env, append([]string{"inspect"}, ids...)...)
	if err != nil {
		t.Fatal(err)
	}
	var found []container
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("read docker inspect: %v", err)
	}
	return found
}

// kill ends a container as a crash of its machine does.
func (s *stack) kill(c container) {
	s.t.Helper()
	if _, err := docker(s.env, "kill", c.ID); err != nil {
		s.t.Fatal(err)
	}
}

// openStreams is what a replica's metrics say.
func (s *stack) openStreams(replica container) int {
	s.t.Helper()
	status, body := lab.Get(s.t, replica.url()+"/metrics")
	for line := range strings.Lines(string(body)) {
		var open int
		if _, err := fmt.Sscanf(line, "gateway_streams_open %d", &open); err == nil {
			return open
		}
	}
	s.t.Fatalf("no gateway_streams_open in the metrics of %s: status %d, %s", replica.Name, status, body)
	return 0
}
