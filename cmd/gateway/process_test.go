package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sse-gateway/internal/sse"
)

func TestProcess_DrainsOnSIGTERM(t *testing.T) {
	for _, engine := range []string{"auto", "off"} {
		t.Run(engine, func(t *testing.T) {
			r := startProcess(t, "GATEWAY_DRAIN=1s", "GATEWAY_ENGINE="+engine)
			url := r.url()
			const streams = 20
			ended := make(chan time.Time, streams)
			for range streams {
				events, _ := r.subscribe(url)
				go func() {
					for {
						if _, err := events.Next(); err != nil {
							ended <- time.Now()
							return
						}
					}
				}()
			}
			began := time.Now()
			r.stop(syscall.SIGTERM)
			r.waitFor("the gateway is unready", func() bool { return r.status(url+"/readyz") == http.StatusServiceUnavailable })
			response, err := r.get(url + "/subscribe?topics=robot")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK || !strings.Contains(string(body), "\nretry: ") || strings.Contains(string(body), "ready") {
				t.Errorf("a new stream gets %s %q", response.Status, body)
			}
			var first, last time.Duration
			for i := range streams {
				last = (<-ended).Sub(began)
				if i == 0 {
					first = last
				}
			}
			if first > 500*time.Millisecond || last < 700*time.Millisecond || last > 3*time.Second {
				t.Errorf("the streams end after %s to %s", first, last)
			}
			if code := r.end(); code != 0 {
				t.Errorf("exit code %d; log:\n%s", code, r.log)
			}
		})
	}
}

func TestProcess_SecondSignalEndsAtOnce(t *testing.T) {
	r := startProcess(t, "GATEWAY_DRAIN=10s")
	url := r.url()
	var streams []*sse.Decoder
	for range 3 {
		events, _ := r.subscribe(url)
		streams = append(streams, events)
	}
	// A stream that has its event is one of those whose ends are spread. One that has only begun ends at once.
	response, err := http.Post(url+"/publish", "application/json", strings.NewReader(`{"topic":"robot","data":1}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	for _, events := range streams {
		if event, err := events.Next(); err != nil || event.Type == "ready" {
			t.Fatalf("got %+v, %v", event, err)
		}
	}
	began := time.Now()
	r.stop(syscall.SIGTERM)
	r.waitFor("the gateway is unready", func() bool { return r.status(url+"/readyz") == http.StatusServiceUnavailable })
	r.waitFor("the gateway says what it waits for", func() bool {
		log := r.log.String()
		return strings.Contains(log, "Ctrl-C again") && strings.Contains(log, `"streams":3,"over":"10s"`) && strings.Contains(log, `"streams_left":`)
	})
	r.stop(os.Interrupt)
	if code := r.end(); code != 1 || time.Since(began) > 9*time.Second || !strings.Contains(r.log.String(), "streams were still open") {
		t.Errorf("exit code %d after %s; log:\n%s", code, time.Since(began), r.log)
	}
}
