package auth

import (
	"sync"
	"time"
)

// Revocations is which users were cut off, and when: their tokens from before are refused. It is this replica's copy;
// what keeps the copies equal calls Cut and Load. It is safe for concurrent use.
type Revocations struct {
	keep  time.Duration    // how long a token from before a cut can still be valid
	clock func() time.Time // the wall clock, by which tokens are issued and end; it may step

	mu    sync.RWMutex
	cuts  map[string]userCut // guarded by mu; by subject, the latest
	swept time.Time          // guarded by mu
}

// A userCut is when a subject was cut off, by the wall clock, and when this was heard, by the clock of timers.
type userCut struct{ at, heard time.Time }

// sweepEvery bounds how often the set is searched for cuts that have outlived every token.
const sweepEvery = time.Minute

// NewRevocations returns an empty set. maxAge is the longest that a token lives (JWT_MAX_AGE; 0:
// DefaultMaxAge).
func NewRevocations(maxAge time.Duration) *Revocations {
	if maxAge == 0 {
		maxAge = DefaultMaxAge
	}
	return &Revocations{keep: maxAge + leeway, clock: time.Now, cuts: make(map[string]userCut), swept: time.Now()}
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
	cut, known := v.cuts[id.Subject]
	v.mu.RUnlock()
	return known && !v.isOver(cut.at) && !id.IssuedAt.After(cut.at)
}

func (v *Revocations) cutLocked(subject string, at time.Time) {
	at = at.Round(0) // without the reading of the timers' clock, which would be compared instead
	if subject != "" && at.After(v.cuts[subject].at) && !v.isOver(at) {
		v.cuts[subject] = userCut{at: at, heard: time.Now()}
	}
}

// isOver reports whether all tokens have expired that a cut refuses.
func (v *Revocations) isOver(at time.Time) bool { return v.clock().Sub(at) > v.keep }

func (v *Revocations) sweepLocked() {
	now := time.Now()
	if now.Sub(v.swept) < sweepEvery {
		return
	}
	v.swept = now
	for subject, cut := range v.cuts {
		if v.isOver(cut.at) && now.Sub(cut.heard) > v.keep { // else the clock may be wrong, and come back
			delete(v.cuts, subject)
		}
	}
}
