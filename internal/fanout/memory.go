package fanout

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

	"sse-gateway/internal/sse"
)

// MemoryOptions are the limits of a Memory broker. The zero value of a field means its default in brackets.
type MemoryOptions struct {
	HistorySize int           // events kept per topic; 0: none
	HistoryTTL  time.Duration // how long they are kept after the topic's last [1h]
	MaxBytes    int           // of all events kept; the topic published to longest ago loses its events first [512 MiB]
}

const (
	memoryQueue    = 8192 // messages waiting for a feed; publishers wait beyond
	memoryOverhead = 256  // bytes that a topic or an event takes besides its frame, about
)

var errFeedClosed = errors.New("the feed is closed")

// Memory is a broker inside the process: for one replica, with nothing kept when it ends. It has one partition.
type Memory struct {
	opts MemoryOptions

	mu     sync.Mutex // guards all below
	room   *sync.Cond // a feed's queue has been taken
	topics map[string]*memoryTopic
	keys   map[string]memoryKey
	stale  list.List // topics without events, least recently published first
	fresh  list.List // topics with events, in the same order
	spent  []string  // keys in the order in which they lapse
	last   ID
	born   ID
	bytes  int
	feeds  map[*memoryFeed]struct{}
	cuts   map[string]time.Time
	closed bool
}

type memoryTopic struct {
	name    string
	entries []Entry
	last    ID
	closed  ID
	touched time.Time
	place   *list.Element
	in      *list.List
}

type memoryKey struct {
	id     ID
	lapses time.Time
}

// NewMemory returns an empty broker.
func NewMemory(opts MemoryOptions) *Memory {
	opts.HistoryTTL = cmp.Or(opts.HistoryTTL, time.Hour)
	opts.MaxBytes = cmp.Or(opts.MaxBytes, 512<<20)
	m := &Memory{
		opts: opts, topics: make(map[string]*memoryTopic), keys: make(map[string]memoryKey),
		feeds: make(map[*memoryFeed]struct{}), cuts: make(map[string]time.Time),
	}
	m.room = sync.NewCond(&m.mu)
	m.born = m.nextID(ID{}, time.Now())
	return m
}

// Partitions is 1.
func (m *Memory) Partitions() int { return 1 }

// Replica is the only one.
func (m *Memory) Replica() string { return "embedded" }

// nextID gives out the next id, above floor.
func (m *Memory) nextID(floor ID, now time.Time) ID {
	m.last = maxID(ID{MS: uint64(now.UnixMilli())}, maxID(m.last, floor).next())
	return m.last
}

// Publish executes ops in order.
func (m *Memory) Publish(_ context.Context, _ int, ops []Op) []Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.congested() {
		m.room.Wait()
	}
	now := time.Now()
	m.expire(now)
	results := make([]Result, len(ops))
	for i := range ops {
		results[i] = m.publish(&ops[i], now)
	}
	for feed := range m.feeds {
		feed.wake.Signal()
	}
	return results
}

func (m *Memory) congested() bool {
	for feed := range m.feeds {
		if len(feed.queue) >= memoryQueue {
			return true
		}
	}
	return false
}

func (m *Memory) publish(op *Op, now time.Time) Result {
	if m.closed {
		return Result{Err: fmt.Errorf("%w: %w", ErrUnavailable, ErrNotSent)}
	}
	t := m.topics[op.Topic]
	if t != nil && closeHolds(t.closed, now, m.opts.HistoryTTL) {
		if op.Close {
			return Result{ID: t.closed}
		}
		return Result{Err: ErrTopicClosed}
	}
	if known, ok := m.keys[op.Key]; ok && op.Key != "" {
		return Result{ID: known.id}
	}
	if m.bytes > m.opts.MaxBytes {
		return Result{Err: ErrFull}
	}
	if t == nil {
		t = &memoryTopic{name: op.Topic}
		m.topics[op.Topic] = t
		m.bytes += memoryOverhead + len(op.Topic)
	}
	id := m.nextID(maxID(op.Floor, t.last), now)
	prev := t.last
	if prev.IsZero() {
		prev = maxID(m.born, id.Minus(retention(m.opts.HistoryTTL)))
	}
	entry := Entry{ID: id, Prev: prev, Close: op.Close, Frame: sse.NewFrame(op.Block, id.String())}
	t.last, t.closed = id, ID{}
	if op.Close {
		t.closed = id
	}
	if op.Key != "" {
		m.keys[op.Key] = memoryKey{id: id, lapses: now.Add(keyTTL)}
		m.spent = append(m.spent, op.Key)
	}
	m.store(t, entry, now)
	for feed := range m.feeds {
		if _, ok := feed.topics[op.Topic]; ok {
			feed.queue = append(feed.queue, Message{Kind: MessageEvent, Topic: op.Topic, Entry: entry})
		}
	}
	return Result{ID: id}
}

// store keeps an event, and drops what is over a bound.
func (m *Memory) store(t *memoryTopic, e Entry, now time.Time) {
	t.touched = now
	if m.opts.HistorySize > 0 {
		t.entries = append(t.entries, e)
		m.bytes += e.Frame.Len() + memoryOverhead
		if len(t.entries) > m.opts.HistorySize {
			m.drop(t, 1)
		}
	}
	m.move(t)
	for m.bytes > m.opts.MaxBytes && m.fresh.Len() > 0 {
		oldest := m.fresh.Front().Value.(*memoryTopic)
		m.drop(oldest, len(oldest.entries))
		m.move(oldest)
	}
}

// drop forgets the oldest n events of a topic.
func (m *Memory) drop(t *memoryTopic, n int) {
	for _, e := range t.entries[:n] {
		m.bytes -= e.Frame.Len() + memoryOverhead
	}
	clear(t.entries[:n])
	if t.entries = t.entries[n:]; len(t.entries) == 0 {
		t.entries = nil
	}
}

// move puts a topic at the end of the list that it belongs to.
func (m *Memory) move(t *memoryTopic) {
	if t.in != nil {
		t.in.Remove(t.place)
	}
	t.in = &m.fresh
	if len(t.entries) == 0 {
		t.in = &m.stale
	}
	t.place = t.in.PushBack(t)
}

// expire drops the events, the last ids and the keys whose time is over.
func (m *Memory) expire(now time.Time) {
	for front := m.fresh.Front(); front != nil; front = m.fresh.Front() {
		t := front.Value.(*memoryTopic)
		if now.Before(t.touched.Add(m.opts.HistoryTTL)) {
			break
		}
		m.drop(t, len(t.entries))
		m.move(t)
	}
	for front := m.stale.Front(); front != nil; front = m.stale.Front() {
		t := front.Value.(*memoryTopic)
		if now.Before(t.touched.Add(retention(m.opts.HistoryTTL))) {
			break
		}
		m.stale.Remove(front)
		delete(m.topics, t.name)
		m.bytes -= memoryOverhead + len(t.name)
	}
	for len(m.spent) > 0 && !now.Before(m.keys[m.spent[0]].lapses) {
		delete(m.keys, m.spent[0])
		m.spent = m.spent[1:]
	}
}

// Mark sends a mark through the feeds.
func (m *Memory) Mark(_ context.Context, _ int, seq uint64, floor, rebirth ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last.Less(floor) || (!rebirth.IsZero() && rebirth == m.born) {
		m.born = m.nextID(floor, time.Now())
		m.broadcast(Message{Kind: MessageBirth, Mark: Mark{Born: m.born}})
	}
	m.broadcast(Message{Kind: MessageMark, Mark: Mark{Seq: seq, Head: m.last, Born: m.born}})
	return nil
}

func (m *Memory) broadcast(message Message) {
	for feed := range m.feeds {
		feed.queue = append(feed.queue, message)
		feed.wake.Signal()
	}
}

// Read reads the ends of topics' histories.
func (m *Memory) Read(_ context.Context, _ int, reads []Read) ([]Tail, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(time.Now())
	tails := make([]Tail, len(reads))
	for i := range reads {
		if t := m.topics[reads[i].Topic]; t != nil {
			tails[i] = t.read(&reads[i])
		}
	}
	return tails, nil
}

func (t *memoryTopic) read(r *Read) Tail {
	tail := Tail{Last: t.last, Closed: t.closed, Kept: len(t.entries)}
	above := func(id ID) int {
		return sort.Search(len(t.entries), func(i int) bool { return id.Less(t.entries[i].ID) })
	}
	first := above(r.After)
	switch {
	case r.Limit == 0:
	case r.Before.IsZero():
		tail.Entries = slices.Clone(t.entries[first:min(first+r.Limit, len(t.entries))])
	default:
		end := above(r.Before)
		first = max(first, end-r.Limit)
		tail.Entries = slices.Clone(t.entries[min(first, end):end])
		if end < len(t.entries) {
			beyond := t.entries[end]
			tail.Beyond = &beyond
		}
	}
	return tail
}

// Send hands a control message to the only replica.
func (m *Memory) Send(_ context.Context, _ string, payload []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broadcast(Message{Kind: MessageControl, Payload: payload})
	return len(m.feeds), nil
}

// RememberCut keeps who was cut off, until the process ends or keep is over.
func (m *Memory) RememberCut(_ context.Context, owner string, at time.Time, keep time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.cuts, func(_ string, old time.Time) bool { return at.Sub(old) > keep })
	m.cuts[owner] = at
	return nil
}

// Cuts returns who was cut off.
func (m *Memory) Cuts(context.Context) (map[string]time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.cuts), nil
}

// Close ends all feeds.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for feed := range m.feeds {
		feed.closeLocked()
	}
	return nil
}

// memoryFeed is a connection to a Memory broker. Guarded by its mu.
type memoryFeed struct {
	broker *Memory
	wake   *sync.Cond
	topics map[string]struct{}
	queue  []Message
	closed bool
}

// Open opens a feed.
func (m *Memory) Open(context.Context, int) (Feed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errFeedClosed
	}
	feed := &memoryFeed{broker: m, wake: sync.NewCond(&m.mu), topics: make(map[string]struct{})}
	m.feeds[feed] = struct{}{}
	return feed, nil
}

// Subscribe acknowledges each topic.
func (f *memoryFeed) Subscribe(_ context.Context, topics []string) error {
	f.broker.mu.Lock()
	defer f.broker.mu.Unlock()
	for _, topic := range topics {
		f.topics[topic] = struct{}{}
		f.queue = append(f.queue, Message{Kind: MessageAck, Topic: topic})
	}
	f.wake.Signal()
	return nil
}

// Unsubscribe lets go of topics.
func (f *memoryFeed) Unsubscribe(_ context.Context, topics []string) error {
	f.broker.mu.Lock()
	defer f.broker.mu.Unlock()
	for _, topic := range topics {
		delete(f.topics, topic)
	}
	return nil
}

// Receive takes all that is queued.
func (f *memoryFeed) Receive(buf []Message) ([]Message, error) {
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
func (f *memoryFeed) Close() error {
	f.broker.mu.Lock()
	defer f.broker.mu.Unlock()
	f.closeLocked()
	return nil
}

func (f *memoryFeed) closeLocked() {
	f.closed = true
	delete(f.broker.feeds, f)
	f.wake.Broadcast()
	f.broker.room.Broadcast()
}
