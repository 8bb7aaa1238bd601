package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// act does something to the world.
func (w *modelWorld) act() {
	type action struct {
		weight int
		do     func()
	}
	actions := []action{
		{30, w.publish},
		{14, w.connect},
		{6, w.drop},
		{6, w.beat},
		{3, w.stall},
		{10, w.pass},
		{4, w.trim},
		{1, w.expire},
		{3, w.kill},
		{1, w.replace},
		{1, w.deafen},
		{1, w.skew},
		{1, w.closeTopic},
	}
	if w.lossy {
		actions = append(actions, action{1, w.rewind}, action{1, w.lose})
	}
	if w.holed {
		actions = append(actions, action{4, w.hole})
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	at := w.rng.IntN(total)
	for _, a := range actions {
		if at -= a.weight; at < 0 {
			a.do()
			return
		}
	}
}

func (w *modelWorld) topic() string      { return w.topics[w.rng.IntN(len(w.topics))] }
func (w *modelWorld) store() *modelStore { return w.stores[w.rng.IntN(len(w.stores))] }

func (w *modelWorld) publish() {
	hub := w.rng.IntN(len(w.hubs))
	pubs := make([]Publication, 1+w.rng.IntN(3))
	for i := range pubs {
		w.numbers++
		pubs[i] = Publication{Topic: w.topic(), Data: json.RawMessage(fmt.Sprintf(`"#%d"`, w.numbers))}
		if w.rng.IntN(6) == 0 {
			pubs[i].Key = fmt.Sprint(w.rng.IntN(4))
		}
		w.log("publish #%d to %s on %s", w.numbers, pubs[i].Topic, w.hubs[hub].broker.Replica())
	}
	go w.hubs[hub].Publish(context.Background(), pubs)
}

func (w *modelWorld) closeTopic() {
	w.numbers++
	topic, data := w.topic(), json.RawMessage(fmt.Sprintf(`"#%d"`, w.numbers))
	w.log("close #%d of %s on %s", w.numbers, topic, w.hubs[0].broker.Replica())
	block := sse.AppendBlock(nil, "close", 0, sse.Envelope{Topic: topic, Data: data}.Append(nil))
	go w.hubs[0].publish(context.Background(), []broker.Op{{Topic: topic, Close: true, Block: block}})
}

func (w *modelWorld) connect() {
	c := w.clients[w.rng.IntN(len(w.clients))]
	if c.session != nil || c.stopped {
		return
	}
	if w.rng.IntN(4) == 0 {
		c.topics = w.someTopics()
		c.owed = slices.DeleteFunc(c.owed, func(d modelDebt) bool { return !slices.Contains(c.topics, d.event.topic) })
	}
	hub := w.rng.IntN(len(w.hubs))
	w.log("%s connects to %s for %v from %q", c.name, w.hubs[hub].broker.Replica(), c.topics, c.lastID)
	c.connect(hub)
}

func (w *modelWorld) drop() {
	if c := w.clients[w.rng.IntN(len(w.clients))]; c.session != nil {
		w.log("%s drops", c.name)
		c.session.drop()
	}
}

func (w *modelWorld) beat() {
	if c := w.clients[w.rng.IntN(len(w.clients))]; c.session != nil {
		w.log("%s gets a heartbeat", c.name)
		c.session.beat()
	}
}

func (w *modelWorld) stall() {
	c := w.clients[w.rng.IntN(len(w.clients))]
	c.stalled = !c.stalled
}

func (w *modelWorld) pass() {
	switch {
	case w.rng.IntN(4) > 0:
		w.sleep(time.Duration(w.rng.IntN(300)) * time.Millisecond)
	case w.slow && w.rng.IntN(3) == 0:
		w.log("hours pass")
		for range w.rng.IntN(90) {
			w.calm()
			w.sleep(w.opts.Canary)
		}
	default:
		w.sleep(w.opts.Canary)
	}
}

func (w *modelWorld) trim() {
	topic := w.topic()
	s := w.stores[partitionOf(topic, len(w.stores))]
	t := s.data.topics[topic]
	if n := len(t.entries); n > 0 {
		t.entries = t.entries[w.rng.IntN(n):]
		s.data.topics[topic] = t
		w.log("%s is trimmed from %d to %d", topic, n, len(t.entries))
	}
}

func (w *modelWorld) expire() {
	topic := w.topic()
	s := w.stores[partitionOf(topic, len(w.stores))]
	if t, ok := s.data.topics[topic]; ok {
		t.entries = nil
		s.data.topics[topic] = t
		w.log("the history of %s expires", topic)
	}
}

func (w *modelWorld) someFeed() *modelFeed {
	feeds := w.feeds()
	if len(feeds) == 0 {
		return nil
	}
	return feeds[w.rng.IntN(len(feeds))]
}

func (w *modelWorld) kill() {
	if f := w.someFeed(); f != nil {
		w.log("a connection of %s/%d breaks", f.replica, f.part)
		f.kill()
	}
}

// replace is the death of a replica, and a new one in its place that knows nothing.
func (w *modelWorld) replace() {
	hub := w.rng.IntN(len(w.hubs))
	w.log("replica %s dies", w.hubs[hub].broker.Replica())
	for _, c := range w.clients {
		if c.session != nil && c.session.hub == hub {
			c.session.drop()
		}
	}
	go func(h *Hub) { _ = h.Close() }(w.hubs[hub])
	for _, f := range w.feeds() {
		if f.hub() == hub {
			f.kill()
		}
	}
	w.hubs[hub], w.dropped[hub] = w.newHub(hub), make(map[*modelEvent]bool)
}

func (w *modelWorld) deafen() {
	if f := w.someFeed(); f != nil {
		w.log("a connection of %s/%d goes deaf", f.replica, f.part)
		f.deaf, f.flight = true, nil
	}
}

// hole loses one message on a connection that lives on.
func (w *modelWorld) hole() {
	f := w.someFeed()
	if f == nil || len(f.flight) == 0 {
		return
	}
	at := w.rng.IntN(len(f.flight))
	m := f.flight[at]
	if m.Kind == broker.MessageAck {
		return
	}
	f.flight = slices.Delete(f.flight, at, at+1)
	w.log("%s/%d never gets %s", f.replica, f.part, describe(m))
	hub := f.hub()
	for _, e := range w.stores[f.part].events {
		if m.Kind != broker.MessageEvent || e.id != m.Entry.ID || e.topic != m.Topic {
			continue
		}
		w.dropped[hub][e] = true
		for _, c := range w.clients {
			if s := c.session; s != nil && s.hub == hub && s.isLive() && slices.Contains(c.topics, e.topic) && s.pos[e.part].Less(e.id) {
				c.owe(modelDebt{event: e, mute: s})
			}
		}
	}
}

func (w *modelWorld) skew() {
	s := w.store()
	s.skew = time.Duration(w.rng.IntN(4000)-2000) * time.Millisecond
	w.log("the clock of partition %d is off by %s", s.part, s.skew)
}

func (w *modelWorld) rewind() {
	w.restart("rewinds", func(s *modelStore) { s.rewind(1 + w.rng.IntN(4)) })
}

func (w *modelWorld) lose() { w.restart("loses everything", (*modelStore).lose) }

// restart is a restart of the broker that loses data: the connections of the partition break with it.
func (w *modelWorld) restart(what string, lose func(*modelStore)) {
	s := w.store()
	w.log("partition %d %s", s.part, what)
	lose(s)
	for _, f := range s.feeds {
		f.kill()
	}
	s.feeds = nil
}
