package metric

import (
	"strconv"
	"sync/atomic"
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
