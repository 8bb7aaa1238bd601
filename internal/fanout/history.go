package fanout

import (
	"bytes"
	"context"
	"fmt"
	"math"
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

// endOfTime is above every id that there will be, and not so far that Redis cannot look beyond it.
func endOfTime() broker.ID { return broker.ID{MS: math.MaxUint64} }

// page reads a page when it is the client's turn.
func (h *Hub) page(ctx, waiting context.Context, req PageRequest) (*Page, error) {
	p := h.partition(req.Topic)
	at, err := h.pagePosition(req.Until)
	if err != nil {
		return nil, err
	}
	read := broker.Read{Topic: req.Topic, After: req.After, Limit: req.Limit + 1, Bytes: h.opts.QueueBytes}
	beyond := h.opts.EventBytes
	if req.Back {
		read.Before = req.last(at[p.index])
		beyond *= 2 // the one that follows is read too
	}
	end, err := h.reads.take(waiting, req.Client, h.opts.QueueBytes+beyond)
	if err != nil {
		return nil, fmt.Errorf("read a page of topic %q: %w", req.Topic, err)
	}
	defer end()
	tails, err := h.broker.Read(ctx, p.index, []broker.Read{read})
	if err != nil {
		return nil, fmt.Errorf("read the history of topic %q after %s: %w", req.Topic, req.After, err)
	}
	page := newPage(req, tails[0])
	at[p.index] = broker.Later(page.reaches(req, at[p.index], tails[0].Last), beginning())
	page.Cursor = at.String()
	return page, nil
}

// pagePosition is until, or else where this replica is now: all that is published later has a larger id.
func (h *Hub) pagePosition(until string) (cursor, error) {
	if until != "" {
		at, err := parseCursor(until, len(h.partitions))
		if err != nil {
			return nil, err
		}
		oldest := at.oldest()
		for i := range at {
			if at[i].IsZero() { // as when a stream begins there
				at[i] = broker.Earlier(oldest, h.partitions[i].dispatched())
			}
		}
		return at, nil
	}
	at := make(cursor, len(h.partitions))
	for i, p := range h.partitions {
		at[i] = p.dispatched()
	}
	return at, nil
}

// dispatched is the partition's watermark.
func (p *partition) dispatched() broker.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.evidence.watermark
}

// last is the largest id that a page back may hold; at is its position.
func (r *PageRequest) last(at broker.ID) broker.ID {
	switch {
	case r.Until != "":
		return broker.Earlier(broker.Later(at, beginning()), endOfTime())
	case !r.Before.IsZero():
		return broker.Earlier(broker.Later(r.Before.Prior(), beginning()), endOfTime())
	}
	return endOfTime()
}

// newPage is what a read has brought, which asked for an event more than the page may hold.
func newPage(req PageRequest, tail broker.Tail) *Page {
	page := &Page{Next: req.After, More: tail.Full}
	entries := tail.Entries
	switch {
	case req.Back:
		entries = entries[max(len(entries)-req.Limit, 0):]
	case len(entries) > 0:
		page.Gap = !req.After.IsZero() && req.After.Less(entries[0].Prev)
		entries = entries[:min(req.Limit, len(entries))]
	default:
		page.Gap = !req.After.IsZero() && req.After.Less(tail.Last)
	}
	for _, e := range entries {
		page.Events = append(page.Events, StoredEvent{ID: e.ID, frame: e.Frame})
		page.Next = e.ID
	}
	return page
}

// reaches is the id up to which the page, and the pages before it, hold all that is kept of the topic. The broker has given out
// ids up to at, and up to the topic's last, before it read the page.
func (p *Page) reaches(req PageRequest, at, last broker.ID) broker.ID {
	end := broker.Later(at, last)
	if len(p.Events) > 0 {
		end = broker.Later(end, p.Next)
	}
	switch {
	case req.Until != "":
		return at
	case !req.Before.IsZero():
		return broker.Earlier(end, req.Before.Prior())
	case !req.Back && p.More:
		return p.Next
	}
	return end
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
