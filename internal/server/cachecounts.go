package server

import (
	"holdfast/internal/cache"
	"holdfast/internal/metric"
)

// write writes the counts of polls and cache, if there are any rules.
func (x *caching) write(w *metric.Writer) {
	if x == nil {
		return
	}
	st := x.Store.Stats()
	w.Ints("holdfast_cache_requests_total", "result", x.Results())
	w.Int("holdfast_cache_waits_total", st.Waits)
	w.Int("holdfast_cache_fetches_total", st.Fetches)
	w.Int("holdfast_cache_fetches_in_flight", int64(st.Flights))
	w.Int("holdfast_cache_stored_total", st.Stored)
	passed := make([]int64, len(cache.Reasons()))
	for _, r := range x.Counts() {
		for i, n := range r.Passed {
			passed[i] += n
		}
	}
	w.Ints("holdfast_cache_passed_total", "reason", byReason(passed, cache.OtherMethod, cache.WaitedLong))
	w.Ints("holdfast_cache_not_stored_total", "reason", byReason(st.Refused[:], cache.OtherStatus, cache.NoRoom))
	w.Ints("holdfast_cache_dropped_total", "reason", byReason(st.Dropped[:], cache.Full, cache.SessionChanged))
	w.Int("holdfast_cache_invalidations_total", st.Invalidations)
	w.Int("holdfast_cache_entries", int64(st.Entries))
	w.Int("holdfast_cache_bytes", st.Bytes)
	if x.held != nil {
		held := x.held.Stats()
		w.Int("holdfast_cache_polls_held", held.Held)
		w.Int("holdfast_cache_polls_held_bytes", held.Bytes)
		w.Ints("holdfast_cache_polls_ended_total", "reason", held.Ended)
		w.Int("holdfast_cache_polls_not_held_total", held.Refused)
	}
}

// byReason returns counts by the texts of their reasons: those from one reason to another, and others that are not 0.
func byReason(counts []int64, from, to cache.Reason) map[string]int64 {
	m := map[string]int64{}
	for i, n := range counts {
		if r := cache.Reason(i); r != cache.None && (n > 0 || from <= r && r <= to) {
			m[r.String()] = n
		}
	}
	return m
}
