// Package fanout brings every published event to every subscription of its topic, on every replica: the brokers that
// store and carry events, the hub of local subscriptions, and the replay that makes a resume exact.
package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"sse-gateway/internal/sse"
)

// Errors that callers branch on. Everything else that Hub returns is an internal fault.
var (
	// ErrUnavailable: the broker did not answer in time; whether a publish took effect is unknown unless
	// ErrNotSent is in the chain as well.
	ErrUnavailable = errors.New("the event store is unavailable")
	// ErrNotSent, always together with ErrUnavailable: the publish never reached the broker.
	ErrNotSent = errors.New("nothing was sent to the event store")
	// ErrFull: the broker refuses writes for want of memory; nothing was published.
	ErrFull = errors.New("the event store is full")
	// ErrTopicClosed: the topic's close event has been published.
	ErrTopicClosed = errors.New("the topic is closed")
	// ErrCut: the subscription's user was cut off while it joined.
	ErrCut = errors.New("the streams of this user have been ended")
	// ErrStopped: the hub has been closed.
	ErrStopped = errors.New("the gateway is stopping")
)

// Inbox is the topic of a user's personal events. Public topic names never start with "@".
func Inbox(user string) string { return "@" + user }

// Options are the limits and times of a Hub. The zero value of a field means its default in brackets.
type Options struct {
	HistoryTTL  time.Duration // how long a topic's events are kept after its last [1h]
	QueueEvents int           // bound of what is held for one subscription that joins or replays [1024]
	QueueBytes  int           // the same in bytes [256 KiB]
	Timeout     time.Duration // of one read from the broker [2s]
	Canary      time.Duration // interval; a Pub/Sub connection silent for 3 of them is replaced [1s]
	Linger      time.Duration // from the last local subscription of a topic to its UNSUBSCRIBE [5s]
	Log         *slog.Logger  // [discards]
}

// Publication is one event to publish. Its fields have been checked by the caller.
type Publication struct {
	Topic     string          // a topic's name, or Inbox(user)
	Type      string          // event type; "message" if empty
	Retry     int             // ms; 0: none
	Data      json.RawMessage // compact JSON
	From      string          // the publisher's subject, shown in the envelope; may be empty
	Key       string          // idempotency key; may be empty
	Publisher string          // the scope of Key, besides the topic
}

// Result is what became of one Publication: its id, or an error that wraps one of the sentinels above.
type Result struct {
	ID  ID
	Err error
}

// JoinRequest says what a subscription is to get. Its names have been checked and authorised by the caller.
type JoinRequest struct {
	Topics []string // public topics
	User   string   // whose inbox is part of the stream; empty: none
	Owner  string   // who is cut off by Cut(owner): the token's subject, or the user
	Start  Start    // where the stream begins
	Raw    bool     // frames in the form of raw=1
}

// Sink is where the frames of a subscription go: an open stream.
type Sink interface {
	// Push appends a frame to the stream's pending sequence. It never blocks; it may be called from any
	// goroutine. It reports false when the stream has ended or ends for a full queue.
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
	Subscribers int  // open streams, over all replicas
	Events      int  // kept in the history
	First, Last ID   // of the kept events; Last also when the events have expired but the last id is known
	Closed      bool // its close event has been published
}

// StoredEvent is an event of the history.
type StoredEvent struct {
	ID    ID
	Event sse.Event // as a subscriber would receive it; Data is the envelope's JSON
}

// Page is a part of a topic's history, oldest first.
type Page struct {
	Events []StoredEvent
	Next   ID   // to go on after
	More   bool // there are more events after Next now
	Gap    bool // events after the asked-for id are no longer kept
}
