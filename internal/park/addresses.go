package park

import (
	"net/netip"
	"sync"
)

// addresses counts the accepted connections of each address. It exists only with a limit.
type addresses struct {
	limit  int
	exempt func(netip.Addr) bool

	mu    sync.Mutex // guards what follows
	conns map[netip.Addr]int
}

// take counts a connection of addr. It returns connCounted if it has counted it, 0 if addr is exempt from the limit,
// and false at the limit.
func (a *addresses) take(addr netip.Addr) (state uint8, ok bool) {
	addr = addr.Unmap().WithZone("") // as RemoteAddr has it
	if a == nil || !addr.IsValid() || a.exempt != nil && a.exempt(addr) {
		return 0, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.conns[addr]
	if n >= a.limit {
		return 0, false
	}
	a.conns[addr] = n + 1
	return connCounted, true
}

func (a *addresses) leave(addr netip.Addr) {
	addr = addr.Unmap().WithZone("")
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.conns[addr] - 1; n > 0 {
		a.conns[addr] = n
	} else {
		delete(a.conns, addr)
	}
}
