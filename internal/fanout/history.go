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

// History returns up to limit events of a topic after an id, oldest first.
func (h *Hub) History(ctx context.Context, topic string, after broker.ID, limit int) (Page, error) {
	p := h.partition(topic)
	tails, err := h.broker.Read(ctx, p.index, []broker.Read{{Topic: topic, After: after, Limit: limit + 1}})
	if err != nil {
		return Page{}, fmt.Errorf("read the history of topic %q after %s: %w", topic, after, err)
	}
	entries := tails[0].Entries
	page := Page{Next: after, More: len(entries) > limit}
	if len(entries) > 0 {
		page.Gap = !after.IsZero() && after.Less(entries[0].Prev)
	} else {
		page.Gap = !after.IsZero() && after.Less(tails[0].Last)
	}
	for _, e := range entries[:min(limit, len(entries))] {
		event, err := sse.NewDecoder(bytes.NewReader(e.Frame.Bytes())).Next()
		if err != nil {
			return Page{}, fmt.Errorf("decode event %s of topic %q: %w", e.ID, topic, err)
		}
		page.Events = append(page.Events, StoredEvent{ID: e.ID, Event: event})
		page.Next = e.ID
	}
	return page, nil
}

// Topic describes one topic, or one inbox, over all replicas.
func (h *Hub) Topic(ctx context.Context, topic string) (TopicInfo, error) {
	p := h.partition(topic)
	var tails []broker.Tail
	var readErr error
	var read sync.WaitGroup
	read.Go(func() {
		tails, readErr = h.broker.Read(ctx, p.index, []broker.Read{{Topic: topic, Limit: 1, Count: true}})
	})
	counts, err := h.ask(ctx, question{Topic: topic})
	read.Wait()
	if err == nil {
		err = readErr
	}
	if err != nil {
		return TopicInfo{}, fmt.Errorf("describe topic %q: %w", topic, err)
	}
	info := TopicInfo{Topic: topic, Subscribers: counts[topic], Events: tails[0].Kept, Last: tails[0].Last, Closed: p.keep.Closed(tails[0].Closed, time.Now())}
	if entries := tails[0].Entries; len(entries) > 0 {
		info.First = entries[0].ID
	}
	return info, nil
}
