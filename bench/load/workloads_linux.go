package main

import (
	"fmt"
	"time"

	"sse-gateway/bench/internal/client"
)

// A workload is one kind of load. Its run function sets the load going, measures, and returns the faults as an error.
type workload struct {
	name      string
	about     string
	replicas  int
	pipelined bool // publishes may be under way together on one connection
	run       func(*run) error
}

// workloads lists all there are.
func workloads() []workload {
	return []workload{
		{"idle", "open streams and let them be: memory of the server", 1, false, idle},
		{"storm", "open streams as fast as they are answered", 1, false, storm},
		{"fanout", "one topic, a fixed number of events under way: the next is published when one has reached all", 1, false, fanOut},
		{"rate", "one topic, events at a fixed rate", 1, false, rate},
		{"topics", "many topics with one subscriber each, publishers that wait for their answer", 1, false, topics},
		{"publish", "publishers that wait for their answer, topics without subscribers", 1, false, publishOnly},
		{"ndjson", "one connection that publishes without waiting: NDJSON, or pipelined requests where there is none", 1, true, ndjson},
		{"replicas", "publish at one replica at a fixed rate, subscribe at another", 2, false, replicas},
	}
}

func findWorkload(name string) (workload, error) {
	for _, w := range workloads() {
		if w.name == name {
			return w, nil
		}
	}
	return workload{}, fmt.Errorf("no workload %q", name)
}

const openLimit = 30 * time.Second

func (r *run) open(n int, topics func(i int) (first, count int)) (time.Duration, error) {
	r.streams += n
	if err := checkFiles(r.streams); err != nil {
		return 0, err
	}
	return r.client.Open(n, r.Concurrency, topics, openLimit)
}

// oneTopic and ownTopic say which topics stream i has.
func oneTopic(int) (first, count int)   { return 0, 1 }
func ownTopic(i int) (first, count int) { return i, 1 }

// fanOut keeps InFlight events under way to Streams subscribers of one topic, each from its own connection.
func fanOut(r *run) error {
	if _, err := r.open(r.Streams, oneTopic); err != nil {
		return err
	}
	type slot struct {
		publisher *client.Publisher
		waits     int // for the answer, and for the last delivery
	}
	slots := make(map[int]*slot, r.InFlight)
	send := func(s *slot) {
		s.waits = 2
		slots[s.publisher.Publish(0, r.client.Now())] = s
		s.publisher.Flush()
	}
	step := func(seq int) {
		s := slots[seq]
		if s.waits--; s.waits == 0 {
			delete(slots, seq)
			if !r.over {
				send(s)
			}
		}
	}
	r.client.ReachedAll = func(_, seq int) { step(seq) }
	for range r.InFlight {
		p, err := r.client.Publisher(r.publish, false)
		if err != nil {
			return err
		}
		p.Answered = func(_ *client.Publisher, _, seq int) { step(seq) }
		send(&slot{publisher: p})
	}
	return r.measure()
}

// rate publishes Rate events a second to Streams subscribers of one topic.
func rate(r *run) error {
	if _, err := r.open(r.Streams, oneTopic); err != nil {
		return err
	}
	if err := r.publishAtRate(4, 1); err != nil {
		return err
	}
	return r.measure()
}

// publishAtRate publishes Rate events a second over some connections in turn, to topics in turn. Each event carries the time
// at which it was due, so that a stall counts for every event that it delays.
func (r *run) publishAtRate(connections, topics int) error {
	publishers := make([]*client.Publisher, connections)
	for i := range publishers {
		p, err := r.client.Publisher(r.publish, false)
		if err != nil {
			return err
		}
		publishers[i] = p
	}
	n := 0
	return r.client.Every(time.Second/time.Duration(r.Rate), func(scheduled int64) {
		p := publishers[n%connections]
		p.Publish(n%topics, scheduled)
		p.Flush()
		n++
	})
}

// topics publishes to Topics topics, PerStream of them on each stream; Idle more streams have topics in which nothing happens.
func topics(r *run) error {
	per := min(r.PerStream, r.Topics)
	streams := r.Topics / per
	if _, err := r.open(streams, func(i int) (first, count int) { return i * per, per }); err != nil {
		return err
	}
	if _, err := r.open(r.Idle, func(i int) (first, count int) { return r.Topics + i, 1 }); err != nil {
		return err
	}
	return publishOnly(r)
}

// publishOnly keeps Publishers connections busy, each with one publish under way, over all topics in a scattered order.
func publishOnly(r *run) error {
	const stride = 7919 // a prime, so that every topic gets its turn
	n := 0
	send := func(p *client.Publisher) {
		p.Publish(n*stride%r.Topics, r.client.Now())
		p.Flush()
		n++
	}
	for range r.Publishers {
		p, err := r.client.Publisher(r.publish, false)
		if err != nil {
			return err
		}
		p.Answered = func(p *client.Publisher, _, _ int) {
			if !r.over {
				send(p)
			}
		}
		send(p)
	}
	return r.measure()
}

// ndjson keeps InFlight publishes under way on one connection, over Topics topics with a subscriber each.
func ndjson(r *run) error {
	if _, err := r.open(r.Topics, ownTopic); err != nil {
		return err
	}
	p, err := r.client.Publisher(r.publish, r.publish.NDJSON != "")
	if err != nil {
		return err
	}
	n := 0
	fill := func() {
		for p.UnderWay() < r.InFlight {
			p.Publish(n%r.Topics, r.client.Now())
			n++
		}
		p.Flush()
	}
	p.Answered = func(p *client.Publisher, _, _ int) {
		if !r.over && p.UnderWay() <= r.InFlight*3/4 {
			fill()
		}
	}
	fill()
	return r.measure()
}
