package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast/internal/channel"
)

// minToken is the shortest hooks.token: what guards publishing must not be guessable.
const minToken = 16

// maxConnections is beyond any file limit; a larger number is a slip.
const maxConnections = 10_000_000

// validate checks what a single value's notation does not show: ranges, words, and keys against
// each other. A key whose value could not be read has its default here and its error already.
func (d *decoder) validate(c *Config) {
	d.listeners(c)
	checkTLS(d, c)
	d.upstreams(c)
	d.top(c)
	d.sites(c)
	d.routes(c)
	d.hooks(&c.Hooks)
	d.push(&c.Push)
	d.channels(c)
	d.watch(c)
	d.caches(c)
	d.injects(c)
	d.events(c)
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 && !c.Listen.Unix() {
		d.add("proxy_protocol", "needs trusted_proxies, the addresses of the load balancers: no others may connect then")
	}
	if c.RedirectHTTPS && len(c.TrustedProxies) == 0 && !c.Listen.Unix() {
		d.add("redirect_https", "needs trusted_proxies, the addresses of the TLS terminators: only they can say that a client used plain http")
	}
	d.ranges(c)
	d.oneOf("external.scheme", c.External.Scheme, schemes)
	d.oneOf("upstream_pool.next_upstream", c.UpstreamPool.NextUpstream, nextUpstream)
	d.oneOf("hooks.page", c.Hooks.Page, pageModes)
	d.oneOf("log.level", c.Log.Level, logLevels)
	d.oneOf("log.format", c.Log.Format, logFormats)
	d.oneOf("log.access_format", c.Log.AccessFormat, accessFormats)
	if a := c.Log.Access; a != "" && a != "stdout" && a != "stderr" && !filepath.IsAbs(a) {
		d.add("log.access_log", show(a)+" is not an absolute path; want one such as /var/log/holdfast/access.log, or stdout or stderr")
	}
}

// add reports key, unless its value could not be read in the first place.
func (d *decoder) add(key, problem string) {
	if !d.failed[key] {
		d.addAt(d.position(key), key, problem)
	}
}

// position is where key's value stands in the file, or else the section that it is missing from.
func (d *decoder) position(key string) mark {
	for key != "" {
		if m, ok := d.at[key]; ok {
			return m
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return d.at[""]
}

// firstGiven returns the first of keys that the file has. A conflict of two keys is reported at one that the file has, not
// at one with its default.
func (d *decoder) firstGiven(keys ...string) string {
	for _, key := range keys {
		if _, ok := d.at[key]; ok {
			return key
		}
	}
	return keys[0]
}

// upstreams checks the list against itself and against the single upstream.
func (d *decoder) upstreams(c *Config) {
	if len(c.Upstreams) == 0 {
		return
	}
	if len(c.Upstreams) > maxUpstreams {
		d.add("upstreams", fmt.Sprintf("%d upstreams; want at most %d", len(c.Upstreams), maxUpstreams))
	}
	if _, ok := d.at["upstream"]; ok && !d.failed["upstream"] && c.Upstream != c.Upstreams[0].URL {
		d.add("upstream", fmt.Sprintf("upstreams begins with %s; want the same here, or no upstream at all", c.Upstreams[0].URL))
	}
	routes, primary := 0, false
	for i, s := range c.Upstreams {
		key := fmt.Sprintf("upstreams[%d]", i)
		if d.failed[key] || d.failed[key+".url"] {
			primary = true
			continue
		}
		if s.URL.Address == "" {
			d.add(key+".url", "missing; want "+wantUpstream)
		} else if slices.ContainsFunc(c.Upstreams[:i], func(e Server) bool { return e.URL == s.URL }) {
			d.add(key+".url", s.URL.String()+" is listed twice")
		}
		inRange(d, key+".max_conns", s.MaxConns, 1, maxConnections, "as upstream_pool.max_conns")
		primary = primary || !s.Backup
		if s.Route != "" {
			routes++
			if strings.Trim(s.Route, lettersDigits+"-_") != "" {
				d.add(key+".sticky_route", show(s.Route)+" has other characters than letters, digits, - and _")
			}
		}
	}
	if !primary {
		d.add("upstreams", "all are backups; want at least one that is not")
	}
	if routes > 0 && routes < len(c.Upstreams) {
		d.add("upstreams", "some have a sticky_route and some have none; want all or none")
	}
	if routes > 0 && c.UpstreamPool.Sticky == "" {
		d.add(d.firstGiven("upstream_pool.sticky", "upstreams"), "sticky_route has no effect without upstream_pool.sticky, the cookie that ends in it")
	}
}

// top checks who answers where no site or route says otherwise. What paths are fit for FastCGI is checked where they are used.
func (d *decoder) top(c *Config) {
	list := c.Servers()
	fast := list[0].URL.FastCGI
	for _, s := range list {
		if s.URL.FastCGI != fast {
			d.add("upstreams", "some speak FastCGI and some HTTP; want one kind")
			return
		}
	}
	l := &levelCheck{d, &c.Block, ""}
	l.redirect(nil, false)
	l.host()
	app := d.given["upstream"] || d.given["upstreams"]
	switch root := l.rootKey()[1:]; {
	case d.given["site.root"] && d.given["root"]:
		d.add("root", "is set besides site.root, as it was written before; want it once")
	case fast && c.Root == "" && len(c.Sites) == 0:
		d.add(root, "missing; a fastcgi upstream needs the folder of its scripts, such as /var/www/html")
	case !fast && c.Root != "" && (app || d.given["site.root"]):
		d.add(root, "has no effect without a fastcgi upstream")
	case c.Redirect != "" && (app || c.Root != ""):
		d.add("redirect", "is set besides upstream or root; want one")
	case c.Root != "" && !filepath.IsAbs(c.Root):
		d.add(root, show(c.Root)+" is not an absolute path; want one such as /var/www/html")
	case c.ProxyProtocol && fast && c.Push.Authorize != "":
		d.add("push.authorize_path", "cannot be a path of a fastcgi upstream while proxy_protocol is on")
	case c.ProxyProtocol && fast && c.Push.Message != "":
		d.add("push.message_path", "cannot be a path of a fastcgi upstream while proxy_protocol is on")
	}
}

// maxUpstreams is how many an exchange can remember having tried.
const maxUpstreams = 64

func (d *decoder) hooks(h *Hooks) {
	switch {
	case h.Token == "" && !h.Listen.Local() && !d.failed["hooks.token"]:
		d.addAt(d.position("hooks.listen"), "hooks.token", fmt.Sprintf("required, as hooks.listen %s can be reached from other machines; want at least %d characters", h.Listen, minToken))
	case tokenProblem(h.Token) != "":
		d.add("hooks.token", tokenProblem(h.Token))
	}
	for i, host := range h.Hosts {
		key := fmt.Sprintf("hooks.hosts[%d]", i)
		bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		switch {
		case d.failed[key]:
		case strings.Contains(host, "*"):
			d.add(key, show(host)+" has a *; list each name, as any other may be a web page's that points at this machine")
		case checkHost(bare) != nil:
			d.add(key, checkHost(bare).Error()+"; want a name without a port, such as holdfast.internal")
		}
		h.Hosts[i] = canonicalHost(bare)
	}
}

func (d *decoder) channels(c *Config) {
	for i := range c.Channels {
		rule, key := &c.Channels[i], fmt.Sprintf("channels[%d]", i)
		if d.failed[key] {
			continue
		}
		d.pattern(c.Channels[:i], rule.Match, key)
		switch {
		case rule.Access == "":
			d.add(key+".access", "missing; want public, authorize or token")
		case rule.Access == channel.Public && channel.HasUser(rule.Match):
			d.add(key+".access", show(rule.Match)+" has {user}, whom push.authorize_path or a token names, and with public neither is used; want authorize or token")
		case rule.Access == channel.Token && !c.Push.JWT.Given() && !d.failed["push.jwt.key"] && !d.failed["push.jwt.key_file"] && !d.failed["push.jwt.keys"]:
			d.add(key+".access", "token needs push.jwt.key, push.jwt.key_file or push.jwt.keys, and all are empty")
		case rule.Access == channel.Authorize && c.Push.Authorize == "" && !d.failed["push.authorize_path"]:
			d.add(key+".access", "authorize needs push.authorize_path, the path on the app that decides, and that is empty")
		default:
			d.oneOf(key+".access", string(rule.Access), []string{string(channel.Public), string(channel.Authorize), string(channel.Token)})
		}
		if rule.Presence != "" {
			d.oneOf(key+".presence", string(rule.Presence), []string{string(channel.PresenceOff), string(channel.PresenceUsers), string(channel.PresenceMessages)})
		}
		if rule.Slow != "" {
			d.oneOf(key+".slow_subscriber", string(rule.Slow), []string{string(channel.Disconnect), string(channel.DropOldest), string(channel.LatestOnly)})
		}
		if rule.Wildcards && !channel.IsPattern(rule.Match) {
			d.add(key+".wildcards", show(rule.Match)+" does not end with * or **, so there is no pattern that it could allow")
		}
		h := &rule.History
		inRange(d, key+".history.messages", h.Messages, 1, 100_000, "off")
		inRange(d, key+".history.age", h.Age, seconds(1), Duration(30*24*time.Hour), "")
		inRange(d, key+".history.bytes", h.Bytes, 1*KB, 1*GB, "")
	}
}

// pattern checks one rule's match, also against the rules before it: one that hides a later rule
// may leave open what the later one was written to close.
func (d *decoder) pattern(before []Channel, pattern, key string) {
	key += ".match"
	if pattern == "" {
		d.add(key, `missing; want a pattern such as "public.**"`)
		return
	}
	if err := channel.ValidRule(pattern); err != nil {
		d.add(key, err.Error())
		return
	}
	for i := range before {
		earlier := before[i].Match
		line := d.position(fmt.Sprintf("channels[%d].match", i)).line
		switch {
		case earlier == pattern:
			d.add(key, fmt.Sprintf("%s has a rule already, at line %d; the first match wins", show(pattern), line))
			return
		case earlier != "" && channel.ValidRule(earlier) == nil && channel.Covers(earlier, pattern):
			d.add(key, fmt.Sprintf("%s is never reached, as %s at line %d matches all of it and the first match wins", show(pattern), show(earlier), line))
			return
		case earlier != "" && channel.ValidRule(earlier) == nil && channel.Reserves(earlier, pattern):
			d.add(key, fmt.Sprintf("%s is never reached, as everything below the user's segment of %s at line %d belongs to that user; place it before, or use {user} in it too",
				show(pattern), show(earlier), line))
			return
		}
	}
}

// oneOf reports a value that is not one of known.
func (d *decoder) oneOf(key, got string, known []string) {
	if !slices.Contains(known, got) {
		d.add(key, fmt.Sprintf("unknown %s; want %s%s", show(got), strings.Join(known, ", "), didYouMean(got, known)))
	}
}
