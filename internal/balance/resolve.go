package balance

import (
	"context"
	"net"
	"time"
)

// Named reports whether an upstream is a host name, which Resolve must look up.
func (s *Set) Named() bool {
	for _, server := range s.servers {
		if server.named() {
			return true
		}
	}
	return false
}

// refreshNames is how often a host name is looked up again.
const refreshNames = 30 * time.Second

// Resolve keeps the addresses of upstreams with a host name fresh until ctx ends. Looking up may block,
// so it is not for a loop.
func (s *Set) Resolve(ctx context.Context) error {
	for {
		wait := refreshNames
		for _, server := range s.servers {
			if !server.named() {
				continue
			}
			if err := server.resolve(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.Error("upstream's host name not resolved; keeping what was known", "upstream", server.String(), "error", err)
				wait = time.Second
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (s *Server) resolve(ctx context.Context) error {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return err
	}
	pick := addrs[0].Unmap()
	for _, a := range addrs { // localhost may be both; most apps listen on IPv4
		if a.Unmap().Is4() {
			pick = a.Unmap()
			break
		}
	}
	address := net.JoinHostPort(pick.String(), port)
	s.resolved.Store(&address)
	return nil
}
