// Package stats holds the few statistics that the load tool reports.
package stats

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// subBits sets the histogram's precision: each power of two has 1<<subBits buckets, so a value is off by at most
// 1/64 of itself.
const subBits = 6

// A Histogram counts durations in buckets whose width grows with the value. Its zero value is empty; recording costs
// a few nanoseconds and never allocates.
type Histogram struct {
	counts [(64 - subBits) << subBits]uint64
	total  uint64
	max    time.Duration
}

// Record counts one duration. A negative one, which only a stepped clock could produce, counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Max returns the largest duration, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Reset empties the histogram.
func (h *Histogram) Reset() { *h = Histogram{} }

// Percentile returns the duration that p percent of the recorded ones do not exceed, 0 when there are none.
func (h *Histogram) Percentile(p float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(math.Ceil(float64(h.total) * p / 100))
	rank = min(max(rank, 1), h.total)
	var seen uint64
	for i, n := range h.counts {
		seen += n
		if seen >= rank {
			return min(time.Duration(upper(i)), h.max)
		}
	}
	return h.max
}

// bucket returns the index of a value's bucket. Values below 1<<(subBits+1) have a bucket each.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// upper returns the largest value of a bucket.
func upper(i int) uint64 {
	shift := max(i>>subBits-1, 0)
	return uint64(i-shift<<subBits+1)<<shift - 1
}

// Median returns the middle of the values, the mean of the two middle ones when they are even in number, and NaN
// when there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}
