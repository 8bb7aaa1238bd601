package fanout

import (
	"context"
	"fmt"

	"sse-gateway/internal/broker"
)

// catchUp reads what the connection did not bring, from the chain of each topic to the mark that has come back, and has it
// dispatched; then what has waited behind the mark, and the partition is live. Where the mark tells of a birth, what is
// left of before it comes first, then the gap of the birth, then what came after.
func (s *session) catchUp(ctx context.Context, c *command) error {
	if c.born.Less(c.mark.Born) && len(c.topics) > 0 {
		if err := s.readThrough(ctx, c.topics, c.mark.Born.Prior(), true); err != nil {
			return err
		}
	}
	s.state.born(c.mark.Born)
	if err := s.readThrough(ctx, c.topics, c.mark.Head, false); err != nil {
		return err
	}
	s.hear() // reading may have taken longer than silence is suffered
	s.state.release(c.mark)
	return nil
}

// readThrough has everything up to end dispatched that has not been. crossing: a birth follows end.
func (s *session) readThrough(ctx context.Context, topics []*topic, end broker.ID, crossing bool) error {
	readers, err := s.readBehind(ctx, topics, end, crossing)
	if err != nil {
		return fmt.Errorf("catch up to %s: %w", end, err)
	}
	if len(readers) == 0 {
		return nil
	}
	p := s.state
	m := merge{
		broker: s.broker, partition: p.index, readers: readers, end: end, crossing: crossing,
		limit: p.opts.bounds.catchPage, bytes: p.opts.bounds.catchBytes,
	}
	// The watermark may be older than a last id is kept: it stood still while there was no connection.
	m.forgotten = func() broker.ID { return broker.Later(p.forgotten(), end.Minus(p.keep.LastID)) }
	var gapped []*topic
	for bound := (broker.ID{}); bound != end; {
		var items []item
		if items, bound, err = m.next(ctx); err != nil {
			return fmt.Errorf("catch up to %s: %w", end, err)
		}
		p.caught(items, bound)
		for i := range items {
			if items[i].gap {
				gapped = append(gapped, items[i].from.t)
			}
		}
	}
	if !crossing {
		p.caughtUp(readers, gapped, end)
	}
	return nil
}

// readBehind asks for the topics' last ids and returns readers for those that have more than was dispatched.
func (s *session) readBehind(ctx context.Context, topics []*topic, end broker.ID, crossing bool) ([]*reader, error) {
	var readers []*reader
	for start := 0; start < len(topics); start += subscribeBatch {
		batch := topics[start:min(start+subscribeBatch, len(topics))]
		tails, err := s.broker.Read(ctx, s.state.index, lastReads(batch))
		if err != nil {
			return nil, fmt.Errorf("read the last ids of %d topics: %w", len(batch), err)
		}
		readers = append(readers, s.state.behind(batch, tails, end, crossing)...)
	}
	return readers, nil
}
