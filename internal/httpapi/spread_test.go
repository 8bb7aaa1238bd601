package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
)

// A page that came back after 1 ms would ask hundreds of times a second; after an hour it would seem dead.
func TestPublish_KeepsRetryWithinReason(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	for asked, want := range map[int]int{1: 1000, 999: 1000, 1000: 1000, 1234: 1234, 300_000: 300_000, 300_001: 300_000, 3_600_000: 300_000} {
		topic := fmt.Sprint("t", asked)
		g.publish(fmt.Sprintf(`{"topic":%q,"data":1,"retry":%d}`, topic, asked))
		s, _ := g.subscribe("topics=" + topic + "&since=all")
		if event := s.next(); event.Retry != want {
			t.Errorf("retry %d: the subscriber is told %d, want %d", asked, event.Retry, want)
		}
		s.close()
	}
	g.do(http.MethodPost, "/topics/closing/close", `{"data":"bye","retry":1}`)
	if got := g.do(http.MethodGet, "/topics/closing/events", ""); !strings.Contains(got.body, `"retry":1000`) {
		t.Errorf("the event that came with a close: %s", got.body)
	}
}

// broadcast is an event of n bytes for so many topics.
func broadcast(topics, n int) string {
	names := make([]string, topics)
	for i := range names {
		names[i] = fmt.Sprintf(`"t%04d"`, i)
	}
	return `{"topics":[` + strings.Join(names, ",") + `],"data":"` + strings.Repeat("x", n-2) + `"}`
}

// One request must not become far more in the event store than it was on the wire.
func TestPublish_BoundsWhatOneRequestBecomes(t *testing.T) {
	const ndjson = "application/x-ndjson"
	for name, test := range map[string]struct {
		body, contentType string
		status            int
		want              string
	}{
		"within":             {broadcast(100, 300), "", 200, `{"results":[{"id":`},
		"beyond":             {broadcast(100, 1000), "", 413, "makes 100500 bytes of 100 events, more than the 40000 that one request may become: name fewer topics or users at a time"},
		"beyond, in sum":     {"[" + broadcast(90, 250) + "," + broadcast(90, 250) + "]", "", 413, "item 1: "},
		"beyond, in a line":  {broadcast(100, 1000), ndjson, 200, `"status":413`},
		"lines count singly": {broadcast(100, 300) + "\n" + broadcast(100, 300), ndjson, 200, `{"results":[{"id":`},
		"no broadcast":       {`[{"topic":"a","data":"` + strings.Repeat("x", 4000) + `"},{"topic":"a","data":"` + strings.Repeat("x", 4000) + `"}]`, "", 200, `{"results":[{"id":`},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTestGateway(t, auth.None{}, Options{MaxBodyBytes: 10_000})
			got := g.do(http.MethodPost, "/publish", test.body, "Content-Type", test.contentType)
			if got.status != test.status || !strings.Contains(got.body, test.want) {
				t.Errorf("got %d %.300s, want %d with %s", got.status, got.body, test.status, test.want)
			}
			list := g.do(http.MethodGet, "/topics/t0001", "")
			if refused := strings.Contains(got.body, "413"); refused != strings.Contains(list.body, `"events":0`) && name != "no broadcast" {
				t.Errorf("refused: %v, and then: %s", refused, list.body)
			}
		})
	}
}

// The rate counts events, which are as many as targets: a broadcast is as expensive as so many single ones.
func TestPublish_RateCountsEachTarget(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{PublishRate: 1, PublishBurst: 10})
	if got := g.do(http.MethodPost, "/publish", broadcast(10, 3)); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	}
	got := g.do(http.MethodPost, "/publish", broadcast(10, 3))
	if got.status != http.StatusTooManyRequests {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
