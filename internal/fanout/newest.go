package fanout

import (
	"context"
	"fmt"

	"sse-gateway/internal/broker"
)

// A newest counts back how many of a topic's newest events are to be read.
type newest struct {
	*reader
	before broker.ID // what has been counted is above it
	left   int
}

// newest is what has to be counted, by count, for all but the count newest events of each topic to be left out.
func (m *merge) newest(count int) []newest {
	todo := make([]newest, len(m.readers))
	for i, r := range m.readers {
		todo[i] = newest{r, m.end, count}
	}
	return todo
}

// count looks at a page of each of some topics, for the events' ids, and returns what is still to be counted.
func (m *merge) count(ctx context.Context, todo []newest) ([]newest, error) {
	n := min(len(todo), mergeBatch)
	reads := make([]broker.Read, n)
	for i, topic := range todo[:n] {
		reads[i] = broker.Read{Topic: topic.topic, Before: topic.before, Limit: min(topic.left, m.limit), Bytes: max(m.bytes/n, 1)}
	}
	tails, err := m.broker.Read(ctx, m.partition, reads)
	if err != nil {
		return todo, fmt.Errorf("read the newest events of %d topics: %w", n, err)
	}
	var more []newest
	for i, topic := range todo[:n] {
		if topic.count(tails[i]) {
			more = append(more, topic)
		}
	}
	return append(more, todo[n:]...), nil
}

// count takes a page, the newest events that have not been counted. It tells whether there may be more to count.
func (n *newest) count(page broker.Tail) bool {
	if len(page.Entries) == 0 {
		return false
	}
	n.before = page.Entries[0].ID.Prior()
	if n.left -= len(page.Entries); n.left == 0 {
		n.has = broker.Later(n.has, n.before)
		n.given = n.has
	}
	return n.left > 0 && page.Full
}
