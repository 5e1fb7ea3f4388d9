package balance

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
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

// Resolve looks up the upstreams with a host name regularly until ctx ends. Lookups may block, so don't call it on a
// loop.
func (s *Set) Resolve(ctx context.Context) error {
	for {
		wait := refreshNames
		for _, server := range s.servers {
			if !server.named() {
				continue
			}
			if err := server.resolve(ctx, s.lookup); err != nil && ctx.Err() == nil {
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

// ResolveNew looks up the host names of which nothing is known, once. What fails is left to Resolve.
func (s *Set) ResolveNew(ctx context.Context) {
	for _, server := range s.servers {
		if server.named() && server.resolved.Load() == nil {
			_ = server.resolve(ctx, s.lookup) // Resolve tries again, and logs it
		}
	}
}

func (s *Set) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if s.o.Lookup != nil {
		return s.o.Lookup(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// maxAddresses of a host name are tried.
const maxAddresses = 16

func (s *Server) resolve(ctx context.Context, lookup func(context.Context, string) ([]netip.Addr, error)) error {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	addrs, err := lookup(ctx, host)
	if err != nil {
		return err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	// localhost may be both; most apps listen on IPv4.
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	list := make([]string, 0, len(addrs))
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		list = append(list, net.JoinHostPort(a.String(), port))
	}
	if len(list) == 0 {
		return &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	if old := s.resolved.Load(); old == nil || !slices.Equal(*old, list) {
		s.resolved.Store(&list)
		s.reached.Store(0)
	}
	return nil
}
