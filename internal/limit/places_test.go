package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
)

func TestStreams_RefusesBeyondALimit(t *testing.T) {
	type place struct {
		user, ip string
		want     error
	}
	for _, tt := range []struct {
		name   string
		limits PlaceLimits
		places []place
	}{
		{"none", PlaceLimits{}, []place{{"a", "1.1.1.1", nil}, {"a", "1.1.1.1", nil}}},
		{"in all", PlaceLimits{Total: 2}, []place{{"a", "1.1.1.1", nil}, {"b", "1.1.1.2", nil}, {"c", "1.1.1.3", ErrStreams}}},
		{"per user", PlaceLimits{PerUser: 1}, []place{{"a", "1.1.1.1", nil}, {"a", "1.1.1.2", ErrStreamsPerUser}, {"b", "1.1.1.1", nil}}},
		{"per user, nobody's", PlaceLimits{PerUser: 1}, []place{{"", "1.1.1.1", nil}, {"", "1.1.1.1", nil}}},
		{"per IP", PlaceLimits{PerIP: 1}, []place{{"a", "1.1.1.1", nil}, {"b", "1.1.1.1", ErrStreamsPerIP}, {"b", "1.1.1.2", nil}}},
		{"per IP, mapped", PlaceLimits{PerIP: 1}, []place{{"a", "1.1.1.1", nil}, {"b", "::ffff:1.1.1.1", ErrStreamsPerIP}}},
		{"per IP, one /64", PlaceLimits{PerIP: 1}, []place{{"a", "2001:db8::1", nil}, {"b", "2001:db8::2", ErrStreamsPerIP}, {"b", "2001:db8:0:1::1", nil}}},
		{"per IP, unknown", PlaceLimits{PerIP: 1}, []place{{"a", "", nil}, {"b", "", nil}}},
		{"the first that is reached", PlaceLimits{Total: 1, PerUser: 1, PerIP: 1}, []place{{"a", "1.1.1.1", nil}, {"a", "1.1.1.1", ErrStreams}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewPlaces(tt.limits)
			var leases []Lease
			for i, p := range tt.places {
				var ip netip.Addr
				if p.ip != "" {
					ip = netip.MustParseAddr(p.ip)
				}
				lease, err := s.Acquire(p.user, ip)
				if !errors.Is(err, p.want) {
					t.Errorf("stream %d: got error %v, want %v", i, err, p.want)
				}
				leases = append(leases, lease)
			}
			for range 2 {
				for i := range leases {
					leases[i].Release()
				}
			}
			if s.total != 0 || len(s.users) != 0 || len(s.ips) != 0 {
				t.Errorf("after all releases %d, %v, %v are left", s.total, s.users, s.ips)
			}
			if lease, err := s.Acquire("a", netip.MustParseAddr("1.1.1.1")); err != nil {
				t.Errorf("after all releases: %v", err)
			} else {
				lease.Release()
			}
		})
	}
}

func TestStreams_HoldsUnderConcurrency(t *testing.T) {
	s := NewPlaces(PlaceLimits{Total: 10, PerUser: 3, PerIP: 5})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 200 {
				lease, err := s.Acquire(fmt.Sprint("u", i%4), netip.AddrFrom4([4]byte{1, 1, 1, byte(n % 3)}))
				s.mu.Lock()
				if s.total > 10 || s.users[fmt.Sprint("u", i%4)] > 3 {
					t.Errorf("%d streams, %v", s.total, s.users)
				}
				s.mu.Unlock()
				if err == nil {
					lease.Release()
				}
			}
		})
	}
	wg.Wait()
	if s.total != 0 || len(s.users) != 0 || len(s.ips) != 0 {
		t.Errorf("%d, %v, %v are left", s.total, s.users, s.ips)
	}
}

func TestStreams_CostNothingWhenOff(t *testing.T) {
	s := NewPlaces(PlaceLimits{})
	ip := netip.MustParseAddr("2001:db8::1")
	if got := testing.AllocsPerRun(100, func() {
		if _, err := s.Acquire("jack", ip); err != nil {
			t.Error(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations a stream, want 0", got)
	}
}
