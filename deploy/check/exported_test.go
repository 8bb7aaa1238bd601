package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// patience is how long anything may take on a busy machine.
const patience = 2 * time.Minute

// A sample is one line of /metrics.
type sample struct {
	labels labels.Labels
	value  float64
}

// scrape is what the gateway exports before anything has happened: each metric must be there already, with the values of its
// labels that are known beforehand, since a counter that begins with its first event shows no increase.
func scrape(t *testing.T) []sample {
	t.Helper()
	redis := free(t)
	start(t, nil, "redis-server", "--port", port(redis), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	addr := free(t)
	start(t, []string{"GATEWAY_ADDR=" + addr, "GATEWAY_REDIS_URL=redis://" + redis}, build(t))
	eventually(t, func() error { _, err := get(t, "http://"+addr+"/readyz"); return err })
	body, err := get(t, "http://"+addr+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, body)
}

func parse(t *testing.T, body []byte) []sample {
	t.Helper()
	p, err := textparse.New(body, "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var samples []sample
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var set labels.Labels
		p.Labels(&set)
		_, _, value := p.Series()
		// What a scrape adds.
		set = labels.NewBuilder(set).Set("job", "gateway").Set("instance", "replica").Labels()
		samples = append(samples, sample{set, value})
	}
}

// names are the samples' metrics, and up, which a scrape adds.
func names(samples []sample) map[string]bool {
	found := map[string]bool{"up": true}
	for _, s := range samples {
		found[s.labels.Get(model.MetricNameLabel)] = true
	}
	return found
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "gateway")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/gateway")
	command.Dir = "../.." // another module
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, output)
	}
	return binary
}

// start runs a program until the test ends.
func start(t *testing.T, env []string, path string, args ...string) {
	t.Helper()
	var log bytes.Buffer
	command := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGKILL)
		_ = command.Wait() // killed
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), log.String())
		}
	})
}

func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

func get(t *testing.T, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

// eventually asks until there is no error.
func eventually(t *testing.T, cond func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}
