package metric

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of a histogram's buckets. The last bucket has none.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

// Durations counts durations in buckets. Each loop has its own, as with Statuses. The zero value has counted nothing.
type Durations struct {
	buckets [len(bounds) + 1]atomic.Int64
	sum     atomic.Int64 // nanoseconds
	_       [64]byte     // what follows in memory may be another loop's
}

// Add counts a duration. One below zero, after a change of the clock, counts as zero.
func (d *Durations) Add(t time.Duration) { d.AddN(t, 1) }

// AddN is n times Add.
func (d *Durations) AddN(t time.Duration, n int) {
	i := 0
	for i < len(bounds) && t > bounds[i] {
		i++
	}
	d.buckets[i].Add(int64(n))
	d.sum.Add(int64(max(t, 0)) * int64(n))
}

// AddTo adds the counts to a histogram.
func (d *Durations) AddTo(h *Histogram) {
	for i := range d.buckets {
		h.buckets[i] += d.buckets[i].Load()
	}
	h.sum += time.Duration(d.sum.Load())
}

// Histogram is the sum of some Durations at one moment. The zero value is that of none.
type Histogram struct {
	buckets [len(bounds) + 1]int64 // not cumulative
	sum     time.Duration
}

// Count returns how many durations were counted.
func (h *Histogram) Count() (n int64) {
	for _, b := range h.buckets {
		n += b
	}
	return n
}

// Sum returns their sum.
func (h *Histogram) Sum() time.Duration { return h.sum }

// Add adds what another histogram has.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.sum += other.sum
}

// Since returns what was counted after before, an earlier histogram of the same durations. If counting has begun anew since,
// as of an upstream that a reload has replaced, that is all of h.
func (h *Histogram) Since(before *Histogram) Histogram {
	d := *h
	for i, n := range before.buckets {
		if d.buckets[i] -= n; d.buckets[i] < 0 {
			return *h
		}
	}
	d.sum -= before.sum
	return d
}

// Quantile estimates the duration that a share q of those counted do not exceed, such as 0.99. As in PromQL, it takes them
// to be spread evenly within their bucket, and returns the greatest bound for those above it. It is 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank, below := q*float64(h.Count()), 0.0
	low := time.Duration(0)
	for i, bound := range bounds {
		n := float64(h.buckets[i])
		if n > 0 && below+n >= rank {
			return low + time.Duration(float64(bound-low)*max(rank-below, 0)/n)
		}
		below += n
		low = bound
	}
	if h.Count() == 0 {
		return 0
	}
	return low
}

// Histogram writes a histogram of seconds. The labels are names and values in turn.
func (w *Writer) Histogram(name string, h *Histogram, labels ...string) {
	total := int64(0)
	of := append(labels[:len(labels):len(labels)], "le", "")
	for i, n := range h.buckets {
		total += n
		bound := "+Inf"
		if i < len(bounds) {
			bound = w.bound(bounds[i])
		}
		of[len(of)-1] = bound
		w.Int(name+"_bucket", total, of...)
	}
	w.sample(name+"_sum", formatSeconds(h.sum), labels)
	w.Int(name+"_count", total, labels...)
}

// bound returns the text of a bucket's bound. OpenMetrics wants a number with a point: 1.0, where others have 1.
func (w *Writer) bound(d time.Duration) string {
	s := formatSeconds(d)
	if w.format == OpenMetrics && !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

func formatSeconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
