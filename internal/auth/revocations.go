package auth

import (
	"sync"
	"time"
)

// Revocations is which users were cut off, and when: their tokens from before are refused. It is this replica's copy;
// what keeps the copies equal calls Cut and Load. It is safe for concurrent use.
type Revocations struct {
	keep time.Duration // how long a token from before a cut can still be valid

	mu    sync.RWMutex
	cuts  map[string]time.Time // guarded by mu; subject → its latest cut
	swept time.Time            // guarded by mu
}

// sweepEvery bounds how often the set is searched for cuts that have outlived every token.
const sweepEvery = time.Minute

// NewRevocations returns an empty set. maxAge is the longest that a token lives (JWT_MAX_AGE; 0:
// DefaultMaxAge).
func NewRevocations(maxAge time.Duration) *Revocations {
	if maxAge == 0 {
		maxAge = DefaultMaxAge
	}
	return &Revocations{keep: maxAge + leeway, cuts: make(map[string]time.Time), swept: time.Now()}
}

// Cut refuses subject's tokens that were not issued after at. An earlier cut than a known one changes nothing.
func (v *Revocations) Cut(subject string, at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cutLocked(subject, at)
	v.sweepLocked()
}

// Load adds the cuts of all, as read from where they are kept. It takes none away: a cut that came while they were
// read stays.
func (v *Revocations) Load(all map[string]time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for subject, at := range all {
		v.cutLocked(subject, at)
	}
	v.sweepLocked()
}

// Refuses reports whether id's token is from before a cut of its subject. A token that does not say when it was
// issued could be.
func (v *Revocations) Refuses(id Identity) bool {
	if id.anonymous || id.Subject == "" {
		return false
	}
	v.mu.RLock()
	at, cut := v.cuts[id.Subject]
	v.mu.RUnlock()
	return cut && time.Since(at) <= v.keep && !id.IssuedAt.After(at)
}

func (v *Revocations) cutLocked(subject string, at time.Time) {
	if subject != "" && at.After(v.cuts[subject]) && time.Since(at) <= v.keep {
		v.cuts[subject] = at
	}
}

func (v *Revocations) sweepLocked() {
	now := time.Now()
	if now.Sub(v.swept) < sweepEvery {
		return
	}
	v.swept = now
	for subject, at := range v.cuts {
		if now.Sub(at) > v.keep {
			delete(v.cuts, subject)
		}
	}
}
