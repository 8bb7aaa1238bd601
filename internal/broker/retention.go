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
	// LastID is K: how old a position may be of which the broker can tell whether something is missing after it, though the
	// topic's events have expired [the longer of a day and twice Events].
	//
	// By the topic's last id, that is. "Old" is measured by the partition's clock, the last id given out, which stands still
	// while nothing is published. So a mark moves the clock on as soon as it is QuietLag behind the time, and a last id
	// is kept for longer than K (LastIDKept): when it is forgotten, the clock proves that every position below it is
	// older than K. With K = 24 h: an event of 00:00 is known until 06:00 of the next day; the clock is then at 03:00
	// or later, and a stream that was there at 23:59, before the event, is told a gap. These are rules 13 and 23 of
	// docs/exactness.md.
	LastID time.Duration
	// Close is how long a close holds, and a stop: a little longer than the history that it ends [Events and a minute].
	Close time.Duration
	Key   time.Duration // how long a key of idempotency is known [5m]
}

// WithDefaults puts the defaults in the place of zeros.
func (r Retention) WithDefaults() Retention {
	r.Events = cmp.Or(r.Events, time.Hour)
	r.LastID = cmp.Or(r.LastID, max(24*time.Hour, 2*r.Events))
	r.Close = cmp.Or(r.Close, r.Events+time.Minute)
	r.Key = cmp.Or(r.Key, 5*time.Minute)
	return r
}

// LastIDKept is how long a topic's last id is kept.
func (r Retention) LastIDKept() time.Duration { return r.LastID + r.LastID/4 }

// QuietLag is how far the clock of a partition in which nothing is published may be behind the time.
func (r Retention) QuietLag() time.Duration { return r.LastID / 8 }

// Closed tells at now whether a topic is closed still whose close event is closed (zero: none).
func (r Retention) Closed(closed ID, now time.Time) bool {
	return !closed.IsZero() && now.Before(time.UnixMilli(int64(closed.MS)).Add(r.Close))
}

// Stopped tells at now whether a topic that was stopped at since (zero: never) is so still.
func (r Retention) Stopped(since, now time.Time) bool {
	return !since.IsZero() && now.Before(since.Add(r.Close))
}
