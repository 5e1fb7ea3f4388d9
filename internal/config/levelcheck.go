package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"holdfast/internal/config/answers"
	"holdfast/internal/config/value"
	"holdfast/internal/deny"
)

// levelCheck checks what the level at a key says itself.
type levelCheck struct {
	d   *decoder
	b   *Block
	key string // empty: the top
}

// answers checks what a site or route says of who answers: an app, scripts, files or a redirect.
func (l *levelCheck) answers(c *Config) {
	d, b, key := l.d, l.b, l.key
	own := b.OwnServers(c.UpstreamPool)
	if d.given[key+".upstream"] && len(b.Upstreams) > 0 {
		d.add(key+".upstream", "is set besides upstreams; want one of the two")
	}
	fast := len(own) > 0 && own[0].URL.FastCGI
	for j, s := range own {
		at := fmt.Sprintf("%s.upstreams[%d]", key, j)
		if s.URL.Address == "" {
			d.add(at+".url", "missing; want "+wantUpstream)
			continue
		}
		inRange(d, at+".max_conns", s.MaxConns, 1, maxConnections, "as upstream_pool.max_conns")
		at = d.firstGiven(key+".upstream", key+".upstreams")
		if o, ok := c.Listen.Same(s.URL.Network, s.URL.Address); ok {
			d.add(at, fmt.Sprintf("%s and listen %s are the same address; Holdfast would call itself", s.URL, o))
		}
		if h := c.Hooks.Listen; sameAddress(h.Network, h.Address, s.URL.Network, s.URL.Address) {
			d.add(at, fmt.Sprintf("%s and hooks.listen %s are the same address; clients would reach the API", s.URL, h))
		}
		if s.URL.FastCGI != fast {
			d.add(key+".upstreams", "some speak FastCGI and some HTTP; want one kind")
		}
	}
	if len(own) > 0 && !slices.ContainsFunc(own, func(s Server) bool { return !s.Backup }) {
		d.add(key+".upstreams", "all are backups; want at least one that is not")
	}
	hasRoot, old := b.Root != "" && (d.given[key+".root"] || d.given[key+".site.root"]), d.given[key+".site"]
	switch {
	case b.Redirect != "" && d.given[key+".redirect"] && (len(own) > 0 || hasRoot), len(own) > 0 && !fast && hasRoot && !old:
		d.add(key, "has more than one of upstream, root and redirect; want one")
		return
	case old && d.given[key+".root"]:
		d.add(key+".root", "is set besides site.root, as it was written before; want it once")
	case old && len(own) == 0 || old && !fast && hasRoot:
		d.add(key+".site.root", "has no effect without a fastcgi upstream of the route")
	case b.FastCGI() && b.Root == "":
		d.add(key+l.rootKey(), "missing; a fastcgi upstream needs the folder of its scripts, such as /var/www/html")
	case hasRoot && !filepath.IsAbs(b.Root):
		d.add(key+l.rootKey(), show(b.Root)+" is not an absolute path; want one such as /var/www/html")
	}
	l.host()
}

// host checks the Host of requests to the app.
func (l *levelCheck) host() {
	host, key := l.b.Host, join(l.key, "upstream_host")
	switch {
	case host == "" || !l.has("upstream_host"):
		return
	case l.key != "" && (l.b.files || l.b.Redirect != "" || l.b.FastCGI()):
		l.d.add(key, "has no effect here; it is for upstreams that speak HTTP")
		return
	}
	if h, _, err := splitHostPort(host); err == nil {
		host = h
	}
	if err := checkHost(host); err != nil {
		l.d.add(key, err.Error()+"; want a name with or without a port, such as shop.internal")
	}
}

// rootKey returns how the file writes the root of a route.
func (l *levelCheck) rootKey() string {
	if l.d.given[join(l.key, "site")] {
		return ".site.root"
	}
	return ".root"
}

// redirect checks where a level redirects to; whole says that nothing follows it.
func (l *levelCheck) redirect(groups []string, whole bool) {
	if l.b.Redirect == "" || !l.has("redirect") {
		return
	}
	if problem := redirectProblem(l.b.Redirect, groups, whole); problem != "" {
		l.d.add(join(l.key, "redirect"), show(l.b.Redirect)+" "+problem+"; want one such as https://www.example.com/shop, or a path such as /shop")
	}
}

// ranges checks the values that the level has itself.
func (l *levelCheck) ranges() {
	d, b, key := l.d, l.b, l.key
	t, limits := &b.Timeouts, &b.Limits
	b.Secure.Check(func(name, problem string) {
		if l.has("upstream_tls") {
			d.add(join(key, "upstream_tls."+name), problem)
		}
	})
	if problem := value.RedirectStatusProblem(l.b.Moved); problem != "" && l.has("redirect_status") {
		d.add(join(key, "redirect_status"), problem)
	}
	rangeOf(l, "timeouts.header", t.Header, shortest, seconds(600), "")
	rangeOf(l, "timeouts.handshake", t.Handshake, shortest, seconds(600), "")
	rangeOf(l, "timeouts.idle", t.Idle, shortest, Duration(24*time.Hour), "")
	rangeOf(l, "timeouts.body", t.Body, shortest, Duration(time.Hour), "")
	rangeOf(l, "timeouts.send", t.Send, shortest, Duration(time.Hour), "")
	rangeOf(l, "timeouts.connect", t.Connect, shortest, seconds(300), "")
	rangeOf(l, "timeouts.upstream", t.Upstream, shortest, Duration(24*time.Hour), "")
	rangeOf(l, "timeouts.half_close", t.HalfClose, Duration(time.Millisecond), Duration(24*time.Hour), "off")
	rangeOf(l, "timeouts.tunnel", t.Tunnel, shortest, Duration(7*24*time.Hour), "")
	rangeOf(l, "timeouts.drain", t.Drain, shortest, Duration(time.Hour), "off")
	rangeOf(l, "timeouts.takeover", t.TakeOver, shortest, Duration(7*24*time.Hour), "")

	rangeOf(l, "limits.header", limits.Header, 1*KB, 1*MB, "")
	rangeOf(l, "limits.fields", limits.Fields, 1, 10_000, "")
	rangeOf(l, "limits.handshakes", limits.Handshakes, 1, 100_000, "")
	rangeOf(l, "limits.body", limits.Body, 1, 1*TB, "the app decides")
	rangeOf(l, "limits.min_body_rate", limits.BodyRate, 1, 1*GB, "any")
	rangeOf(l, "limits.min_send_rate", limits.SendRate, 1, 1*GB, "any")
	rangeOf(l, "limits.max_requests_in_flight", limits.Requests, 1, maxConnections, "any number")
	rangeOf(l, "limits.requests_per_second", limits.Rate, 1, 1_000_000, "any")
	rangeOf(l, "limits.burst", limits.Burst, 1, 1_000_000, "none")
	if limits.Burst > 0 && limits.Rate == 0 && l.has("limits.burst") {
		d.add(join(key, "limits.burst"), "has no effect without limits.requests_per_second")
	}
	rangeOf(l, "limits.connections_per_address", limits.PerAddress, 1, maxConnections, "any number")
	rangeOf(l, "limits.connections", limits.Connections, 1, maxConnections, "bounded by the file limit")

	rangeOf(l, "buffers.request", b.Buffers.Request, 1*KB, 64*MB, "as 64KB; with stream_uploads, bodies are streamed at once")
	rangeOf(l, "buffers.response", b.Buffers.Response, 1*KB, 64*MB, "no buffer")
	rangeOf(l, "buffers.total", b.Buffers.Total, 64*KB, 1*TB, "")
	rangeOf(l, "buffers.temp_file_size", b.Buffers.File, 64*KB, 1*TB, "")
	rangeOf(l, "buffers.temp_total_size", b.Buffers.Files, 64*KB, 1*TB, "")
	if f := b.Buffers.Folder; f != "" && f != NoFolder && !filepath.IsAbs(f) && l.has("buffers.temp_dir") {
		d.add("buffers.temp_dir", show(f)+" is not an absolute path; want one such as /var/tmp, or none")
	}
	rangeOf(l, "buffers.compressors", b.Buffers.Compressors, 1, 10_000, "")
	l.compression()
	l.denied()
	b.Answers.Check(l.has, func(name, problem string) { d.add(join(key, name), problem) })
}

// has reports whether a value is the level's own. The top has all that nothing else has.
func (l *levelCheck) has(name string) bool { return l.key == "" || l.d.given[join(l.key, name)] }

// rangeOf is inRange for a value that is the level's own.
func rangeOf[T int | Duration | Size](l *levelCheck, name string, got, lo, hi T, zero string) {
	if l.has(name) {
		inRange(l.d, join(l.key, name), got, lo, hi, zero)
	}
}

// denied checks the patterns of deny.
func (l *levelCheck) denied() {
	if !l.has("deny") {
		return
	}
	for i, p := range l.b.Deny {
		if answers.IsAddress(p) {
			l.d.add(fmt.Sprintf("%s[%d]", join(l.key, "deny"), i), show(p)+" is an address, and deny has paths; want it in deny_addresses")
		} else if err := deny.Check(p); err != nil {
			l.d.add(fmt.Sprintf("%s[%d]", join(l.key, "deny"), i), show(p)+" "+err.Error()+"; want a name such as *.sql, or a path such as /data/**")
		}
	}
}
