package fanout

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// History reads a page of a topic's events. While others hold, or read, all that may be held it waits, and fails with ErrBusy
// if it takes too long.
func (h *Hub) History(ctx context.Context, req PageRequest) (*Page, error) {
	waiting, cancel := context.WithTimeout(ctx, h.opts.Timeout)
	defer cancel()
	end, err := h.pages.take(waiting, req.Client, h.opts.QueueBytes)
	if err != nil {
		return nil, fmt.Errorf("hold a page of topic %q: %w", req.Topic, err)
	}
	page, err := h.page(ctx, waiting, req)
	if err != nil {
		end()
		return nil, err
	}
	page.end = end
	return page, nil
}

// page reads a page when it is the client's turn.
func (h *Hub) page(ctx, waiting context.Context, req PageRequest) (*Page, error) {
	p := h.partition(req.Topic)
	end, err := h.reads.take(waiting, req.Client, h.opts.QueueBytes+h.opts.EventBytes)
	if err != nil {
		return nil, fmt.Errorf("read a page of topic %q: %w", req.Topic, err)
	}
	defer end()
	read := broker.Read{Topic: req.Topic, After: req.After, Limit: req.Limit + 1, Bytes: h.opts.QueueBytes}
	tails, err := h.broker.Read(ctx, p.index, []broker.Read{read})
	if err != nil {
		return nil, fmt.Errorf("read the history of topic %q after %s: %w", req.Topic, req.After, err)
	}
	entries := tails[0].Entries
	page := &Page{Next: req.After, More: tails[0].Full}
	if len(entries) > 0 {
		page.Gap = !req.After.IsZero() && req.After.Less(entries[0].Prev)
	} else {
		page.Gap = !req.After.IsZero() && req.After.Less(tails[0].Last)
	}
	for _, e := range entries[:min(req.Limit, len(entries))] {
		page.Events = append(page.Events, StoredEvent{ID: e.ID, frame: e.Frame})
		page.Next = e.ID
	}
	return page, nil
}

// Close tells that the page is not needed any more.
func (p *Page) Close() { p.end() }

// Event is the event as a subscriber would receive it; Data is the envelope's JSON.
func (e StoredEvent) Event() (sse.Event, error) {
	event, err := sse.NewDecoder(bytes.NewReader(e.frame.Bytes())).Next()
	if err != nil {
		return event, fmt.Errorf("decode event %s: %w", e.ID, err)
	}
	return event, nil
}

// Topic describes one topic, or one inbox, over all replicas.
func (h *Hub) Topic(ctx context.Context, topic string) (TopicInfo, error) {
	p := h.partition(topic)
	var tails []broker.Tail
	var readErr error
	var read sync.WaitGroup
	read.Go(func() {
		tails, readErr = h.describe(ctx, p, topic)
	})
	counts, err := h.ask(ctx, question{Topic: topic})
	read.Wait()
	if err == nil {
		err = readErr
	}
	if err != nil {
		return TopicInfo{}, fmt.Errorf("describe topic %q: %w", topic, err)
	}
	info := TopicInfo{Topic: topic, Subscribers: counts.streams[topic], Partial: counts.partial, Events: tails[0].Kept, Last: tails[0].Last, Closed: p.keep.Closed(tails[0].Closed, time.Now())}
	if entries := tails[0].Entries; len(entries) > 0 {
		info.First = entries[0].ID
	}
	return info, nil
}

// describe reads a topic's ends, and its first event, when it is its turn among the reads of histories.
func (h *Hub) describe(ctx context.Context, p *partition, topic string) ([]broker.Tail, error) {
	waiting, cancel := context.WithTimeout(ctx, h.opts.Timeout)
	defer cancel()
	end, err := h.reads.take(waiting, "", h.opts.EventBytes)
	if err != nil {
		return nil, err
	}
	defer end()
	return h.broker.Read(ctx, p.index, []broker.Read{{Topic: topic, Limit: 1, Count: true}})
}
