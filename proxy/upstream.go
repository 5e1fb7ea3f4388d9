package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"holdfast/internal/park"
)

// Upstream is the app.
type Upstream struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the socket's path
	Host    string // for requests that bring no Host of their own

	resolved *atomic.Pointer[string] // IP:port of a host name; set by Resolve
}

// String names the upstream in the log.
func (u *Upstream) String() string {
	if u.Network == "unix" {
		return "unix:" + u.Address
	}
	return u.Address
}

// refreshNames is how often a host name is looked up again.
const refreshNames = 30 * time.Second

// dialAddress returns the address to connect to, or an error while a name is not resolved.
func (u *Upstream) dialAddress() (string, error) {
	if u.Network == "unix" {
		return u.Address, nil
	}
	if u.resolved != nil {
		if a := u.resolved.Load(); a != nil {
			return *a, nil
		}
		return "", fmt.Errorf("host name %s is not resolved", u.Address)
	}
	return u.Address, nil
}

// Named reports whether the upstream is a host name, which Resolve must look up.
func (u *Upstream) Named() bool {
	if u.Network == "unix" {
		return false
	}
	_, err := netip.ParseAddrPort(u.Address)
	return err != nil
}

// Resolve keeps the address of a named upstream fresh until ctx ends. Looking up may block, so it is
// not for a loop.
func (x *Proxy) Resolve(ctx context.Context) error {
	u := &x.o.Upstream
	host, port, err := net.SplitHostPort(u.Address)
	if err != nil {
		return fmt.Errorf("upstream %s: %w", u.Address, err)
	}
	for {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		wait := refreshNames
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			x.o.Log.Error("upstream's host name not resolved; keeping what was known", "upstream", u.Address, "error", err)
			wait = time.Second
		default:
			pick := addrs[0].Unmap()
			for _, a := range addrs { // localhost may be both; most apps listen on IPv4
				if a.Unmap().Is4() {
					pick = a.Unmap()
					break
				}
			}
			address := net.JoinHostPort(pick.String(), port)
			u.resolved.Store(&address)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// pool keeps a loop's idle upstream connections, the latest used first out. It is their handler: the
// end of one, or bytes that nobody asked for, take it out.
type pool struct {
	f     *Front
	limit int
	idle  []*park.Conn
}

// get returns an idle connection that is still good.
func (p *pool) get() *park.Conn {
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		c := p.idle[last]
		p.idle = p.idle[:last]
		if !c.Stale() {
			return c
		}
		c.Close()
	}
	return nil
}

func (p *pool) put(c *park.Conn) {
	if len(p.idle) >= p.limit {
		c.Close()
		return
	}
	c.Hold(p)
	c.SetDeadline(p.f.p.o.PoolIdle)
	p.idle = append(p.idle, c)
}

func (p *pool) Ready(c *park.Conn, ev park.Event) {
	if ev&(park.Expired|park.HangUp) == 0 && !c.Stale() {
		return
	}
	for i, d := range p.idle {
		if d == c {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	c.Close()
}
