package limit

import (
	"math"
	"sync"
	"time"
)

const (
	maxRateKeys = 1 << 16         // publishers whose use is remembered at a time
	rateSweep   = time.Second     // the least between two searches for publishers to forget
	maxDebt     = 365 * 24 * 3600 // seconds; keeps sums of durations far from overflow
)

// Rate limits how many events each publisher may publish on this replica. It is safe for concurrent use.
//
// A publisher is one time: when it would have used up nothing (the generic cell rate algorithm, a token bucket without
// a timer). Unlike golang.org/x/time/rate, a batch larger than the burst is not refused for ever, but passes when the
// publisher has its full burst, and is then worked off; and one that is idle is the same as one never seen, so that
// forgetting it loses nothing.
type Rate struct {
	every float64 // seconds per event
	burst float64 // events
	start time.Time

	mu    sync.Mutex
	idle  map[string]float64 // guarded by mu; publisher → when it is idle, in seconds from start
	swept float64            // guarded by mu
}

// NewRate returns a limit of perSecond events with the given burst (0: what one second allows, at least 1). A
// perSecond of 0 is no limit.
func NewRate(perSecond float64, burst int) *Rate {
	l := &Rate{start: time.Now(), idle: make(map[string]float64)}
	if perSecond > 0 {
		l.every = 1 / perSecond
		l.burst = float64(burst)
		if burst <= 0 {
			l.burst = math.Max(1, math.Ceil(perSecond))
		}
	}
	return l
}

// Take takes n events for publisher, or says how long to wait before trying again; 0 means taken.
func (l *Rate) Take(publisher string, n int) (wait time.Duration) {
	if l.every == 0 || n <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.start).Seconds()
	idle, known := l.idle[publisher]
	if !known {
		l.makeRoomLocked(now)
	}
	idle = math.Max(idle, now)
	need := math.Min(float64(n), l.burst)
	if late := idle + need*l.every - (now + l.burst*l.every); late > 1e-9 {
		return time.Duration(math.Ceil(late * float64(time.Second)))
	}
	l.idle[publisher] = math.Min(idle+float64(n)*l.every, now+maxDebt)
	return 0
}

// makeRoomLocked keeps the number of publishers bounded. First go the idle ones, which loses nothing; when there is
// none, any, which gives that one its burst again.
func (l *Rate) makeRoomLocked(now float64) {
	if len(l.idle) < maxRateKeys {
		return
	}
	if now-l.swept >= rateSweep.Seconds() {
		l.swept = now
		for publisher, idle := range l.idle {
			if idle <= now {
				delete(l.idle, publisher)
			}
		}
	}
	for publisher := range l.idle {
		if len(l.idle) < maxRateKeys {
			return
		}
		delete(l.idle, publisher)
	}
}
