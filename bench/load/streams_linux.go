package main

import (
	"errors"
	"fmt"
	"time"

	"sse-gateway/bench/internal/client"
	"sse-gateway/bench/internal/server"
)

// warmStreams are opened before memory is first read, so that what a server sets up once does not count per stream.
const warmStreams = 200

// topicOf says which topic the streams of idle and storm have.
func (r *run) topicOf(offset int) func(i int) (first, count int) {
	if !r.OwnTopics {
		return oneTopic
	}
	return func(i int) (first, count int) { return offset + i, 1 }
}

// idle opens Streams streams and reads how much the memory of the server has grown once it has settled.
func idle(r *run) error {
	if _, err := r.open(warmStreams, r.topicOf(0)); err != nil {
		return err
	}
	if err := r.prove(warmStreams); err != nil {
		return err
	}
	before, err := r.settled()
	if err != nil {
		return err
	}
	if _, err := r.open(r.Streams, r.topicOf(warmStreams)); err != nil {
		return err
	}
	after, err := r.settled()
	if err != nil {
		return err
	}
	r.figures[memoryStream] = float64(after-before) / float64(r.Streams)
	if err := r.prove(warmStreams + r.Streams); err != nil {
		return err
	}
	return r.finish()
}

// settled waits until the server's memory has not changed by more than 0.5 % for two seconds, for at most Settle.
func (r *run) settled() (bytes int, err error) {
	pid := r.servers[0].PID
	reference, still := 0, 0
	const step = 250 * time.Millisecond
	for range max(r.Settle/step, 1) {
		if err := r.client.RunFor(step); err != nil {
			return 0, err
		}
		if bytes, err = server.Memory(pid); err != nil {
			return 0, err
		}
		still++
		if change := bytes - reference; change > reference/200 || -change > reference/200 {
			reference, still = bytes, 0
		}
		if still == 8 {
			break
		}
	}
	return bytes, nil
}

// storm opens Streams streams, Concurrency at a time, and counts until all have been answered.
func storm(r *run) error {
	before, err := r.sample()
	if err != nil {
		return err
	}
	if r.begin != nil {
		r.begin()
	}
	took, err := r.open(r.Streams, r.topicOf(0))
	if err != nil {
		return err
	}
	after, err := r.sample()
	if err != nil {
		return err
	}
	r.note(before, after)
	r.figures[streamsRate] = float64(r.Streams) / took.Seconds()
	r.figures[cpuStream] = micros(after.server-before.server) / float64(r.Streams)
	if err := r.prove(r.Streams); err != nil {
		return err
	}
	return r.finish()
}

// prove publishes one event in the streams' topic, or in some hundred of their topics, and waits until all have it.
func (r *run) prove(streams int) error {
	topics := 1
	if r.OwnTopics {
		topics = min(streams, 100)
	}
	p, err := r.client.Publisher(r.publish, false)
	if err != nil {
		return err
	}
	for i := range topics {
		p.Publish(i*(streams/topics), r.client.Now())
	}
	p.Flush()
	err = r.client.Run(r.Drain, func() bool { return p.UnderWay() == 0 && r.client.Book.Outstanding() == 0 })
	if errors.Is(err, client.ErrTimeout) {
		return errors.Join(fmt.Errorf("open streams have not got an event: %d deliveries are missing after %v",
			r.client.Book.Outstanding(), r.Drain), r.client.Book.Finish().Err())
	}
	return err
}
