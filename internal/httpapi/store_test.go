package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/memory"
	"sse-gateway/internal/testkit"
)

// absent is a store that answers nothing that is asked by a request, for a reason of its own.
type absent struct {
	broker.Broker
	why error
}

func (s absent) Read(context.Context, int, []broker.Read) ([]broker.Tail, error) { return nil, s.why }

func (s absent) Publish(_ context.Context, _ int, ops []broker.Op) []broker.Result {
	results := make([]broker.Result, len(ops))
	for i := range results {
		results[i].Err = s.why
	}
	return results
}

// A request that publishes nothing is told nothing of publishes and their keys.
func TestProblems_SpeakOfPublishesOnlyToPublishers(t *testing.T) {
	for name, test := range map[string]struct {
		why  error
		slug string
	}{
		"lost":    {fmt.Errorf("%w: i/o timeout", broker.ErrUnavailable), "store-unavailable"},
		"away":    {fmt.Errorf("%w: %w", broker.ErrUnavailable, broker.ErrNotSent), "store-unavailable"},
		"stopped": {broker.ErrStopped, "store-unavailable"},
		"refuses": {fmt.Errorf("%w: %w", broker.ErrUnavailable, broker.ErrRefused), "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			store := absent{memory.New(memory.Options{Retention: broker.Retention{Size: 10}}), test.why}
			g := newTestGatewayOn(t, store, auth.None{}, Options{})
			testkit.WaitFor(t, "the hub is ready", func() bool { return g.hub.Ready() == nil })
			for _, request := range []string{"GET /topics/robot", "GET /topics/robot/events", "GET /users/jack/events", "POST /topics/robot/close"} {
				method, path, _ := strings.Cut(request, " ")
				got := g.do(method, path, "")
				p := got.problem(t)
				if p.Status != http.StatusServiceUnavailable || !strings.HasSuffix(p.Type, ":"+test.slug) || strings.Contains(p.Detail, "publish") || strings.Contains(p.Detail, "key") {
					t.Errorf("%s: %s", request, got.body)
				}
			}
		})
	}
}
