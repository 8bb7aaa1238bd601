package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/testkit"
)

// A publisher that fills the embedded broker with topics shuts nobody out, and whoever follows others hears nothing of it.
func TestPublish_TopicsWithoutEndShutNobodyOut(t *testing.T) {
	store := memory.New(memory.Options{Retention: broker.Retention{Size: 10}, MaxBytes: 1 << 20})
	g := newTestGatewayOn(t, store, auth.None{}, Options{})
	testkit.WaitFor(t, "the hub is ready", func() bool { return g.hub.Ready() == nil })
	g.publish(`{"topic":"robot","data":1}`)
	s, _ := g.subscribe("topics=robot|quiet&user=jack")
	for round := range 5 {
		var names []string
		for i := range 5000 {
			names = append(names, fmt.Sprintf(`"r%d.%d"`, round, i))
		}
		got := g.do(http.MethodPost, "/publish", `{"topics":[`+strings.Join(names, ",")+`],"data":1}`)
		if got.status != http.StatusOK || strings.Contains(got.body, "store-full") {
			t.Fatalf("round %d: %d %.300s", round, got.status, got.body)
		}
		for _, to := range []string{`"topic":"robot"`, `"user":"jack"`} {
			id := g.publish(`{` + to + `,"data":2}`)
			if event := s.next(); event.Type != "message" || event.ID != id {
				t.Errorf("round %d: got %+v, want the event %s", round, event, id)
			}
		}
	}
	id := g.publish(`{"topic":"quiet","data":3}`)
	if event := s.next(); event.Type != "message" || event.ID != id {
		t.Errorf("got %+v, want the event %s", event, id)
	}
	if got := g.do(http.MethodGet, "/readyz", ""); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestReadyz_TellsThatTheEmbeddedBrokerIsFull(t *testing.T) {
	store := memory.New(memory.Options{MaxBytes: 64 << 10})
	g := newTestGatewayOn(t, store, auth.None{}, Options{})
	testkit.WaitFor(t, "the hub is ready", func() bool { return g.hub.Ready() == nil })
	for i := range 300 {
		if err := store.RememberCut(t.Context(), fmt.Sprint("user", i), time.Now(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.do(http.MethodGet, "/readyz", ""); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "GATEWAY_EMBEDDED_BYTES") {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
