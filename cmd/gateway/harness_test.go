package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sse-gateway/internal/sse"
	"sse-gateway/internal/testkit"
)

// asGateway makes the test's own binary a gateway: a process that can get signals.
const asGateway = "TEST_AS_GATEWAY=1"

func TestMain(m *testing.M) {
	if slices.Contains(os.Environ(), asGateway) {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// A running is a gateway under way, in this process or in one of its own.
type running struct {
	t    *testing.T
	log  *testkit.Buffer
	stop func(os.Signal)
	done chan struct{} // closed when it has ended
	code int           // its exit code, when done
	err  error         // of run, when done
}

// startRun runs a gateway in this process.
func startRun(t *testing.T, environ ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, log: &testkit.Buffer{}, stop: func(os.Signal) { cancel() }, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = run(ctx, []string{"gateway"}, append([]string{"GATEWAY_ADDR=127.0.0.1:0", "GATEWAY_DRAIN=100ms"}, environ...), io.Discard, r.log)
		r.code = exit(r.err, r.log)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// startProcess runs a gateway as a process of its own.
func startProcess(t *testing.T, environ ...string) *running {
	t.Helper()
	r := &running{t: t, log: &testkit.Buffer{}, done: make(chan struct{})}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append([]string{asGateway, "GATEWAY_ADDR=127.0.0.1:0"}, environ...)
	cmd.Stderr = r.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.stop = func(s os.Signal) { _ = cmd.Process.Signal(s) }
	go func() {
		defer close(r.done)
		_ = cmd.Wait()
		r.code = cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-r.done
	})
	return r
}

// url waits until the gateway is up and ready, and returns where.
func (r *running) url() string {
	r.t.Helper()
	page := regexp.MustCompile(`"page":"(https?)://localhost(:\d+)/"`)
	var url string
	r.waitFor("the gateway is up", func() bool {
		if found := page.FindStringSubmatch(r.log.String()); found != nil {
			url = found[1] + "://127.0.0.1" + found[2]
		}
		return url != ""
	})
	if strings.HasPrefix(url, "http:") {
		r.waitFor("the gateway is ready", func() bool { return r.status(url+"/readyz") == http.StatusOK })
	}
	return url
}

func (r *running) waitFor(what string, condition func() bool) {
	r.t.Helper()
	notYet := errors.New(what)
	err := testkit.Poll(testkit.Patience, func() error {
		if condition() {
			return nil
		}
		return notYet
	})
	if err != nil {
		r.t.Fatalf("it does not happen that %v; log:\n%s", err, r.log)
	}
}

// status asks once, on a connection of its own; 0: no answer.
func (r *running) status(url string) int {
	r.t.Helper()
	response, err := r.get(url)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func (r *running) get(url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Close = true
	return http.DefaultClient.Do(request)
}

func (r *running) end() int {
	r.t.Helper()
	select {
	case <-r.done:
		return r.code
	case <-time.After(20 * time.Second):
		r.t.Fatalf("the gateway does not end; log:\n%s", r.log)
		return 0
	}
}

// subscribe opens a stream and reads ready.
func (r *running) subscribe(url string) (*sse.Decoder, io.Closer) {
	r.t.Helper()
	response, err := r.get(url + "/subscribe?topics=robot")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = response.Body.Close() })
	events := sse.NewDecoder(response.Body)
	if event, err := events.Next(); err != nil || event.Type != "ready" {
		r.t.Fatalf("got %+v, %v", event, err)
	}
	return events, response.Body
}
