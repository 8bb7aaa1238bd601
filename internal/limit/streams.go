package limit

import (
	"errors"
	"net/netip"
	"sync"
)

// Errors of Acquire: which limit is reached.
var (
	ErrStreams        = errors.New("the limit of open streams is reached")
	ErrStreamsPerUser = errors.New("the user's limit of open streams is reached")
	ErrStreamsPerIP   = errors.New("the address's limit of open streams is reached")
)

// StreamsOptions are the most streams that may be open at a time. 0: no limit.
type StreamsOptions struct {
	Total   int
	PerUser int
	PerIP   int // per IPv4 address or IPv6 /64
}

// Streams counts the open streams of this replica. It is safe for concurrent use. A limit that is off costs nothing.
type Streams struct {
	o StreamsOptions

	mu    sync.Mutex
	total int                // guarded by mu
	users map[string]int     // guarded by mu; only users with an open stream
	ips   map[netip.Addr]int // guarded by mu; by Network, only those with an open stream
}

// NewStreams returns a count of zero with the limits o.
func NewStreams(o StreamsOptions) *Streams {
	return &Streams{o: o, users: make(map[string]int), ips: make(map[netip.Addr]int)}
}

// Lease is one open stream's place in the count. The zero Lease holds none.
type Lease struct {
	of   *Streams
	user string
	ip   netip.Addr
}

// Acquire takes a place for a stream of user (empty: nobody's) from ip (invalid: unknown, not counted). Its error is
// one of the sentinels, and then nothing is taken. The lease is to be released once, when the stream has ended.
func (s *Streams) Acquire(user string, ip netip.Addr) (Lease, error) {
	if s.o == (StreamsOptions{}) {
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
