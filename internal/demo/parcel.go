package demo

import (
	"strings"
	"sync"
	"time"
)

const parcelID = "HF-2041"

// steps are the states of a parcel in their order. After the last comes the first again.
var steps = [...]string{
	"Order received",
	"Packed",
	"Picked up",
	"In the sorting centre",
	"Out for delivery",
	"Delivered",
}

// state is where a parcel is: what a status has and what is published.
type state struct {
	Parcel    string `json:"parcel"`
	Status    string `json:"status"`
	Step      int    `json:"step"` // from 1
	Steps     int    `json:"steps"`
	Version   int    `json:"version"`    // grows by one with each change, from 1
	ChangedAt int64  `json:"changed_at"` // Unix time in ms; no two changes have the same
}

type parcel struct {
	mu   sync.Mutex
	now  state
	when time.Time // of the last change; with its monotonic clock
}

func newParcel(now time.Time) *parcel {
	p := &parcel{now: state{Parcel: parcelID, Steps: len(steps)}}
	p.setLocked(0, now)
	return p
}

func (p *parcel) state() state {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *parcel) changed() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.when
}

// move goes to status in any case of letters, or to the next one if status is empty. It is false, and
// nothing moves, if there is no such status.
func (p *parcel) move(status string, now time.Time) (state, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.now.Step % len(steps) // Step counts from 1, so this is the index of the one behind it
	if status != "" {
		next = stepOf(status)
	}
	if next < 0 {
		return state{}, false
	}
	p.setLocked(next, now)
	return p.now, true
}

func (p *parcel) setLocked(i int, now time.Time) {
	p.now.Status = steps[i]
	p.now.Step = i + 1
	p.now.Version++
	p.now.ChangedAt = max(now.UnixMilli(), p.now.ChangedAt+1) // the page puts changes in order by this
	p.when = now
}

func stepOf(status string) int {
	for i, s := range steps {
		if strings.EqualFold(s, status) {
			return i
		}
	}
	return -1
}
