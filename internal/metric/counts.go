package metric

import (
	"strconv"
	"sync/atomic"
	"time"
)

const (
	firstStatus = 100
	lastStatus  = 599
)

// Statuses counts responses by status code. Each loop has its own, so that none waits for another's memory; any goroutine may
// read them. The zero value has counted nothing.
type Statuses struct {
	counts [lastStatus - firstStatus + 1]atomic.Int64
	others atomic.Int64
}

func (s *Statuses) Add(code int) {
	if code < firstStatus || code > lastStatus {
		s.others.Add(1)
		return
	}
	s.counts[code-firstStatus].Add(1)
}

// AddTo adds the counts to sums, by the code as text. Codes that no response has had are left out.
func (s *Statuses) AddTo(sums map[string]int64) {
	for i := range s.counts {
		if n := s.counts[i].Load(); n > 0 {
			sums[strconv.Itoa(firstStatus+i)] += n
		}
	}
	if n := s.others.Load(); n > 0 {
		sums["other"] += n
	}
}

// durationBounds are the upper bounds of a histogram's buckets. The last bucket has none.
var durationBounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

// Durations counts durations in buckets, on one loop as Statuses do.
type Durations struct {
	buckets [len(durationBounds) + 1]atomic.Int64
	sum     atomic.Int64 // nanoseconds
}

func (d *Durations) Add(t time.Duration) {
	i := 0
	for i < len(durationBounds) && t > durationBounds[i] {
		i++
	}
	d.buckets[i].Add(1)
	d.sum.Add(int64(t))
}

// Histogram is the sum of some Durations.
type Histogram struct {
	buckets [len(durationBounds) + 1]int64
	sum     time.Duration
}

// AddTo adds the counts to a histogram.
func (d *Durations) AddTo(h *Histogram) {
	for i := range d.buckets {
		h.buckets[i] += d.buckets[i].Load()
	}
	h.sum += time.Duration(d.sum.Load())
}

// Histogram writes a histogram of seconds.
func (w *Writer) Histogram(name string, h *Histogram) {
	total := int64(0)
	for i, n := range h.buckets {
		total += n
		bound := "+Inf"
		if i < len(durationBounds) {
			bound = formatSeconds(durationBounds[i])
		}
		w.Int(name+"_bucket", total, "le", bound)
	}
	w.line(name+"_sum", formatSeconds(h.sum))
	w.Int(name+"_count", total)
}

func formatSeconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) }
