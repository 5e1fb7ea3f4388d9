package config

import "slices"

// checkTLS checks tls, also against listen.
func checkTLS(d *decoder, c *Config) {
	c.TLS.Check(func(key, problem string) { d.add("tls."+key, problem) })
	i := slices.IndexFunc(c.Listen, func(l Listener) bool { return l.TLS })
	switch {
	case i < 0 && c.TLS.Given():
		d.add("tls", "has certificates, but no entry of listen has \"tls: true\": add one, such as {address: \":443\", tls: true}")
	case i < 0 && c.TLS.HSTS != "":
		d.add("tls.hsts", "has no effect without an entry of listen with \"tls: true\"; let the TLS terminator send the header")
	case i >= 0 && !c.TLS.Given() && !d.failed["tls.certificates"] && !d.failed["tls.folder"] && !d.failed["tls.acme"] && !d.failed["tls.acme.names"]:
		d.add(listenEntry(d, i)+".tls", "needs a certificate: set tls.certificates, tls.folder or tls.acme")
	}
	for i, l := range c.Listen {
		if l.TLS && l.RedirectHTTPS {
			d.add(listenEntry(d, i)+".redirect_https", "has no effect on an address with \"tls: true\"; want one of the two")
		}
	}
}
