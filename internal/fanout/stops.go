package fanout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"sse-gateway/internal/broker"
)

// A Producer publishes into topics over some time, and is to be told when one of them is stopped.
type Producer interface {
	// TopicStopped is called once for each stop, also a repeated one. It must not block.
	TopicStopped(topic string)
}

// producers are those of this replica, by topic.
type producers struct {
	mu      sync.Mutex
	byTopic map[string][]Producer // guarded by mu
}

// Stop has publishes into a topic refused as ErrTopicStopped, on all replicas, and tells the topic's producers, wherever
// they are. It may be repeated. A producer whose replica is not connected just now learns of it by its next publish.
func (h *Hub) Stop(ctx context.Context, topic string) error {
	err := h.publish(ctx, []broker.Op{{Topic: topic, Stop: true}})[0].Err
	if errors.Is(err, broker.ErrTopicClosed) {
		return nil // what was wanted has happened
	}
	if err != nil {
		return fmt.Errorf("stop topic %q: %w", topic, err)
	}
	if _, err := h.send(ctx, "", controlMessage{Stop: topic}); err != nil {
		return fmt.Errorf("tell the producers of topic %q to stop: %w", topic, err)
	}
	return nil
}

// Produces has a producer told of a topic's stops until NoLonger. Who calls it before publishing misses none: the publish
// finds an earlier one.
func (h *Hub) Produces(p Producer, topic string) {
	h.producers.mu.Lock()
	defer h.producers.mu.Unlock()
	if h.producers.byTopic == nil {
		h.producers.byTopic = make(map[string][]Producer)
	}
	h.producers.byTopic[topic] = append(h.producers.byTopic[topic], p)
}

// NoLonger takes Produces back.
func (h *Hub) NoLonger(p Producer, topic string) {
	h.producers.mu.Lock()
	defer h.producers.mu.Unlock()
	others := h.producers.byTopic[topic]
	if at := slices.Index(others, p); at >= 0 {
		others = slices.Delete(others, at, at+1)
	}
	if h.producers.byTopic[topic] = others; len(others) == 0 {
		delete(h.producers.byTopic, topic)
	}
}

// stopLocal tells this replica's producers. It is called by the receiving goroutine.
func (h *Hub) stopLocal(topic string) {
	h.producers.mu.Lock()
	told := slices.Clone(h.producers.byTopic[topic])
	h.producers.mu.Unlock()
	for _, p := range told {
		p.TopicStopped(topic)
	}
}
