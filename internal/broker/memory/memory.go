// Package memory is a broker inside the process: for one replica, with nothing kept when it ends.
package memory

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// Options are the limits of a Broker. The zero value of a field means its default in brackets.
type Options struct {
	Retention broker.Retention
	// MaxBytes is how much may be kept: events, topics' last ids, keys of idempotency (at most half of it), cuts. The topic
	// without events that was published to longest ago is forgotten first, then the one with events loses them; where there are none
	// left but those that are followed, publishes are refused [512 MiB].
	MaxBytes int
	Timeout  time.Duration // how long a publish waits for feeds to be read [2s]
}

const (
	memoryQueue    = 8192 // messages waiting for a feed; publishers wait beyond
	memoryOverhead = 256  // bytes that a topic, an event, a key or a cut takes besides its text, about
)

var errFeedClosed = errors.New("the feed is closed")

// Broker is a broker inside the process: for one replica, with nothing kept when it ends. It has one partition.
type Broker struct {
	opts Options

	mu     sync.Mutex // guards all below
	room   *sync.Cond // a feed's queue has been taken
	topics map[string]*topic
	keys   map[string]key
	stale  list.List // topics without events, least recently published first
	fresh  list.List // topics with events, in the same order
	spent  []string  // keys in the order in which they lapse
	last   broker.ID
	born   broker.ID
	bytes  int
	ofKeys int // of bytes
	feeds  map[*feed]struct{}
	cuts   map[string]time.Time
	closed bool
	gone   forgotten
}

type topic struct {
	name    string
	entries []broker.Entry
	last    broker.ID
	closed  broker.ID
	stopped time.Time // zero: it is not
	touched time.Time
	place   *list.Element
	in      *list.List
}

type key struct {
	id     broker.ID
	lapses time.Time
}

// New returns an empty broker.
func New(opts Options) *Broker {
	opts.Retention = opts.Retention.WithDefaults()
	opts.MaxBytes = cmp.Or(opts.MaxBytes, 512<<20)
	opts.Timeout = cmp.Or(opts.Timeout, 2*time.Second)
	m := &Broker{
		opts: opts, topics: make(map[string]*topic), keys: make(map[string]key),
		feeds: make(map[*feed]struct{}), cuts: make(map[string]time.Time),
	}
	m.room = sync.NewCond(&m.mu)
	m.born = m.nextID(broker.ID{}, time.Now())
	return m
}

// Partitions is 1.
func (m *Broker) Partitions() int { return 1 }

// Retention is what is kept.
func (m *Broker) Retention() broker.Retention { return m.opts.Retention }

// Replica is the only one.
func (m *Broker) Replica() string { return "embedded" }

// nextID gives out the next id, above floor.
func (m *Broker) nextID(floor broker.ID, now time.Time) broker.ID {
	m.last = broker.Later(broker.ID{MS: uint64(now.UnixMilli())}, broker.Later(m.last, floor).Next())
	return m.last
}

// Publish executes ops in order. While a feed's queue is full it waits, until ctx is done or Timeout is over.
func (m *Broker) Publish(ctx context.Context, _ int, ops []broker.Op) []broker.Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	results := make([]broker.Result, len(ops))
	if m.congested() {
		if err := m.waitRoom(ctx); err != nil {
			for i := range results {
				results[i].Err = err
			}
			return results
		}
	}
	now := time.Now()
	m.expire(now)
	for i := range ops {
		results[i] = m.publish(&ops[i], now)
	}
	for feed := range m.feeds {
		feed.wake.Signal()
	}
	return results
}

// waitRoom waits, with mu released, until no feed's queue is full.
func (m *Broker) waitRoom(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.room.Broadcast()
	})
	defer stop()
	for m.congested() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w: %d events wait to be dispatched: %w", broker.ErrUnavailable, broker.ErrNotSent, memoryQueue, err)
		}
		m.room.Wait()
	}
	return nil
}

func (m *Broker) congested() bool {
	for feed := range m.feeds {
		if len(feed.queue) >= memoryQueue {
			return true
		}
	}
	return false
}

func (m *Broker) publish(op *broker.Op, now time.Time) broker.Result {
	if m.closed {
		return broker.Result{Err: fmt.Errorf("%w: %w", broker.ErrUnavailable, broker.ErrNotSent)}
	}
	if m.last.Less(op.Floor) {
		m.birth(op.Floor, now)
	}
	t := m.topics[op.Topic]
	if t != nil && m.opts.Retention.Closed(t.closed, now) {
		if op.Close {
			return broker.Result{ID: t.closed}
		}
		return broker.Result{Err: broker.ErrTopicClosed}
	}
	if !op.Close && !op.Stop && t != nil && m.opts.Retention.Stopped(t.stopped, now) {
		return broker.Result{Err: broker.ErrTopicStopped}
	}
	if known, ok := m.keys[op.Key]; ok && op.Key != "" {
		return broker.Result{ID: known.id}
	}
	m.makeRoom(t)
	if m.bytes > m.opts.MaxBytes || (op.Key != "" && m.ofKeys > m.opts.MaxBytes/2) {
		return broker.Result{Err: broker.ErrFull}
	}
	if t == nil {
		t = &topic{name: op.Topic, last: m.lastBound(op.Topic)}
		m.topics[op.Topic] = t
		m.bytes += memoryOverhead + len(op.Topic)
	}
	if op.Stop {
		m.stop(t, now)
		return broker.Result{}
	}
	for _, block := range op.Last {
		m.add(t, block, op.Floor, false, now)
	}
	id := m.add(t, op.Block, op.Floor, op.Close, now)
	if op.Key != "" {
		m.keys[op.Key] = key{id: id, lapses: now.Add(m.opts.Retention.Key)}
		m.spent = append(m.spent, op.Key)
		m.countKey(op.Key, 1)
	}
	return broker.Result{ID: id}
}

// stop refuses a topic's events from now on. A topic without any is kept for as long as if it had just had one; one with
// events is kept for longer than that already.
func (m *Broker) stop(t *topic, now time.Time) {
	t.stopped = now
	if len(t.entries) == 0 {
		t.touched = now
		m.move(t)
	}
}

// add puts an event at the end of its topic, and gives it to the feeds.
func (m *Broker) add(t *topic, block []byte, floor broker.ID, closes bool, now time.Time) broker.ID {
	id := m.nextID(broker.Later(floor, t.last), now)
	prev := t.last
	if prev.IsZero() {
		prev = broker.Later(m.born, id.Minus(m.opts.Retention.LastID))
	}
	entry := broker.Entry{ID: id, Prev: prev, Close: closes, Frame: sse.NewFrame(block, id.String())}
	t.last, t.closed, t.stopped = id, broker.ID{}, time.Time{}
	if closes {
		t.closed = id
	}
	m.store(t, entry, now)
	for feed := range m.feeds {
		if _, ok := feed.topics[t.name]; ok {
			feed.queue = append(feed.queue, broker.Message{Kind: broker.MessageEvent, Topic: t.name, Entry: entry})
		}
	}
	return id
}

// store keeps an event, and drops what is over a bound.
func (m *Broker) store(t *topic, e broker.Entry, now time.Time) {
	t.touched = now
	if m.opts.Retention.Size > 0 {
		t.entries = append(t.entries, e)
		m.bytes += e.Frame.Len() + memoryOverhead
		if len(t.entries) > m.opts.Retention.Size {
			m.drop(t, 1)
		}
	}
	m.move(t)
	m.makeRoom(t)
}

// Mark sends a mark through the feeds.
func (m *Broker) Mark(_ context.Context, _ int, seq uint64, floor, rebirth broker.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch {
	case m.last.Less(floor) || (!rebirth.IsZero() && !rebirth.Less(m.born)):
		m.birth(floor, now)
	case m.last.Less(broker.TimeID(now.Add(-m.opts.Retention.QuietLag()))):
		m.nextID(floor, now)
	}
	m.broadcast(broker.Message{Kind: broker.MessageMark, Mark: broker.Mark{Seq: seq, Head: m.last, Born: m.born}})
	return nil
}

// birth notes that events were lost before now: whoever calls knows an id that this broker does not.
func (m *Broker) birth(floor broker.ID, now time.Time) {
	m.born = m.nextID(floor, now)
	m.broadcast(broker.Message{Kind: broker.MessageBirth, Mark: broker.Mark{Born: m.born}})
}

func (m *Broker) broadcast(message broker.Message) {
	for feed := range m.feeds {
		feed.queue = append(feed.queue, message)
		feed.wake.Signal()
	}
}

// Read reads the ends of topics' histories.
func (m *Broker) Read(_ context.Context, _ int, reads []broker.Read) ([]broker.Tail, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(time.Now())
	tails := make([]broker.Tail, len(reads))
	for i := range reads {
		if t := m.topics[reads[i].Topic]; t != nil {
			tails[i] = t.read(&reads[i])
		} else {
			tails[i].Last = m.lastBound(reads[i].Topic)
		}
	}
	return tails, nil
}

func (t *topic) read(r *broker.Read) broker.Tail {
	tail := broker.Tail{Last: t.last, Closed: t.closed, Kept: len(t.entries)}
	above := func(id broker.ID) int {
		return sort.Search(len(t.entries), func(i int) bool { return id.Less(t.entries[i].ID) })
	}
	first := above(r.After)
	switch {
	case r.Limit == 0:
	case r.Before.IsZero():
		tail.Entries, tail.Full = oldest(r, t.entries[first:])
	default:
		end := above(r.Before)
		tail.Entries, tail.Full = newest(r, t.entries[min(first, end):end])
		if end < len(t.entries) {
			beyond := t.entries[end]
			tail.Beyond = &beyond
		}
	}
	return tail
}

// oldest and newest take from entries, at one end, what the read's bounds allow. full: they were reached.
func oldest(r *broker.Read, entries []broker.Entry) (taken []broker.Entry, full bool) {
	n := fitting(r, len(entries), func(i int) *broker.Entry { return &entries[i] })
	return slices.Clone(entries[:n]), n < len(entries) || n == r.Limit
}

func newest(r *broker.Read, entries []broker.Entry) (taken []broker.Entry, full bool) {
	n := fitting(r, len(entries), func(i int) *broker.Entry { return &entries[len(entries)-1-i] })
	return slices.Clone(entries[len(entries)-n:]), n < len(entries) || n == r.Limit
}

// fitting counts how many of some entries, the first at least, keep within the read's bounds.
func fitting(r *broker.Read, available int, at func(int) *broker.Entry) int {
	size := 0
	for n := range min(available, r.Limit) {
		if size += at(n).Frame.Len(); n > 0 && r.Bytes > 0 && size > r.Bytes {
			return n
		}
	}
	return min(available, r.Limit)
}

// Send hands a control message to the only replica.
func (m *Broker) Send(_ context.Context, _ string, payload []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broadcast(broker.Message{Kind: broker.MessageControl, Payload: payload})
	return len(m.feeds), nil
}

// Now is the process's own time.
func (m *Broker) Now(context.Context) (time.Time, error) { return time.Now(), nil }

// RememberCut keeps who was cut off, until the process ends or keep is over.
func (m *Broker) RememberCut(_ context.Context, owner string, at time.Time, keep time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.cuts[owner]; !known {
		m.bytes += memoryOverhead + len(owner)
	}
	m.cuts[owner] = at
	maps.DeleteFunc(m.cuts, func(name string, old time.Time) bool {
		lapsed := at.Sub(old) > keep
		if lapsed {
			m.bytes -= memoryOverhead + len(name)
		}
		return lapsed
	})
	return nil
}

// Cuts returns who was cut off.
func (m *Broker) Cuts(context.Context) (map[string]time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.cuts), nil
}

// Close ends all feeds.
func (m *Broker) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for feed := range m.feeds {
		feed.closeLocked()
	}
	return nil
}

// memoryFeed is a connection to a Memory broker. Guarded by its mu.
type feed struct {
	broker *Broker
	wake   *sync.Cond
	topics map[string]broker.ID // those followed; what forgotten said of each when that began
	queue  []broker.Message
	closed bool
}

// Open opens a feed.
func (m *Broker) Open(context.Context, int) (broker.Feed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errFeedClosed
	}
	feed := &feed{broker: m, wake: sync.NewCond(&m.mu), topics: make(map[string]broker.ID)}
	m.feeds[feed] = struct{}{}
	return feed, nil
}

// Subscribe acknowledges each topic.
func (f *feed) Subscribe(_ context.Context, topics []string) error {
	f.broker.mu.Lock()
	defer f.broker.mu.Unlock()
	for _, topic := range topics {
		if _, known := f.topics[topic]; !known {
			f.topics[topic] = f.broker.gone.last(topic)
		}
		f.queue = append(f.queue, broker.Message{Kind: broker.MessageAck, Topic: topic})
	}
	f.wake.Signal()
	return nil
}

// Unsubscribe lets go of topics.
func (f *feed) Unsubscribe(_ context.Context, topics []string) error {
	f.broker.mu.Lock()
	defer f.broker.mu.Unlock()
	for _, topic := range topics {
		delete(f.topics, topic)
	}
	return nil
}

// Receive takes all that is queued.
func (f *feed) Receive(buf []broker.Message) ([]broker.Message, error) {
	f.broker.mu.Lock()
	defer f.broker.mu.Unlock()
	for len(f.queue) == 0 && !f.closed {
		f.wake.Wait()
	}
	if f.closed {
		return nil, errFeedClosed
	}
	full := f.queue
	f.queue = buf
	f.broker.room.Broadcast()
	return full, nil
}

// Close wakes Receive, and publishers that wait for it.
func (f *feed) Close() error {
	f.broker.mu.Lock()
	defer f.broker.mu.Unlock()
	f.closeLocked()
	return nil
}

func (f *feed) closeLocked() {
	f.closed = true
	delete(f.broker.feeds, f)
	f.wake.Broadcast()
	f.broker.room.Broadcast()
}
