package admit

import (
	"bytes"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/http1"
	"holdfast/internal/park"
)

var (
	busy   = access.Result{Why: access.Busy, Refusal: &http1.Refusal{Status: 503, Reason: "too many logins are being verified; see basic_auth", After: time.Second}}
	failed = access.Result{Why: access.NoFile, Refusal: &http1.Refusal{Status: 500, Reason: "login could not be verified"}}
)

// Pending is a request whose login a worker verifies.
type Pending struct {
	Head, Rest []byte        // of the request, and what was read behind it
	More       bool          // further bytes may wait for which no event follows
	Result     access.Result // of the login
}

// pending is the handler of a connection meanwhile.
type pending struct{ Pending }

// Ready implements park.Handler: what the client sends waits, and so does its end, as it may still read the response.
func (p *pending) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Broken != 0 {
		c.Close()
		return
	}
	p.More = true
}

// Wait takes over c until a worker has verified a login. Then it calls next on the loop, unless c has closed. head, and what
// was read behind it, are copied.
func (g *Gate) Wait(c *park.Conn, a *access.Attempt, head, rest []byte, more bool, next func(c *park.Conn, p *Pending)) {
	p := &pending{Pending{Head: bytes.Clone(head), Rest: bytes.Clone(rest), More: more}}
	loop, ref := c.Loop(), c.Ref()
	c.Hold(p)
	c.SetDeadline(0)
	verified := func(r access.Result) {
		p.Result = r
		ref.Post(loop, func(c *park.Conn) {
			if c.Handler() == park.Handler(p) {
				next(c, &p.Pending)
			}
		})
	}
	if !g.verify(a, verified) {
		p.Result = busy
		next(c, &p.Pending)
	}
}

// verify has a worker verify a login, and call done with the result. It reports false, and has done nothing, if too many wait.
func (g *Gate) verify(a *access.Attempt, done func(access.Result)) bool {
	return g.pool.Go(func() {
		result := failed
		defer func() { done(result) }() // also after a panic
		result = a.Verify(time.Now())
	})
}
