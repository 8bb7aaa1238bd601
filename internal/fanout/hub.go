// Package fanout brings every published event to every subscription of its topic, on every replica: the
// hub of local subscriptions, what this replica knows of each partition of the broker, and the replay that makes a
// resume exact. The rules that the comments name by number are those of docs/exactness.md.
//
// Locks are taken in this order, and in no other:
//
//  1. questions.listing
//  2. partition.mu, the dispatch lock; never two of them at once
//  3. Subscription.mu
//  4. what a Sink locks in Push and End
//
// All others (owners.mu, owedCuts.mu, questions.mu, turns.mu, outage.mu) are held while no other is taken. A method that
// wants a lock held ends in Locked; the types evidence, marks, backlog and topic are part of a partition's state, and all their methods
// want its dispatch lock. Nothing is read, sent, waited for or logged under a lock.
package fanout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sse-gateway/internal/address"
	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// Errors that callers branch on, besides those of the broker. Everything else that Hub returns is an internal fault.
var (
	// ErrBusy: others are reading as much as may be read at a time.
	ErrBusy = errors.New("too much is being read already")
	// ErrCut: the subscription's user was cut off while it joined.
	ErrCut = errors.New("the streams of this user have been ended")
)

// Options are the limits and times of a Hub. The zero value of a field means its default in brackets.
type Options struct {
	QueueEvents int           // bound of a stream's pending events; replay pushes half of it at once [1024]
	QueueBytes  int           // the same in bytes, and for a page of a history [256 KiB]
	EventBytes  int           // about the largest that one event may be [64 KiB]
	Timeout     time.Duration // how long a join waits for the broker [2s]
	Canary      time.Duration // between two marks; a Pub/Sub connection silent for 3 of them is replaced [1s]
	Linger      time.Duration // from a topic's last local subscription to its UNSUBSCRIBE [5s]
	Log         *slog.Logger  // [discards]

	// CutTTL is how long the broker remembers who was cut off: as long as a token may live. 0: a cut ends streams,
	// and is forgotten.
	CutTTL time.Duration
	// OnCut is told of every cut that this replica learns of, more than once. It must not block.
	OnCut func(owner string, at time.Time)

	bounds bounds                            // [defaultBounds]
	spread func(time.Duration) time.Duration // a random part of a pause; the model test makes it its own [rand.N]
}

func (o Options) withDefaults() Options {
	o.QueueEvents = cmp.Or(o.QueueEvents, 1024)
	o.QueueBytes = cmp.Or(o.QueueBytes, 256<<10)
	o.EventBytes = cmp.Or(o.EventBytes, 64<<10)
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.Canary = cmp.Or(o.Canary, time.Second)
	o.Linger = cmp.Or(o.Linger, 5*time.Second)
	o.bounds = cmp.Or(o.bounds, defaultBounds())
	if o.spread == nil {
		o.spread = rand.N[time.Duration]
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Hub joins local subscriptions to the broker: one per replica. It owns a goroutine per partition and one more per Pub/Sub
// connection.
type Hub struct {
	broker     broker.Broker
	opts       Options
	partitions []*partition
	comment    *sse.Frame // the heartbeat
	questions  questions
	reads      *turns      // reads of histories under way
	pages      *turns      // pages of histories that are held until they have been answered
	owners     owners      // who is to be found when they are cut off
	producers  producers   // who is to be told of stops
	owed       owedCuts    // cuts that the broker has not taken
	cutsKnown  atomic.Bool // the cuts that the broker remembers have been loaded
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// NewHub starts a hub on a broker, which it closes in the end.
func NewHub(store broker.Broker, opts Options) *Hub {
	ctx, stop := context.WithCancel(context.Background())
	h := &Hub{broker: store, opts: opts.withDefaults(), comment: sse.NewPing(), stop: stop}
	h.owners, h.owed = newOwners(), newOwedCuts()
	b := &h.opts.bounds
	h.reads, h.pages = newTurns(b.reads, b.readBytes, 0), newTurns(b.pages, b.pageBytes, b.pagesOfOne)
	outage := newOutage(h.opts.Log)
	for i := range store.Partitions() {
		p := newPartition(i, store.Retention(), h.opts)
		h.partitions = append(h.partitions, p)
		c := &connector{state: p, broker: store, outage: outage, control: h.control}
		h.running.Go(func() { c.run(ctx) })
	}
	h.running.Go(func() { h.watchCuts(ctx) })
	h.running.Go(func() { h.settleCuts(ctx) })
	h.running.Go(func() { h.endCut(ctx) })
	return h
}

// Close ends the hub and waits for its goroutines. Subscriptions get nothing any more.
func (h *Hub) Close() error {
	h.stop()
	h.running.Wait()
	if err := h.broker.Close(); err != nil {
		return fmt.Errorf("close the broker: %w", err)
	}
	return nil
}

// A refuser is a broker that may refuse events while it delivers others.
type refuser interface {
	// Refused tells why no event of a partition is taken, or nil.
	Refused(part int) error
}

// A refusalCounter is a broker that counts what it is refused.
type refusalCounter interface {
	// Refusals tells how often something was refused, by kind.
	Refusals() map[string]uint64
}

// Refusals tells how often Redis has refused something, by kind.
func (h *Hub) Refusals() map[string]uint64 {
	if store, can := h.broker.(refusalCounter); can {
		return store.Refusals()
	}
	return nil
}

// Ready tells whether every partition is connected and up to date: nil, or what is not.
func (h *Hub) Ready() error {
	for _, p := range h.partitions {
		if isLive, fault := p.health(); !isLive {
			return fmt.Errorf("%w: partition %d is not connected or catching up: %w", broker.ErrUnavailable, p.index, fault)
		}
		if store, can := h.broker.(refuser); can {
			if err := store.Refused(p.index); err != nil {
				return fmt.Errorf("%w: partition %d takes no events: %w", broker.ErrUnavailable, p.index, err)
			}
		}
	}
	if h.remembersCuts() && !h.cutsKnown.Load() {
		return fmt.Errorf("%w: it is not known yet who has been cut off", broker.ErrUnavailable)
	}
	return nil
}

// partition is where a topic lives.
func (h *Hub) partition(topic string) *partition {
	return h.partitions[partitionOf(topic, len(h.partitions))]
}

// partitionOf spreads topics over n partitions, a power of two.
func partitionOf(topic string, n int) int {
	if n == 1 {
		return 0
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(topic))
	return int(hash.Sum32()) & (n - 1)
}

// Publish publishes events, and answers one Result each, in order. Events of one partition are published in order.
func (h *Hub) Publish(ctx context.Context, pubs []Publication) []broker.Result {
	ops := make([]broker.Op, len(pubs))
	for i := range pubs {
		ops[i] = pubs[i].op()
	}
	return h.publish(ctx, ops)
}

// op encodes the event, once for all replicas. Its key is that of a publisher and a topic (rule 4).
func (pub *Publication) op() broker.Op {
	envelope := sse.Envelope{Data: pub.Data, From: pub.From}
	envelope.Topic, envelope.User = address.Parse(pub.Topic).Fields()
	size := len(pub.Topic) + len(pub.Data) + len(pub.From) + 96
	block := sse.AppendBlock(make([]byte, 0, size), eventType(pub.Type), pub.Retry, envelope.Append(make([]byte, 0, size)))
	op := broker.Op{Topic: pub.Topic, Block: block}
	if pub.Key != "" {
		op.Key = strconv.Quote(pub.Publisher) + strconv.Quote(pub.Topic) + pub.Key
	}
	return op
}

// eventType leaves the default type unsaid, as the standard allows: some clients treat what has a name as something special.
func eventType(name string) string {
	if name == sse.TypeMessage {
		return ""
	}
	return name
}

// CloseTopic ends a topic with its close event, whose id it returns. The last events come before it, in the same step; their topic
// is that one, and their keys do not count. A topic that is closed already stays as it is: the id is that of its close.
func (h *Hub) CloseTopic(ctx context.Context, topic string, last ...Publication) (broker.ID, error) {
	data := sse.Envelope{Topic: topic, Data: json.RawMessage("null")}.Append(nil)
	op := broker.Op{Topic: topic, Close: true, Block: sse.AppendBlock(nil, sse.TypeClose, 0, data)}
	for i := range last {
		op.Last = append(op.Last, last[i].op().Block)
	}
	result := h.publish(ctx, []broker.Op{op})[0]
	return result.ID, result.Err
}

func (h *Hub) publish(ctx context.Context, ops []broker.Op) []broker.Result {
	if len(h.partitions) == 1 {
		return h.publishIn(ctx, h.partitions[0], ops)
	}
	results := make([]broker.Result, len(ops))
	places := make(map[*partition][]int)
	for i := range ops {
		p := h.partition(ops[i].Topic)
		places[p] = append(places[p], i)
	}
	var all sync.WaitGroup
	for p, at := range places {
		all.Go(func() {
			mine := make([]broker.Op, len(at))
			for i, place := range at {
				mine[i] = ops[place]
			}
			for i, result := range h.publishIn(ctx, p, mine) {
				results[at[i]] = result
			}
		})
	}
	all.Wait()
	return results
}

// publishIn publishes events of one partition.
func (h *Hub) publishIn(ctx context.Context, p *partition, ops []broker.Op) []broker.Result {
	floor := p.floor()
	for i := range ops {
		ops[i].Floor = floor
	}
	results := h.broker.Publish(ctx, p.index, ops)
	var newest broker.ID
	for _, result := range results {
		newest = broker.Later(newest, result.ID)
	}
	p.saw(newest)
	return results
}

// Publication is one event to publish. Its fields have been checked by the caller.
type Publication struct {
	Topic     string          // an address, as address.String writes it
	Type      string          // event type; sse.TypeMessage if empty
	Retry     int             // ms; 0: none
	Data      json.RawMessage // compact JSON
	From      string          // the publisher's subject, shown in the envelope; may be empty
	Key       string          // idempotency key; may be empty
	Publisher string          // the scope of Key, besides the topic
}

// JoinRequest says what a subscription is to get. Its names have been checked and authorised by the caller.
type JoinRequest struct {
	Topics []string // public topics
	User   string   // whose inbox is part of the stream; empty: none
	Owner  string   // who is cut off by Cut(owner): the token's subject, or the user
	Start  Start    // where the stream begins
	Raw    bool     // frames in the form of raw=1
	// EventsOnly: nothing is pushed but what was published, and heartbeats: no gap, close or position. The stream ends where a
	// gap would be told. See Subscription.Look.
	EventsOnly bool
	Client     string // whose turn it is when what the stream missed is read: the token's subject, or an address
}

// Sink is where the frames of a subscription go: an open stream. Push and End are called under the dispatch lock, which all
// streams of a partition wait for: they must be quick, and must not call the hub or the Subscription.
type Sink interface {
	// Push appends a frame to the stream's pending sequence. It never blocks; it may be called from any
	// goroutine. Pushes of one stream never overlap (rule 5). It reports false when the stream has ended or ends for a full queue.
	Push(frame *sse.Frame) bool
	// WaitRoom blocks until the pending sequence has room for a page of history, the stream has ended (an error),
	// or ctx is done.
	WaitRoom(ctx context.Context) error
	// End closes the stream after what is pending has been written. reason is a metric label. It never blocks.
	End(reason string)
}

// TopicInfo describes one topic over all replicas.
type TopicInfo struct {
	Topic       string
	Subscribers int       // open streams, over all replicas
	Events      int       // kept in the history
	First, Last broker.ID // of the kept events; Last also when the events have expired but the last id is known
	Closed      bool      // its close event has been published
	Partial     bool      // a replica did not answer in time: its subscribers are not counted
}

// TopicsPage is a part of a list of topics, by name.
type TopicsPage struct {
	Topics  []TopicInfo // of which only Topic and Subscribers are set
	More    bool        // there are more after the last
	Partial bool        // a replica did not answer in time: its streams, and the topics that only it has, are missing
}

// StoredEvent is an event of the history.
type StoredEvent struct {
	ID    broker.ID
	frame *sse.Frame
}

// PageRequest asks for a part of a topic's history.
type PageRequest struct {
	Topic string
	After broker.ID // the oldest events after it; unless Back
	// Back asks for the newest events rather than the oldest: of all, of those before Before if it is not zero, or of those
	// up to the position Until, of a stream or a page, if it is not empty.
	Back   bool
	Before broker.ID
	Until  string
	Limit  int    // events at most
	Client string // as in JoinRequest
}

// Page is a part of a topic's history, oldest first. It holds as many bytes as a stream's queue at most, but one event at
// least. Its Close is to be called, once, when it has been answered.
type Page struct {
	Events []StoredEvent
	Next   broker.ID // to go on after
	// Cursor is where a stream begins that is to bring what follows the page. A page of another topic until Cursor ends
	// at the same moment: a stream of both topics from there brings what follows both.
	Cursor string
	More   bool // there are more events after Next now; of a page back: before its first
	Gap    bool // events after the asked-for id are no longer kept
	end    func()
}
