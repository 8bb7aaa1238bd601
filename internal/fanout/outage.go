package fanout

import (
	"log/slog"
	"sync"
	"time"
)

const (
	outageFirst = 2 * time.Second // an outage that lasts is told again after so long, then after twice that, and so on
	outageMost  = 5 * time.Minute // and at least so often
)

// An outage says in the log when Redis is away and when it is back. The partitions of a replica lose it together and
// try again every second: one line tells it for all of them, and further ones come ever more rarely.
type outage struct {
	log *slog.Logger

	mu    sync.Mutex
	away  map[int]bool // the partitions that have no connection
	since time.Time    // when the first of them lost it
	next  time.Time    // when it is told again
	pause time.Duration
}

func newOutage(log *slog.Logger) *outage {
	return &outage{log: log, away: make(map[int]bool)}
}

// failed notes that a partition has no connection, for the reason err.
func (o *outage) failed(partition int, err error) {
	now := time.Now()
	o.mu.Lock()
	first := len(o.away) == 0
	o.away[partition] = true
	if first {
		o.since, o.next, o.pause = now, now, outageFirst
	}
	due, since, partitions := !now.Before(o.next), o.since, len(o.away)
	if due {
		o.next, o.pause = now.Add(o.pause), min(2*o.pause, outageMost)
	}
	o.mu.Unlock()
	switch {
	case first:
		o.log.Warn("no connection to Redis, trying again", "err", err)
	case due:
		o.log.Warn("still no connection to Redis", "away", now.Sub(since).Round(time.Second), "partitions", partitions, "err", err)
	}
}

// over notes that a partition has all of its events again.
func (o *outage) over(partition int) {
	o.mu.Lock()
	was, since := len(o.away), o.since
	delete(o.away, partition)
	ended := was > 0 && len(o.away) == 0
	o.mu.Unlock()
	if ended {
		o.log.Info("Redis is back", "away", time.Since(since).Round(time.Millisecond))
	}
}
