package access

import (
	"net/netip"
	"sync/atomic"
	"time"

	"holdfast/internal/http1"
)

// Rules are those of a route. Nil Rules allow everything.
type Rules struct {
	Addresses *Addresses // nil: all
	Status    int        // of a request of another address; 0: 403
	Basic     *Basic     // nil: no login is required
	Any       bool       // an allowed address needs no login, and a login no allowed address
}

// Reason says why a request is refused. It is a label of a metric.
type Reason string

const (
	Denied     Reason = "path"
	Address    Reason = "address"
	NoLogin    Reason = "no_login"
	WrongLogin Reason = "login"
	Guessing   Reason = "guessing"
	Busy       Reason = "busy"
	NoFile     Reason = "file"
)

// Counts counts refusals by their reason.
type Counts struct{ denied, address, noLogin, wrongLogin, guessing, busy, noFile atomic.Int64 }

func (c *Counts) of(r Reason) *atomic.Int64 {
	switch r {
	case Denied:
		return &c.denied
	case Address:
		return &c.address
	case NoLogin:
		return &c.noLogin
	case WrongLogin:
		return &c.wrongLogin
	case Guessing:
		return &c.guessing
	case Busy:
		return &c.busy
	}
	return &c.noFile
}

// Add counts one more.
func (c *Counts) Add(r Reason) { c.of(r).Add(1) }

// All returns the counts by reason.
func (c *Counts) All() map[string]int64 {
	all := map[string]int64{}
	for _, r := range []Reason{Denied, Address, NoLogin, WrongLogin, Guessing, Busy, NoFile} {
		all[string(r)] = c.of(r).Load()
	}
	return all
}

// Result is a decision.
type Result struct {
	Refusal   *http1.Refusal // nil: the request is allowed
	Why       Reason         // of the refusal
	Challenge []byte         // line for the response's head; nil: none
	User      string         // who has logged in, or has failed to; empty: nobody has tried
}

var errAddress = &http1.Refusal{Status: 403, Reason: "address that allow or deny_addresses of the configuration excludes"}

// Decide decides about a request of a client, whose address is invalid if it came over a unix socket. If a login has to be verified
// first, it returns that instead.
func (r *Rules) Decide(h *http1.Head, client netip.Addr, now time.Time) (Result, *Attempt) {
	if r == nil {
		return Result{}, nil
	}
	allowed := r.Addresses.Allows(client)
	switch {
	case allowed && (r.Basic == nil || r.Any && r.Addresses != nil):
		return Result{}, nil
	case !allowed && (r.Basic == nil || !r.Any):
		refusal := errAddress
		if r.Status > 0 {
			refusal = &http1.Refusal{Status: r.Status, Reason: refusal.Reason}
		}
		return Result{Why: Address, Refusal: refusal}, nil
	}
	return r.Basic.decide(h, client, now)
}
