package warnings

import (
	"fmt"
	"net"
	"os"
	"time"

	"holdfast/internal/certs"
	"holdfast/internal/config"
)

// TLS returns what is likely not meant in the certificates and listeners of c, in a sentence each.
func TLS(c *config.Config) (list []string) {
	for i, l := range c.Listen {
		if err := bindable(c.Listen.Bind(i)); err != nil {
			list = append(list, fmt.Sprintf("%s: %s: %v for this user: %s", c.Listen.Key(i), l.Address, err, PortHint))
		}
	}
	now := time.Now()
	for i, p := range c.TLS.Certificates {
		if cert, err := certs.Load(certs.Pair(p)); err != nil {
			list = append(list, fmt.Sprintf("tls.certificates[%d]: %v", i, err))
		} else {
			list = append(list, certs.Check(certs.Pair(p), cert, now)...)
		}
	}
	if folder := c.TLS.Folder; folder != "" {
		pairs, err := certs.PairsIn(folder)
		switch {
		case err != nil:
			list = append(list, fmt.Sprintf("tls.folder: %v", err))
		case len(pairs) == 0:
			list = append(list, fmt.Sprintf("tls.folder: no directory in %s has fullchain.pem and privkey.pem", folder))
		}
		for _, p := range pairs {
			if cert, err := certs.Load(p); err != nil {
				list = append(list, fmt.Sprintf("tls.folder: %v", err))
			} else {
				list = append(list, certs.Check(p, cert, now)...)
			}
		}
	}
	return append(list, acmeWarnings(c)...)
}

// acmeWarnings returns why challenges may fail.
func acmeWarnings(c *config.Config) (list []string) {
	a := &c.TLS.ACME
	if len(a.Names) == 0 {
		return nil
	}
	if info, err := os.Stat(a.Folder); err == nil && info.Mode().Perm()&0o077 != 0 {
		list = append(list, fmt.Sprintf("tls.acme.folder: %s has mode %04o; want 0700", a.Folder, info.Mode().Perm()))
	}
	reachable := false
	for _, l := range c.Listen {
		_, port, _ := net.SplitHostPort(l.Address.Address)
		reachable = reachable || !l.Address.Local() && (l.TLS && port == "443" || !l.TLS && port == "80")
	}
	if !reachable {
		list = append(list, "tls.acme: no entry of listen has port 80 without tls or port 443 with it: the CA connects to these, so map one of them to Holdfast")
	}
	return list
}

// PortHint is what is needed for a port that only root may use.
const PortHint = "ports below 1024 need the capability CAP_NET_BIND_SERVICE: in a systemd unit, AmbientCapabilities=CAP_NET_BIND_SERVICE"
