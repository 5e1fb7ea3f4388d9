package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// minToken is the shortest hooks.token: what guards publishing must not be guessable.
const minToken = 16

// maxConnections is beyond any file limit; a larger number is a slip.
const maxConnections = 10_000_000

// validate checks what a single value's notation does not show: ranges, words, and keys against
// each other. A key whose value could not be read has its default here and its error already.
func (d *decoder) validate(c *Config) {
	d.listeners(c)
	d.upstreams(c)
	d.site(c)
	d.routes(c)
	d.hooks(&c.Hooks)
	d.push(&c.Push)
	d.channels(c)
	d.events(c)
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 && c.Listen.Network != "unix" {
		d.add("proxy_protocol", "needs trusted_proxies, the addresses of the load balancers; nobody else may connect then")
	}
	if c.RedirectHTTPS && len(c.TrustedProxies) == 0 && c.Listen.Network != "unix" {
		d.add("redirect_https", "needs trusted_proxies, the addresses of who ends TLS; nobody else can say how a client came")
	}
	d.ranges(c)
	d.oneOf("external.scheme", c.External.Scheme, schemes)
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

// given returns the first of keys that the file has. Two keys that do not fit together are
// reported at one that somebody wrote, not at one that has its default.
func (d *decoder) given(keys ...string) string {
	for _, key := range keys {
		if _, ok := d.at[key]; ok {
			return key
		}
	}
	return keys[0]
}

func (d *decoder) listeners(c *Config) {
	l, h, u := c.Listen, c.Hooks.Listen, c.Servers()[0].URL
	if d.failed["listen"] || d.failed["hooks.listen"] || d.failed["upstream"] {
		return // a default in their place would be compared with what somebody wrote
	}
	if sameAddress(l.Network, l.Address, u.Network, u.Address) {
		d.add(d.given("upstream", "listen"), fmt.Sprintf("upstream %s and listen %s are the same address; Holdfast would call itself", u, l))
	}
	if sameAddress(h.Network, h.Address, u.Network, u.Address) {
		d.add(d.given("upstream", "hooks.listen"), fmt.Sprintf("upstream %s and hooks.listen %s are the same address; clients would reach the hooks", u, h))
	}
	if sameAddress(l.Network, l.Address, h.Network, h.Address) {
		d.add(d.given("hooks.listen", "listen"), fmt.Sprintf("hooks.listen %s and listen %s are the same address; want two", h, l))
	}
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
			d.add(key+".url", s.URL.String()+" is there twice")
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
		d.add("upstreams", "all are backups; want one at least that is not")
	}
	if routes > 0 && routes < len(c.Upstreams) {
		d.add("upstreams", "some have a route and some have none; want all or none")
	}
	if routes > 0 && c.UpstreamPool.Sticky == "" {
		d.add(d.given("upstream_pool.sticky", "upstreams"), "a route means nothing without upstream_pool.sticky, the cookie that ends in it")
	}
}

// site checks what belongs to FastCGI. What paths are fit for it is checked where they are used.
func (d *decoder) site(c *Config) {
	list := c.Servers()
	fast := list[0].URL.FastCGI
	for _, s := range list {
		if s.URL.FastCGI != fast {
			d.add("upstreams", "some speak FastCGI and some HTTP; want one kind")
			return
		}
	}
	switch {
	case fast && c.Site.Root == "":
		d.add("site.root", "missing; a fastcgi upstream needs the folder of its scripts, such as /var/www/html")
	case !fast && c.Site.Root != "":
		d.add("site.root", "means nothing without a fastcgi upstream")
	case c.Site.Root != "" && !filepath.IsAbs(c.Site.Root):
		d.add("site.root", show(c.Site.Root)+" is not an absolute path; want one such as /var/www/html")
	case c.ProxyProtocol && fast && c.Push.Authorize != "":
		d.add("push.authorize_path", "cannot ask a fastcgi upstream while proxy_protocol is on")
	case c.ProxyProtocol && fast && c.Push.Message != "":
		d.add("push.message_path", "cannot be posted to a fastcgi upstream while proxy_protocol is on")
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

func (d *decoder) push(p *Push) {
	if problem := pathProblem(p.Path); problem != "" {
		d.add("push.path", show(p.Path)+" "+problem+"; want a path such as /_push")
	}
	if problem := authorizeProblem(p.Authorize); problem != "" {
		d.add("push.authorize_path", show(p.Authorize)+" "+problem+"; want a path on the app such as /push/authorize")
	}
	if problem := authorizeProblem(p.Message); problem != "" {
		d.add("push.message_path", show(p.Message)+" "+problem+"; want a path on the app such as /push/message")
	}
	d.jwt(&p.JWT)
	for i, cookie := range p.Logout.Cookies {
		if strings.Trim(strings.TrimSuffix(cookie, "*"), lettersDigits+"-_.") != "" || strings.TrimSuffix(cookie, "*") == "" {
			d.add(fmt.Sprintf("push.logout.cookies[%d]", i), show(cookie)+" is not the name of a cookie; want one such as PHPSESSID or wordpress_logged_in_*")
		}
	}
	for i, path := range p.Logout.Paths {
		if problem := authorizeProblem(path); problem != "" || path == "" || strings.Contains(path, "?") {
			d.add(fmt.Sprintf("push.logout.paths[%d]", i), show(path)+" is not a path; want one such as /logout.php, without a query")
		}
	}
	if len(p.Logout.Paths) > 0 && len(p.Logout.Cookies) == 0 {
		d.add("push.logout.paths", "means nothing without push.logout.cookies, which tell whose session it was")
	}
	for i, origin := range p.Origins {
		key := fmt.Sprintf("push.origins[%d]", i)
		if d.failed[key] {
			continue
		}
		normal, err := parseOrigin(origin)
		if err != nil {
			d.add(key, err.Error())
		}
		p.Origins[i] = normal
	}
	if p.HistoryFile != "" && !filepath.IsAbs(p.HistoryFile) {
		d.add("push.history_file", show(p.HistoryFile)+" is not an absolute path; want one such as /var/lib/holdfast/history")
	}
	if p.Wait > p.MaxWait {
		d.add(d.given("push.poll_wait", "push.poll_max_wait"), fmt.Sprintf("push.poll_wait %s is more than push.poll_max_wait %s", p.Wait, p.MaxWait))
	}
	if p.Outbox > p.OutboxTotal {
		d.add(d.given("push.send_queue", "push.send_queue_total"), fmt.Sprintf("push.send_queue %s is more than push.send_queue_total %s", p.Outbox, p.OutboxTotal))
	}
}

// minSecret is the shortest push.jwt.key: HMAC-SHA256 is no stronger than its key (RFC 7518 §3.2).
const minSecret = 32

// jwt checks what can be said without the file.
func (d *decoder) jwt(j *JWT) {
	switch {
	case j.Key != "" && j.KeyFile != "":
		d.add("push.jwt.key_file", "stands beside push.jwt.key; want one, as the key decides the algorithm")
	case j.Key != "" && len(j.Key) < minSecret: // not shown
		d.add("push.jwt.key", fmt.Sprintf("%d bytes; want at least %d, such as the output of \"openssl rand -hex 32\"", len(j.Key), minSecret))
	case j.KeyFile != "" && !filepath.IsAbs(j.KeyFile):
		d.add("push.jwt.key_file", show(j.KeyFile)+" is not an absolute path; want one such as /etc/holdfast/jwt.pem")
	}
	if j.Cookie != "" && strings.Trim(j.Cookie, lettersDigits+"-_.") != "" {
		d.add("push.jwt.cookie", show(j.Cookie)+" is not the name of a cookie; want one such as push_token")
	}
	for _, key := range []struct{ name, value string }{
		{"push.jwt.issuer", j.Issuer}, {"push.jwt.audience", j.Audience}, {"push.jwt.cookie", j.Cookie},
	} {
		if key.value != "" && !j.Given() && !d.failed["push.jwt.key"] && !d.failed["push.jwt.key_file"] {
			d.add(key.name, "means nothing without push.jwt.key or push.jwt.key_file")
		}
	}
}

// pathProblem is strict about push.path because the router compares it byte by byte: a spelling
// that browsers or proxies would rewrite is a path that nobody ever reaches.
func pathProblem(p string) string {
	switch {
	case !strings.HasPrefix(p, "/"):
		return "does not begin with /"
	case p == "/":
		return "would take every request from the app"
	case strings.ContainsAny(p, "?#"):
		return "has a query or a fragment"
	case strings.HasSuffix(p, "/"):
		return "ends with /"
	case strings.Trim(p, lettersDigits+"-._~/") != "":
		return "has other characters than letters, digits and -._~/"
	}
	for segment := range strings.SplitSeq(p[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "has an empty or a dot segment"
		}
	}
	return ""
}

// authorizeProblem allows a query, as many apps have one script for everything.
func authorizeProblem(p string) string {
	switch {
	case p == "":
		return ""
	case !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//"):
		return "does not begin with one /"
	case strings.Contains(p, "#"):
		return "has a fragment"
	}
	for i := range len(p) {
		if p[i] <= ' ' || p[i] >= 0x7f {
			return "has a space, a control character or one outside ASCII"
		}
	}
	return ""
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
		case rule.Access == Public && strings.Contains("."+rule.Match+".", "."+userSegment+"."):
			d.add(key+".access", show(rule.Match)+" is for the user that push.authorize_path or a token names, and public asks nobody; want authorize or token")
		case rule.Access == Token && !c.Push.JWT.Given() && !d.failed["push.jwt.key"] && !d.failed["push.jwt.key_file"]:
			d.add(key+".access", "token needs push.jwt.key or push.jwt.key_file, and both are empty")
		case rule.Access == Authorize && c.Push.Authorize == "" && !d.failed["push.authorize_path"]:
			d.add(key+".access", "authorize needs push.authorize_path, the path on the app that decides, and that is empty")
		default:
			d.oneOf(key+".access", string(rule.Access), []string{string(Public), string(Authorize), string(Token)})
		}
		if rule.Presence != "" {
			d.oneOf(key+".presence", string(rule.Presence), []string{string(PresenceOff), string(PresenceUsers), string(PresenceMessages)})
		}
		if rule.Slow != "" {
			d.oneOf(key+".slow_subscriber", string(rule.Slow), []string{string(SlowDisconnect), string(SlowDropOldest), string(SlowLatestOnly)})
		}
		if rule.Wildcards && !isPattern(rule.Match) {
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
	if err := checkPattern(pattern); err != nil {
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
		case earlier != "" && checkPattern(earlier) == nil && covers(earlier, pattern):
			d.add(key, fmt.Sprintf("%s is never reached, as %s at line %d matches all of it and the first match wins", show(pattern), show(earlier), line))
			return
		case earlier != "" && checkPattern(earlier) == nil && allReserved(earlier, pattern):
			d.add(key, fmt.Sprintf("%s is never reached, as all that lies below the user's segment of %s at line %d is that user's; place it before, or use {user} in it too",
				show(pattern), show(earlier), line))
			return
		}
	}
}

func (d *decoder) ranges(c *Config) {
	inRange(d, "external.port", c.External.Port, 1, 65535, "what Host says, or else the scheme's")
	inRange(d, "hooks.max_body", c.Hooks.MaxBody, 1*KB, 1*GB, "")
	inRange(d, "hooks.idempotency_age", c.Hooks.IdempotencyAge, seconds(1), Duration(24*time.Hour), "")
	inRange(d, "hooks.idempotency_size", c.Hooks.IdempotencySize, 64*KB, 1*GB, "")

	p := &c.Push
	inRange(d, "push.authorize_in_flight", p.AuthorizeInFlight, 1, 1000, "")
	inRange(d, "push.authorize_timeout", p.AuthorizeTimeout, shortest, seconds(60), "")
	inRange(d, "push.jwt.leeway", p.JWT.Leeway, seconds(1), seconds(300), "none")
	inRange(d, "push.authorize_cache", p.AuthorizeCache, seconds(1), seconds(600), "off")
	inRange(d, "push.authorize_grace", p.AuthorizeGrace, seconds(1), Duration(time.Hour), "none")
	inRange(d, "push.heartbeat", p.Heartbeat, seconds(1), seconds(600), "off")
	inRange(d, "push.poll_wait", p.Wait, seconds(1), Duration(time.Hour), "")
	inRange(d, "push.poll_max_wait", p.MaxWait, seconds(1), Duration(time.Hour), "")
	inRange(d, "push.max_channels", p.MaxChannels, 1, 10_000, "")
	inRange(d, "push.max_message", p.MaxMessage, 1, 64*MB, "")
	inRange(d, "push.compress_min_size", p.Compress, 64, 1*MB, "off")
	inRange(d, "push.message_timeout", p.MessageTimeout, shortest, seconds(60), "")
	inRange(d, "push.message_in_flight", p.MessageInFlight, 1, 1000, "")
	inRange(d, "push.message_rate", p.MessageRate, 1, 10_000, "")
	inRange(d, "push.send_queue", p.Outbox, 4*KB, 1*GB, "")
	inRange(d, "push.send_queue_total", p.OutboxTotal, 4*KB, 1*TB, "")
	inRange(d, "push.receive_total", p.ReceiveTotal, 64*KB, 1*TB, "")
	inRange(d, "push.receive_timeout", p.ReceiveTimeout, seconds(1), seconds(600), "")
	inRange(d, "push.max_connections", p.MaxConnections, 1, maxConnections, "bounded by the file limit")
	inRange(d, "push.max_connections_per_user", p.MaxPerUser, 1, maxConnections, "any number")
	inRange(d, "push.history_total", p.HistoryTotal, 1*KB, 1*TB, "")

	t := &c.Timeouts
	inRange(d, "timeouts.header", t.Header, shortest, seconds(600), "")
	inRange(d, "timeouts.idle", t.Idle, shortest, Duration(24*time.Hour), "")
	inRange(d, "timeouts.body", t.Body, shortest, Duration(time.Hour), "")
	inRange(d, "timeouts.send", t.Send, shortest, Duration(time.Hour), "")
	inRange(d, "timeouts.connect", t.Connect, shortest, seconds(300), "")
	inRange(d, "timeouts.upstream", t.Upstream, shortest, Duration(24*time.Hour), "")
	inRange(d, "timeouts.tunnel", t.Tunnel, shortest, Duration(7*24*time.Hour), "")
	inRange(d, "timeouts.drain", t.Drain, shortest, Duration(time.Hour), "off")

	l := &c.Limits
	inRange(d, "limits.header", l.Header, 1*KB, 1*MB, "")
	inRange(d, "limits.fields", l.Fields, 1, 10_000, "")
	inRange(d, "limits.body", l.Body, 1, 1*TB, "the app decides")
	inRange(d, "limits.min_body_rate", l.BodyRate, 1, 1*GB, "any")
	inRange(d, "limits.min_send_rate", l.SendRate, 1, 1*GB, "any")
	inRange(d, "limits.max_requests_in_flight", l.Requests, 1, maxConnections, "any number")
	inRange(d, "limits.requests_per_second", l.Rate, 1, 1_000_000, "any")
	inRange(d, "limits.burst", l.Burst, 1, 1_000_000, "none")
	if l.Burst > 0 && l.Rate == 0 {
		d.add("limits.burst", "means nothing without limits.requests_per_second")
	}
	inRange(d, "limits.connections_per_address", l.PerAddress, 1, maxConnections, "any number")
	inRange(d, "limits.connections", l.Connections, 1, maxConnections, "bounded by the file limit")

	inRange(d, "buffers.request", c.Buffers.Request, 1*KB, 64*MB, "bodies are streamed at once")
	inRange(d, "buffers.response", c.Buffers.Response, 1*KB, 64*MB, "nothing is taken ahead")
	inRange(d, "buffers.total", c.Buffers.Total, 64*KB, 1*TB, "")

	inRange(d, "buffers.temp_file_size", c.Buffers.File, 64*KB, 1*TB, "")
	inRange(d, "buffers.temp_total_size", c.Buffers.Files, 64*KB, 1*TB, "")
	if c.Buffers.Folder != "" && c.Buffers.Folder != NoFolder && !filepath.IsAbs(c.Buffers.Folder) {
		d.add("buffers.temp_dir", show(c.Buffers.Folder)+" is not an absolute path; want one such as /var/tmp, or none")
	}
	inRange(d, "upstream_pool.max_idle", c.UpstreamPool.Idle, 1, 100_000, "none are kept")
	inRange(d, "upstream_pool.max_conns", c.UpstreamPool.MaxConns, 1, maxConnections, "any number")
	inRange(d, "upstream_pool.max_queue", c.UpstreamPool.Queue, 1, maxConnections, "nobody waits")
	inRange(d, "upstream_pool.queue_timeout", c.UpstreamPool.QueueTimeout, shortest, Duration(time.Hour), "")
	inRange(d, "upstream_pool.max_fails", c.UpstreamPool.MaxFails, 1, 1000, "an upstream is always asked")
	inRange(d, "upstream_pool.fail_timeout", c.UpstreamPool.FailTimeout, shortest, Duration(time.Hour), "")
	inRange(d, "upstream_pool.health_check_interval", c.UpstreamPool.CheckEvery, shortest, Duration(time.Hour), "")
	if problem := authorizeProblem(c.UpstreamPool.Check); problem != "" {
		d.add("upstream_pool.health_check_path", show(c.UpstreamPool.Check)+" "+problem+"; want a path on the app such as /health")
	}
	if strings.Trim(c.UpstreamPool.Sticky, lettersDigits+"-_") != "" {
		d.add("upstream_pool.sticky", show(c.UpstreamPool.Sticky)+" has other characters than letters, digits, - and _")
	}
	inRange(d, "upstream_pool.idle_timeout", c.UpstreamPool.IdleTimeout, shortest, Duration(time.Hour), "")
}

// shortest is the least timeout: below it, a machine that is merely busy would time out.
const shortest = Duration(100 * time.Millisecond)

// inRange reports a value outside lo to hi. zero says what 0 means where 0 is allowed too.
func inRange[T int | Duration | Size](d *decoder, key string, got, lo, hi T, zero string) {
	if lo <= got && got <= hi || got == 0 && zero != "" {
		return
	}
	want := fmt.Sprintf("%v to %v", lo, hi)
	if zero != "" {
		want = fmt.Sprintf("0 (%s) or %s", zero, want)
	}
	d.add(key, fmt.Sprintf("%v is out of range; want %s", got, want))
}

// oneOf reports a value that is not one of known.
func (d *decoder) oneOf(key, got string, known []string) {
	if !slices.Contains(known, got) {
		d.add(key, fmt.Sprintf("unknown %s; want %s%s", show(got), strings.Join(known, ", "), didYouMean(got, known)))
	}
}
