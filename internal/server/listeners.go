package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/park"
	"holdfast/internal/warnings"
)

// listeners are open from open until the poller and the API take them.
type listeners struct {
	owned         *lifecycle
	clients       []clientListener // in the order of the configuration
	addr          net.Addr         // of the first
	own           net.Listener     // see openOwn; nil: none
	hooksListener net.Listener
}

type clientListener struct {
	net.Listener
	tls      bool
	redirect bool // all requests to https
}

// open opens what listen and hooks.listen name.
func (x *listeners) open(c *config.Config, owned *lifecycle) (err error) {
	x.owned = owned
	for i, l := range c.Listen {
		network, address := c.Listen.Bind(i)
		ln, err := x.listen(c.Listen.Key(i), network, address)
		if err != nil {
			return err
		}
		x.clients = append(x.clients, clientListener{ln, l.TLS, l.RedirectHTTPS})
	}
	x.addr = x.clients[0].Addr()
	if err := x.openOwn(c); err != nil {
		return err
	}
	x.hooksListener, err = x.listen("hooks.listen", c.Hooks.Listen.Network, c.Hooks.Listen.Address)
	return err
}

// serve gives the listeners of clients to a poller.
func (x *listeners) serve(p *park.Poller, t *tlsState, accept func(*park.Loop) park.Handler) error {
	if x.own != nil {
		if err := p.Listen(x.own, accept); err != nil {
			return err
		}
	}
	for _, l := range x.clients {
		listen, accept := p.Listen, accept
		switch {
		case l.redirect:
			listen = p.ListenMarked
		case l.tls:
			accept = t.accept(accept)
		}
		if err := listen(l.Listener, accept); err != nil {
			return err
		}
	}
	return nil
}

// Addr returns the first address that clients connect to.
func (x *listeners) Addr() net.Addr { return x.addr }

// HooksAddr returns the address of the API listener.
func (x *listeners) HooksAddr() net.Addr { return x.hooksListener.Addr() }

// Addrs returns all addresses that clients connect to.
func (x *listeners) Addrs() (list []string) {
	for _, l := range x.clients {
		list = append(list, l.Addr().String())
	}
	return list
}

// openOwn opens a socket for requests to paths of the app that only the proxy can make, if no other listener takes them
// as they are. Only this user can connect to it.
func (x *listeners) openOwn(c *config.Config) error {
	if c.Push.Authorize == "" && c.Push.Message == "" && c.Events.URL == "" && len(c.Watch) == 0 || x.openClient() != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "holdfast-")
	if err != nil {
		return fmt.Errorf("a socket for requests to the app: %w", err)
	}
	x.owned.onStop(func(time.Time) { os.RemoveAll(dir) })
	x.own, err = x.listen("listen", "unix", filepath.Join(dir, "own"))
	return err
}

// openClient returns a listener of clients that takes requests as they are; nil: there is none. Beside one with TLS none
// does: the app has to see that a client used https, and only a trusted peer can say so.
func (x *listeners) openClient() (open net.Listener) {
	for _, l := range x.clients {
		if l.tls {
			return nil
		}
		if !l.redirect && open == nil {
			open = l.Listener
		}
	}
	return open
}

// ownAddr returns where Holdfast sends requests to itself.
func (x *listeners) ownAddr() net.Addr {
	if x.own != nil {
		return x.own.Addr()
	}
	return x.openClient().Addr()
}

// listen opens the listener of a key of the configuration.
func (x *listeners) listen(key, network, address string) (net.Listener, error) {
	if network == "unix" { // a socket left by a process that is gone
		if c, err := net.Dial("unix", address); err == nil {
			c.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			os.Remove(address)
		}
	}
	ln, err := net.Listen(network, address)
	if errors.Is(err, syscall.EACCES) && network != "unix" {
		return nil, fmt.Errorf("%s: %w: %s", key, err, warnings.PortHint)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	x.owned.onStop(func(time.Time) { ln.Close() }) // who serves it may have closed it before
	return ln, nil
}
