package apigate

import "github.com/valyala/fasthttp"

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

// Voucher returns a Successor.Vouch for an API with a token; empty: it has none.
func Voucher(token string) func(*fasthttp.Request) {
	return func(r *fasthttp.Request) {
		r.Header.Del(fasthttp.HeaderAuthorization)
		if token != "" {
			r.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+token)
		}
		if len(r.Header.Peek(fasthttp.HeaderOrigin)) == 0 { // a page needs the Host of its Origin
			r.SetHost("localhost")
		}
	}
}
