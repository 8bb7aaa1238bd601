package limit

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookAgain is how often AcquireSoon tries.
	lookAgain = 20 * time.Millisecond
	// maxWaiting bounds who waits in AcquireSoon: a crowd at the limit is no page that is loaded again.
	maxWaiting = 256
)

// Errors of Acquire: which limit is reached.
var (
	ErrStreams        = errors.New("the limit of open streams is reached")
	ErrStreamsPerUser = errors.New("the user's limit of open streams is reached")
	ErrStreamsPerIP   = errors.New("the address's limit of open streams is reached")
)

// PlaceLimits are the most streams that may be open at a time. 0: no limit.
type PlaceLimits struct {
	Total   int
	PerUser int
	PerIP   int // per IPv4 address or IPv6 /64
}

// Places counts the open streams of this replica. It is safe for concurrent use. A limit that is off costs nothing.
type Places struct {
	o       PlaceLimits
	waiting atomic.Int32 // in AcquireSoon

	mu    sync.Mutex
	total int                // guarded by mu
	users map[string]int     // guarded by mu; only users with an open stream
	ips   map[netip.Addr]int // guarded by mu; by Network, only those with an open stream
}

// NewPlaces returns a count of zero with the limits o.
func NewPlaces(o PlaceLimits) *Places {
	return &Places{o: o, users: make(map[string]int), ips: make(map[netip.Addr]int)}
}

// Lease is one open stream's place in the count. The zero Lease holds none.
type Lease struct {
	of   *Places
	user string
	ip   netip.Addr
}

// Acquire takes a place for a stream of user (empty: nobody's) from ip (invalid: unknown, not counted). Its error is
// one of the sentinels, and then nothing is taken. The lease is to be released once, when the stream has ended.
func (s *Places) Acquire(user string, ip netip.Addr) (Lease, error) {
	if s.o == (PlaceLimits{}) {
		return Lease{}, nil
	}
	if s.o.PerUser <= 0 {
		user = ""
	}
	if s.o.PerIP <= 0 {
		ip = netip.Addr{}
	}
	ip = Network(ip)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.o.Total > 0 && s.total >= s.o.Total:
		return Lease{}, ErrStreams
	case user != "" && s.users[user] >= s.o.PerUser:
		return Lease{}, ErrStreamsPerUser
	case ip.IsValid() && s.ips[ip] >= s.o.PerIP:
		return Lease{}, ErrStreamsPerIP
	}
	s.total++
	if user != "" {
		s.users[user]++
	}
	if ip.IsValid() {
		s.ips[ip]++
	}
	return Lease{of: s, user: user, ip: ip}, nil
}

// AcquireSoon is Acquire for a client that may be about to give a place back: a page that is loaded again closes its
// stream and opens another one, and through a proxy, on two connections, the new one may come first. Where the user's or
// the address's limit is reached it therefore waits up to patience for a place, unless many wait already. Its error is
// one of Acquire's, also when ctx ends the wait.
func (s *Places) AcquireSoon(ctx context.Context, patience time.Duration, user string, ip netip.Addr) (Lease, error) {
	lease, err := s.Acquire(user, ip)
	if err == nil || errors.Is(err, ErrStreams) {
		return lease, err
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > maxWaiting {
		return Lease{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return Lease{}, err
		case <-again.C:
		}
		if lease, err = s.Acquire(user, ip); err == nil {
			return lease, nil
		}
	}
}

// Release gives the place back. On the same Lease it may be called again, to no effect; a copy must not be released
// too. It is not safe for concurrent use.
func (l *Lease) Release() {
	s := l.of
	if s == nil {
		return
	}
	l.of = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if l.user != "" {
		decrement(s.users, l.user)
	}
	if l.ip.IsValid() {
		decrement(s.ips, l.ip)
	}
}

func decrement[K comparable](counts map[K]int, k K) {
	if counts[k]--; counts[k] <= 0 {
		delete(counts, k)
	}
}
