package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogram_PercentilesAreWithinOneSixtyFourth(t *testing.T) {
	var h Histogram
	rng := rand.New(rand.NewPCG(1, 2))
	values := make([]time.Duration, 20_000)
	for i := range values {
		values[i] = time.Duration(math.Exp(rng.Float64() * 25))
		h.Record(values[i])
	}
	slices.Sort(values)
	for _, p := range []float64{0, 1, 50, 90, 99, 99.9, 100} {
		rank := max(int(math.Ceil(float64(len(values))*p/100)), 1)
		got, want := h.Percentile(p), values[rank-1]
		if got < want || float64(got) > float64(want)*(1+1.0/64)+1 {
			t.Errorf("p%v: got %d, want %d to 1/64 above", p, got, want)
		}
	}
	if got, want := h.Max(), values[len(values)-1]; got != want {
		t.Errorf("max: got %d, want %d", got, want)
	}
}

func TestHistogram_BucketsHoldTheirBounds(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 127, 128, 129, 1 << 20, 1<<20 + 1, math.MaxInt64} {
		i := bucket(v)
		if upper(i) < v || i > 0 && upper(i-1) >= v {
			t.Errorf("value %d is in bucket %d, which ends at %d", v, i, upper(i))
		}
	}
}

func TestHistogram_EmptyAndNegative(t *testing.T) {
	var h Histogram
	if got := h.Percentile(99); got != 0 {
		t.Errorf("empty: got %v, want 0", got)
	}
	h.Record(-time.Second)
	if got := h.Percentile(99); got != 0 || h.Count() != 1 {
		t.Errorf("negative: got %v of %d, want 0 of 1", got, h.Count())
	}
}

func TestMedian(t *testing.T) {
	for name, tt := range map[string]struct {
		values []float64
		want   float64
	}{
		"one":  {[]float64{4}, 4},
		"odd":  {[]float64{9, 1, 5}, 5},
		"even": {[]float64{4, 1, 2, 9}, 3},
	} {
		if got := Median(tt.values); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("none: got %v, want NaN", got)
	}
}
