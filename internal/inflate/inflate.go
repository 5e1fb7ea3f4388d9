// Package inflate inflates messages of WebSockets: small ones at once, others on workers, a few at a time.
package inflate

import (
	"github.com/gobwas/ws"

	"holdfast/internal/auth"
	"holdfast/internal/park"
	"holdfast/internal/wsframe"
)

// Messages up to these sizes are inflated at once.
const (
	smallSource = 8 << 10   // compressed bytes
	smallResult = 256 << 10 // inflated bytes at most
	maxRatio    = 1032      // inflated bytes at most per compressed byte
)

// maxAtOnce is how many messages workers inflate at the same time; each may take three times its limit.
const maxAtOnce = 4

// ErrBusy is the result if no worker has inflated the message.
var ErrBusy = &wsframe.Error{Code: 1013, Reason: "too busy; try again later"}

// IsSmall reports whether a message of n compressed bytes, and of limit bytes at most, is to be inflated at once.
func IsSmall(n, limit int) bool { return n <= smallSource && min(n*maxRatio, limit) <= smallResult }

// Inflater inflates on workers. Any goroutine may call it.
type Inflater struct {
	poller *park.Poller
	turns  *auth.Semaphore
}

// New returns an Inflater with the workers of a poller.
func New(p *park.Poller) *Inflater { return &Inflater{p, auth.NewSemaphore(maxAtOnce)} }

// Go inflates p when its turn comes, and passes on the result, on another goroutine. Nothing may change p until then.
func (f *Inflater) Go(p []byte, op ws.OpCode, limit int, done func([]byte, *wsframe.Error)) {
	f.turns.Acquire(func() {
		out, e := []byte(nil), ErrBusy // also if inflating panics
		after := func() {
			f.turns.Release()
			done(out, e)
		}
		if !f.poller.Go(func() { defer after(); out, e = wsframe.Inflate(p, op, limit) }) {
			after()
		}
	})
}
