package broker

import (
	"cmp"
	"time"
)

// Retention says what a broker keeps of a topic, and for how long after the topic's last event. The zero value of a
// field, but for Size, means its default in brackets.
type Retention struct {
	Size   int           // events kept, at least; 0: none
	Events time.Duration // how long they are kept [1h]
	// LastID is K: how long a topic's last id is kept. It outlives the events, so that a topic whose history has expired
	// is told apart from one that was never published to [the longer of a day and twice Events].
	LastID time.Duration
	Key    time.Duration // how long a key of idempotency is known [5m]
}

// WithDefaults puts the defaults in the place of zeros.
func (r Retention) WithDefaults() Retention {
	r.Events = cmp.Or(r.Events, time.Hour)
	r.LastID = cmp.Or(r.LastID, max(24*time.Hour, 2*r.Events))
	r.Key = cmp.Or(r.Key, 5*time.Minute)
	return r
}

// Close is how long a close holds: a little longer than the history that it ends.
func (r Retention) Close() time.Duration { return r.Events + time.Minute }

// Closed tells at now whether a topic is closed still whose close event is closed (zero: none).
func (r Retention) Closed(closed ID, now time.Time) bool {
	return !closed.IsZero() && now.Before(time.UnixMilli(int64(closed.MS)).Add(r.Close()))
}
