package limit

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRate_AllowsTheBurstAndThenTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRate(10, 5)
		for i := range 5 {
			if wait := l.Take("jack", 1); wait != 0 {
				t.Errorf("event %d of the burst has to wait %s", i, wait)
			}
		}
		wait := l.Take("jack", 1)
		if wait < 100*time.Millisecond || wait > 101*time.Millisecond {
			t.Errorf("after the burst: wait %s, want 100ms", wait)
		}
		if other := l.Take("jill", 1); other != 0 {
			t.Errorf("another publisher has to wait %s", other)
		}
		time.Sleep(wait)
		if wait := l.Take("jack", 1); wait != 0 {
			t.Errorf("after the wait that was told: wait %s", wait)
		}
		taken := 0
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			if l.Take("jack", 1) == 0 {
				taken++
			}
		}
		if taken < 99 || taken > 101 {
			t.Errorf("took %d events in 10 s, want 100", taken)
		}
	})
}

func TestRate_LetsALargeBatchPassAndWorksItOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRate(10, 5)
		if wait := l.Take("jack", 50); wait != 0 {
			t.Fatalf("a batch of ten bursts has to wait %s", wait)
		}
		wait := l.Take("jack", 1)
		if want := 4600 * time.Millisecond; (wait - want).Abs() > time.Millisecond {
			t.Errorf("after it: wait %s, want %s", wait, want)
		}
		if wait := l.Take("jack", 50); (wait - 5*time.Second).Abs() > time.Millisecond {
			t.Errorf("the next batch: wait %s, want 5s", wait)
		}
		time.Sleep(5 * time.Second)
		if wait := l.Take("jack", 50); wait > time.Millisecond {
			t.Errorf("after the wait that was told: wait %s", wait)
		}
	})
}

func TestRate_Limits(t *testing.T) {
	for _, tt := range []struct {
		name      string
		perSecond float64
		burst     int
		want      int // events at once
	}{
		{"off", 0, 0, math.MaxInt},
		{"default burst", 7, 0, 7},
		{"default burst of a fraction", 0.1, 0, 1},
		{"burst", 1, 3, 3},
		{"one in an hour", 1.0 / 3600, 2, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewRate(tt.perSecond, tt.burst)
				got := 0
				for got < 100 && l.Take("jack", 1) == 0 {
					got++
				}
				if got != min(tt.want, 100) {
					t.Errorf("%d events at once, want %d", got, tt.want)
				}
				if l.Take("jack", 0) != 0 {
					t.Error("no event at all has to wait")
				}
			})
		})
	}
}

func TestRate_StaysWithinBoundsForHugeBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRate(1e-6, 1)
		if wait := l.Take("jack", math.MaxInt); wait != 0 {
			t.Errorf("wait %s, want 0", wait)
		}
		if wait := l.Take("jack", math.MaxInt); wait <= 0 || wait > 2*maxDebt*time.Second {
			t.Errorf("wait %s", wait)
		}
	})
}

func TestRate_RemembersABoundedNumberOfPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRate(1, 1)
		for i := range maxRateKeys {
			l.Take(fmt.Sprint(i), 1)
		}
		l.Take("one more", 1)
		if len(l.idle) != maxRateKeys {
			t.Errorf("remembers %d publishers, want %d", len(l.idle), maxRateKeys)
		}
		if l.Take("one more", 1) == 0 {
			t.Error("the newest publisher has been forgotten")
		}
		time.Sleep(2 * time.Second)
		l.Take("fresh", 1)
		if len(l.idle) != 1 {
			t.Errorf("remembers %d publishers, want the busy one alone", len(l.idle))
		}
	})
}

func TestRate_HoldsUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRate(1, 100)
		var taken atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					if l.Take("jack", 1) == 0 {
						taken.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if got := taken.Load(); got != 100 {
			t.Errorf("took %d, want the burst of 100", got)
		}
	})
}
