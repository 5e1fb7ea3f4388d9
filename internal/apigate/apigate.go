// Package apigate has the requests of an API wait while another process takes over, and passes them on afterwards.
package apigate

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// MaxHold is how long a request waits while the API is held, before it is refused.
const MaxHold = 10 * time.Second

var (
	ErrHeld = errors.New("another process is taking over; nothing was done, so send the request again")
	errStay = errors.New("API requests are still in progress")
)

// maxConns is how many requests are passed on at once, and timeout how long each may take.
const (
	maxConns = 1024
	timeout  = time.Minute
)

// Gate has requests wait while a take-over is in progress, and passes them on after it.
type Gate struct {
	mu     sync.Mutex    // guards what follows
	heldc  chan struct{} // closed by the end of the hold; nil: the gate is open
	inside int           // requests that have passed it
	relay  *Relay        // nil: the requests are this process's

	vouched *Relay // for requests that have waited
	waiting int    // requests that do
}

// Successor is the API of the process that has taken over.
type Successor struct {
	Dial func() (net.Conn, error)

	// Vouch has requests accepted there that were accepted here and have waited, although its configuration may have another
	// token or other hosts. nil: they are sent as they came.
	Vouch func(*fasthttp.Request)
}

// Relay passes requests on.
type Relay struct {
	client *fasthttp.HostClient
	vouch  func(*fasthttp.Request) // nil: nothing
}

// Do passes a request on.
func (r *Relay) Do(req *fasthttp.Request, resp *fasthttp.Response) error {
	if r.vouch != nil {
		r.vouch(req)
	}
	return r.client.Do(req, resp)
}

// Hold has API requests wait until Release, and waits until none is in progress. If some are until by, it returns an error,
// and the API is not held.
func (g *Gate) Hold(by time.Time) error {
	g.mu.Lock()
	g.heldc = make(chan struct{})
	for g.inside > 0 && time.Now().Before(by) {
		g.mu.Unlock()
		time.Sleep(time.Millisecond)
		g.mu.Lock()
	}
	inside := g.inside
	g.mu.Unlock()
	if inside > 0 {
		g.Release(nil)
		return fmt.Errorf("%w: %d", errStay, inside)
	}
	return nil
}

// Release ends Hold. If to is not nil, another process has taken over: requests that wait, and later ones on the
// connections of this process, are passed on to it.
func (g *Gate) Release(to *Successor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if to != nil {
		client := &fasthttp.HostClient{
			Addr: "api", Dial: func(string) (net.Conn, error) { return to.Dial() },
			MaxConns: maxConns, MaxIdemponentCallAttempts: 1, RetryIfErr: func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
			ReadTimeout: timeout, WriteTimeout: timeout,
			NoDefaultUserAgentHeader: true, DisableHeaderNamesNormalizing: true, DisablePathNormalizing: true,
		}
		g.relay, g.vouched = &Relay{client: client}, &Relay{client, to.Vouch}
	}
	if g.heldc != nil {
		close(g.heldc)
		g.heldc = nil
	}
}

// Enter waits while the API is held. If it returns a relay, that has the response; otherwise Leave must follow.
func (g *Gate) Enter() (relay *Relay, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var late <-chan time.Time
	for g.heldc != nil {
		heldc := g.heldc
		g.waiting++
		g.mu.Unlock()
		if late == nil {
			timer := time.NewTimer(MaxHold)
			defer timer.Stop()
			late = timer.C
		}
		gaveUp := false
		select {
		case <-heldc:
		case <-late:
			gaveUp = true
		}
		g.mu.Lock()
		if g.waiting--; gaveUp {
			return nil, ErrHeld
		}
	}
	if g.relay == nil {
		g.inside++
	} else if late != nil {
		return g.vouched, nil
	}
	return g.relay, nil
}

// Waiting returns how many requests wait for the end of a hold.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}

// Moved reports whether another process has taken over.
func (g *Gate) Moved() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.relay != nil
}

// Relay returns what passes requests on; nil: they are this process's. It does not wait.
func (g *Gate) Relay() *Relay {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.relay
}

// Leave ends a request that has passed the gate.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
}
