package config

import (
	"fmt"
	"reflect"

	"gopkg.in/yaml.v3"

	"holdfast/internal/config/value"
)

type (
	Listener  = value.Listener
	Listeners = value.Listeners
)

const (
	wantListener = wantListen + ", or a block with address"
	// maxListeners is beyond any use; each is a descriptor of an event loop.
	maxListeners = 64
)

// readListeners reads one address, or a list of addresses and blocks.
func readListeners(d *decoder, n *yaml.Node, v *Listeners, key string) {
	address := func(n *yaml.Node, l *Listener, key, want string) {
		d.scalar(n, reflect.ValueOf(&l.Address).Elem(), key, want)
	}
	switch {
	case n.Kind != yaml.SequenceNode:
		var one Listener
		if address(n, &one, key, wantListen); !d.failed[key] {
			*v = Listeners{one}
		}
		return
	case len(n.Content) == 0:
		d.fail(n, key, "an empty list; want "+wantListen)
		return
	case len(n.Content) > maxListeners:
		d.fail(n, key, fmt.Sprintf("%d addresses; want at most %d", len(n.Content), maxListeners))
		return
	}
	*v = nil
	for i, child := range n.Content {
		if child.Kind == yaml.AliasNode {
			child = child.Alias
		}
		var l Listener
		name := fmt.Sprintf("%s[%d]", key, i)
		d.at[name] = markOf(child)
		if child.Kind == yaml.MappingNode {
			d.section(child, reflect.ValueOf(&l).Elem(), name)
		} else {
			address(child, &l, name, wantListener)
		}
		*v = append(*v, l)
	}
}

// listenEntry is what an error calls entry i of listen: as the file has it.
func listenEntry(d *decoder, i int) string {
	if _, listed := d.at["listen[0]"]; !listed {
		return "listen"
	}
	return fmt.Sprintf("listen[%d]", i)
}

// listeners checks listen against itself, the API's and the app's address.
func (d *decoder) listeners(c *Config) {
	if d.failed["listen"] {
		return // a default would be compared with a value of the file
	}
	h, u := c.Hooks.Listen, c.Servers()[0].URL
	if !c.UsesTop() {
		u = Upstream{}
	}
	for i, l := range c.Listen {
		key := listenEntry(d, i)
		switch {
		case d.failed[key] || d.failed[key+".address"]:
			continue
		case l.Address.Network == "":
			d.add(key+".address", "missing; want "+wantListen)
			continue
		}
		for j, e := range c.Listen[:i] {
			if e.Address.Network != "" && value.Overlap(e.Address, l.Address) {
				d.add(key, fmt.Sprintf("%s and %s %s are the same address; want each once", l.Address, listenEntry(d, j), e.Address))
				break
			}
		}
		if sameAddress(l.Address.Network, l.Address.Address, u.Network, u.Address) && !d.failed["upstream"] {
			d.add(d.firstGiven("upstream", key), fmt.Sprintf("upstream %s and listen %s are the same address; Holdfast would call itself", u, l.Address))
		}
		if sameAddress(l.Address.Network, l.Address.Address, h.Network, h.Address) && !d.failed["hooks.listen"] {
			d.add(d.firstGiven("hooks.listen", key), fmt.Sprintf("hooks.listen %s and listen %s are the same address; want two", h, l.Address))
		}
	}
	if sameAddress(h.Network, h.Address, u.Network, u.Address) && !d.failed["hooks.listen"] && !d.failed["upstream"] {
		d.add(d.firstGiven("upstream", "hooks.listen"), fmt.Sprintf("upstream %s and hooks.listen %s are the same address; clients would reach the API", u, h))
	}
	checkRedirects(d, c)
}

// checkRedirects checks that a request that has been redirected can come back by https.
func checkRedirects(d *decoder, c *Config) {
	for _, l := range c.Listen {
		if !l.RedirectHTTPS {
			return
		}
	}
	if len(c.TrustedProxies) == 0 && !c.Listen.Unix() {
		d.add(listenEntry(d, 0), "redirects all requests to https, and so does every other address: want one for the requests that come back, or trusted_proxies if a proxy there ends TLS")
	}
}
