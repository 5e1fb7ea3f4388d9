package apigate

import "errors"

// ErrNotTakenOver is why no other process has taken over: this one continues.
var ErrNotTakenOver = errors.New("not taken over")

// TakenOver is what another process has taken over.
type TakenOver struct {
	PID         int     `json:"pid"`
	Version     string  `json:"version"`
	Connections int     `json:"connections"` // that have moved
	Stayed      int     `json:"stayed"`      // with a request in progress, or that can't move
	Pause       float64 `json:"pause"`       // how long everything waited, in seconds
}
