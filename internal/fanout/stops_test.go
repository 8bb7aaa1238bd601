package fanout

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/testkit"
)

// A producer notes what it is told.
type producer struct {
	mu    sync.Mutex
	stops []string
}

func (p *producer) TopicStopped(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stops = append(p.stops, topic)
}

func (p *producer) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.stops)
}

func TestHub_StopsTheProducersOfATopic(t *testing.T) {
	eachWorld(t, settings{history: 10}, func(t *testing.T, w world) {
		a, b := w.hub(t, "a"), w.hub(t, "b")
		testkit.WaitFor(t, "both replicas are ready", func() bool { return a.Ready() == nil && b.Ready() == nil })
		r := newRecorder()
		join(t, a, r, JoinRequest{Topics: []string{"run"}})
		near, far, other, gone := &producer{}, &producer{}, &producer{}, &producer{}
		a.Produces(near, "run")
		b.Produces(far, "run")
		b.Produces(gone, "run")
		b.Produces(other, "other")
		b.NoLonger(gone, "run")
		publish(t, b, "run", 1)
		for range 2 {
			if err := a.Stop(t.Context(), "run"); err != nil {
				t.Fatal(err)
			}
		}
		testkit.WaitFor(t, "the producers are told", func() bool { return len(near.told()) == 2 && len(far.told()) == 2 })
		if told := append(gone.told(), other.told()...); len(told) > 0 {
			t.Errorf("producers of other topics, or of none any more, are told of %q", told)
		}
		for _, h := range []*Hub{a, b} {
			if got := h.Publish(t.Context(), []Publication{{Topic: "run", Data: json.RawMessage("2")}})[0]; !errors.Is(got.Err, broker.ErrTopicStopped) {
				t.Errorf("publish to a stopped topic: got %v", got.Err)
			}
		}
		publish(t, b, "other", 1)
		if _, err := b.CloseTopic(t.Context(), "run", Publication{Topic: "run", Data: json.RawMessage("3")}); err != nil {
			t.Fatal(err)
		}
		wantData(t, r.wait(t, 3), "1 3 close")
		r.waitEnd(t, "closed")
		if err := a.Stop(t.Context(), "run"); err != nil {
			t.Errorf("stopping what has ended: %v", err)
		}
		for _, h := range []*Hub{a, b} {
			h.NoLonger(near, "run")
			h.NoLonger(far, "run")
			h.NoLonger(other, "other")
			if n := len(h.producers.byTopic); n > 0 {
				t.Errorf("%d topics are remembered for nobody", n)
			}
		}
	})
}
