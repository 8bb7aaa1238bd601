package limit

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// acquired is what AcquireSoon returned, and after how long.
type acquired struct {
	lease Lease
	err   error
	took  time.Duration
}

func acquireSoon(ctx context.Context, s *Places) <-chan acquired {
	result := make(chan acquired, 1)
	begun := time.Now()
	go func() {
		lease, err := s.AcquireSoon(ctx, time.Second, "jack", netip.MustParseAddr("10.0.0.1"))
		result <- acquired{lease, err, time.Since(begun)}
	}()
	return result
}

func TestStreams_AcquireSoonTakesThePlaceThatIsGivenBack(t *testing.T) {
	for name, options := range map[string]PlaceLimits{"of the user": {PerUser: 1}, "of the address": {PerIP: 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewPlaces(options)
				former := (<-acquireSoon(t.Context(), s)).lease
				second := acquireSoon(t.Context(), s)
				time.Sleep(300 * time.Millisecond)
				former.Release()
				got := <-second
				if got.err != nil || got.took > 300*time.Millisecond+lookAgain {
					t.Errorf("after %v: %v, want the place as soon as it is free", got.took, got.err)
				}
				got.lease.Release()
				if s.total != 0 || s.waiting.Load() != 0 {
					t.Errorf("%d places are taken and %d wait at the end", s.total, s.waiting.Load())
				}
			})
		})
	}
}

func TestStreams_AcquireSoonGivesUp(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	tests := []struct {
		name    string
		ctx     context.Context
		options PlaceLimits
		waiting int32
		want    error
		after   time.Duration
	}{
		{"when its patience is at an end", context.Background(), PlaceLimits{PerUser: 1}, 0, ErrStreamsPerUser, time.Second},
		{"when the client has left", gone, PlaceLimits{PerUser: 1}, 0, ErrStreamsPerUser, 0},
		{"at once where the whole replica is full", context.Background(), PlaceLimits{Total: 1}, 0, ErrStreams, 0},
		{"at once where many wait", context.Background(), PlaceLimits{PerIP: 1}, maxWaiting, ErrStreamsPerIP, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewPlaces(tt.options)
				<-acquireSoon(t.Context(), s)
				s.waiting.Store(tt.waiting)
				got := <-acquireSoon(tt.ctx, s)
				if !errors.Is(got.err, tt.want) || got.took != tt.after {
					t.Errorf("%v after %v, want %v after %v", got.err, got.took, tt.want, tt.after)
				}
				if waiting := s.waiting.Load(); waiting != tt.waiting {
					t.Errorf("%d wait, want %d", waiting, tt.waiting)
				}
			})
		})
	}
}
