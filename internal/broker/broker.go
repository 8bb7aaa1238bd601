// Package broker is the contract between a replica and the store that connects all replicas: events with their ids and
// places, what is kept of them and for how long, and the connection that carries them. The packages memory and redis
// beneath it keep the contract.
package broker

import (
	"context"
	"errors"
	"time"

	"sse-gateway/internal/sse"
)

// Errors that callers branch on. Everything else that a Broker returns is an internal fault.
var (
	// ErrUnavailable: the broker did not answer in time; whether a publish took effect is unknown unless
	// ErrNotSent is in the chain as well.
	ErrUnavailable = errors.New("the connection to Redis is unavailable")
	// ErrNotSent, always together with ErrUnavailable: the publish never reached the broker.
	ErrNotSent = errors.New("nothing was sent to Redis")
	// ErrForeign: the keys in Redis belong to gateways that are set up in another way. Nothing is done to them.
	ErrForeign = errors.New("this Redis is in use by gateways that are set up otherwise")
	// ErrRefused: Redis refuses what it was asked for, and will until somebody has acted.
	ErrRefused = errors.New("refused by Redis")
	// ErrFull: the broker refuses writes for want of memory; nothing was published.
	ErrFull = errors.New("there is no room for the event")
	// ErrTopicClosed: the topic's close event has been published.
	ErrTopicClosed = errors.New("the topic is closed")
	// ErrTopicStopped: somebody wants the topic to end. It takes nothing but its close.
	ErrTopicStopped = errors.New("the topic has been stopped")
	// ErrStopped: the broker has been closed.
	ErrStopped = errors.New("the gateway is stopping")
)

// A Broker carries the events between replicas and stores the recent past, in one or more partitions. Ids strictly
// increase over all topics of a partition. Its methods may be called from any goroutine, and bound the time they take.
type Broker interface {
	// Partitions is the number of partitions, a power of two.
	Partitions() int
	// Open opens a Pub/Sub connection of one partition, already subscribed to this replica's marks and to the
	// partition's births and control messages.
	Open(ctx context.Context, part int) (Feed, error)
	// Publish executes ops in order and answers one Result each. Nothing is retried. If the clock is behind an op's
	// floor the partition is born again first, as by Mark.
	Publish(ctx context.Context, part int, ops []Op) []Result
	// Mark sends a Mark to this replica's own feed. The mark's Head is the last id given out: every event up to
	// it has been sent to the feed before the mark. If the clock is behind floor, or lost, or if the caller proves with
	// rebirth (its last known Born) that events were lost, the partition is born again first (see Mark.Born). The clock
	// of a partition in which nothing has been published for Retention.QuietLag is moved on.
	Mark(ctx context.Context, part int, seq uint64, floor, rebirth ID) error
	// Read reads the ends of topics' histories. The last id of each topic is read before its entries.
	Read(ctx context.Context, part int, reads []Read) ([]Tail, error)
	// Send sends a control message to one replica, or to all for an empty name. It returns how many get it.
	Send(ctx context.Context, to string, payload []byte) (int, error)
	// Now is the time by the broker's clock, which is the same for all replicas.
	Now(ctx context.Context) (time.Time, error)
	// RememberCut keeps that owner was cut off at a time, for keep: as long as a token of the owner may live. What is
	// older than keep may be dropped.
	RememberCut(ctx context.Context, owner string, at time.Time, keep time.Duration) error
	// Cuts returns all cuts that are kept: by owner, the time of the last.
	Cuts(ctx context.Context) (map[string]time.Time, error)
	// Retention is what is kept, and for how long: no field is zero but Size.
	Retention() Retention
	// Replica is the name of this replica.
	Replica() string
	Close() error
}

// A Feed is one Pub/Sub connection. Events of a partition arrive in id order.
type Feed interface {
	// Subscribe and Unsubscribe send one command for all topics; a Message of kind MessageAck follows for each
	// topic subscribed. They must not be called concurrently.
	Subscribe(ctx context.Context, topics []string) error
	Unsubscribe(ctx context.Context, topics []string) error
	// Receive appends the next messages to buf; it blocks until there is one. After an error the feed is dead.
	Receive(buf []Message) ([]Message, error)
	// Close wakes Receive.
	Close() error
}

// Message is what a Feed delivers.
type Message struct {
	Kind    MessageKind
	Topic   string // MessageEvent, MessageAck
	Entry   Entry  // MessageEvent
	Mark    Mark   // MessageMark; of MessageBirth only Born
	Payload []byte // MessageControl
}

// MessageKind tells the kinds of Message apart.
type MessageKind uint8

// What a Feed delivers.
const (
	MessageEvent   MessageKind = iota // an event was published
	MessageAck                        // a SUBSCRIBE took effect
	MessageMark                       // this replica's own mark came back
	MessageBirth                      // the partition has been born again
	MessageControl                    // a control message
)

// A Mark tells where a partition stands.
type Mark struct {
	Seq  uint64 // as given to Broker.Mark
	Head ID     // every event up to it has been delivered before the mark
	Born ID     // the id since which the partition's data is known to be whole
}

// Entry is an event with its place in its topic.
type Entry struct {
	ID    ID
	Prev  ID // the topic's event before it; without one an id that no event lies between
	Close bool
	Frame *sse.Frame
}

// Op is one publish: an event, or the close of a topic; or the stop of a topic, which is no event.
type Op struct {
	Topic string
	Block []byte // as sse.AppendBlock makes it
	Key   string // idempotency, already scoped; empty: none
	Close bool
	// Last are the blocks of events that come before the close, in the same step: if the topic is closed already, neither
	// they nor the close are published.
	Last [][]byte
	// Stop has later publishes into the topic refused as ErrTopicStopped, until it is closed or Retention.Close is over. It
	// has no other field but Topic and Floor, and no id. It may be repeated; a topic that is closed already stays as it is.
	Stop  bool
	Floor ID // the id given out must be above it
}

// Read asks for the end of one topic's history.
type Read struct {
	Topic string
	After ID
	// Limit is how many entries to read, oldest first from After. 0: only Last and Closed.
	Limit int
	// Bytes ends the entries before those that would make them larger, but not before the first. 0: no bound.
	Bytes int
	// Before turns the read round if it is not zero: the Limit newest entries in (After, Before], returned
	// oldest first, and then the first entry beyond Before, if there is one.
	Before ID
	Count  bool // ask for Kept too
}

// Tail is the answer to a Read.
type Tail struct {
	Last    ID      // the topic's last id; zero if not known (any more)
	Closed  ID      // of the close event; zero: open
	Kept    int     // events kept, if asked for
	Entries []Entry // as asked for
	Full    bool    // they end at the Read's Limit or Bytes, and there may be more
	Beyond  *Entry  // with Before: the first entry beyond it
}

// Result is what became of one Publication: its id, or an error that wraps one of the sentinels above.
type Result struct {
	ID  ID
	Err error
}
