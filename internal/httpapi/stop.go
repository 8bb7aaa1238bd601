package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"sse-gateway/internal/address"
	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// stopTopic asks the producers of a topic to end it.
func (a *API) stopTopic(w http.ResponseWriter, r *http.Request) error {
	who, err := a.identify(r)
	if err != nil {
		return err
	}
	topic, err := a.topicInPath(r)
	if err != nil {
		return err
	}
	if err := a.mayPublish(who, address.OfTopic(topic)); err != nil {
		return err
	}
	if err := a.hub.Stop(context.WithoutCancel(r.Context()), topic); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxProduced bounds the topics of one request of lines whose stops it is told of at once: the latest. A stop of another one is
// told by the answer to the next event in it.
const maxProduced = 1024

// produced are the topics that a request of lines publishes into, and the stops that its publisher is to be told of.
type produced struct {
	api    *API
	who    auth.Identity
	reader *lineReader     // is woken by a stop
	topics map[string]bool // whether their stop has been told; owned by the publishing
	order  []string        // as they came; owned by the publishing
	latest address.Address // the one published into last, which needs no look; owned by the publishing
	told   int             // of topics; owned by the publishing

	mu    sync.Mutex
	stops []string // not yet told; guarded by mu
}

// add notes a topic before it is published into. A user's inbox cannot be stopped.
func (p *produced) add(to address.Address) {
	topic := to.Name
	if to == p.latest {
		return
	}
	p.latest = to
	if _, known := p.topics[topic]; known || !to.Kind.Public() || p.api.mayPublish(p.who, to) != nil {
		return
	}
	if p.topics == nil {
		p.topics = make(map[string]bool)
	}
	if len(p.order) == maxProduced {
		p.forget(p.order[0])
		p.order = slices.Delete(p.order, 0, 1)
	}
	p.topics[topic] = false
	p.order = append(p.order, topic)
	p.api.hub.Produces(p, topic)
}

func (p *produced) forget(topic string) {
	p.api.hub.NoLonger(p, topic)
	if p.topics[topic] {
		p.told--
	}
	delete(p.topics, topic)
}

// end forgets all topics.
func (p *produced) end() {
	for _, topic := range p.order {
		p.forget(topic)
	}
}

// TopicStopped notes a stop, and has it told. The hub calls it.
func (p *produced) TopicStopped(topic string) {
	p.mu.Lock()
	known := slices.Contains(p.stops, topic)
	if !known {
		p.stops = append(p.stops, topic)
	}
	p.mu.Unlock()
	if !known {
		p.reader.wake()
	}
}

// published notes what an event's result says of its topic.
func (p *produced) published(to address.Address, err error) {
	topic := to.Name
	switch {
	case !to.Kind.Public():
	case errors.Is(err, broker.ErrTopicStopped) && !p.topics[topic]:
		p.TopicStopped(topic)
	case err == nil && p.told > 0 && p.topics[topic]:
		p.topics[topic] = false // it has been closed since, and has begun anew
		p.told--
	}
}

// appendStops appends a line for each stop that has not been told yet.
func (p *produced) appendStops(dst []byte) []byte {
	p.mu.Lock()
	stops := p.stops
	p.stops = nil
	p.mu.Unlock()
	for _, topic := range stops {
		told, known := p.topics[topic]
		if told {
			continue
		}
		if known {
			p.topics[topic] = true
			p.told++
		}
		dst = append(dst, `{"stop":`...)
		dst = append(sse.AppendString(dst, topic), "}\n"...)
	}
	return dst
}
