package config

import (
	"slices"
	"strings"
	"time"

	"holdfast/internal/config/value"

	"holdfast/internal/config/answers"
)

// Block is the settings that the top, each site and each route can have. What a route does not say it takes from its site, and
// what a site does not say from the top: whole values, so that a list replaces a list.
//
// A new setting is a field here, with its default in defaultBlock and its range in levelCheck.ranges: a site begins as a copy of the
// top, and a route as a copy of its site, before their keys are read. A key with the tag level:"top" is for connections, or for
// all requests together, and an error below the top. The rest of what a setting needs is at route.Settings.
type Block struct {
	Upstream        Upstream          `yaml:"upstream"`
	Upstreams       []Server          `yaml:"upstreams" eg:"[{url: http://127.0.0.1:8081}]"` // empty: Upstream
	Host            string            `yaml:"upstream_host" eg:"shop.internal"`
	Secure          value.UpstreamTLS `yaml:"upstream_tls"`
	Redirect        string            `yaml:"redirect" eg:"https://www.example.com/shop"`
	Moved           int               `yaml:"redirect_status"` // of Redirect; 0: 301, or 308 unless it is a GET
	Folder          `yaml:",inline"`
	Deny            []string `yaml:"deny" eg:"[\"*.sql\", /data/**]"`
	answers.Answers `yaml:",inline"`
	Headers         bool     `yaml:"push_headers"`
	Polls           []Poll   `yaml:"polls" eg:"[{match: /status.php, key: [query, session]}]"`
	Cache           []Cache  `yaml:"cache" eg:"[{match: /catalog, key: [query]}]"`
	Inject          []Inject `yaml:"inject" eg:"[{match: /parcels, polls: [/status.php?id]}]"`
	Compress        Compress `yaml:"compress"`
	Timeouts        Timeouts `yaml:"timeouts"`
	Limits          Limits   `yaml:"limits"`
	Buffers         Buffers  `yaml:"buffers"`

	own   bool // the level has an app, files or a redirect of its own
	app   bool // it has an app of its own
	files bool // Root has files only, and no script of it is run
}

// Folder is the directory whose files are served, and whose scripts a FastCGI upstream runs.
type Folder struct {
	Root        string   `yaml:"root" eg:"/var/www/html"`
	ScriptRoot  string   `yaml:"script_root" eg:"/var/www/html"`
	Index       []string `yaml:"index" eg:"[index.php, index.html]"`
	NoScripts   []string `yaml:"no_scripts" eg:"[/upload]"`
	TryFiles    []string `yaml:"try_files" eg:"[/index.php]"`
	FollowLinks bool     `yaml:"follow_links"`
	HideFiles   []string `yaml:"hide_files" eg:"[.tex, notes.txt]"`
	ServeFiles  []string `yaml:"serve_files" eg:"[.log]"`
	Types       []string `yaml:"types" eg:"[image/x-pcx pcx]"`
}

// Timeouts limit every wait for a peer.
type Timeouts struct {
	Header    Duration `yaml:"header" level:"top"`
	Handshake Duration `yaml:"handshake" level:"top"`
	Idle      Duration `yaml:"idle" level:"top"`
	Body      Duration `yaml:"body"`
	Send      Duration `yaml:"send"`
	Connect   Duration `yaml:"connect"`
	Upstream  Duration `yaml:"upstream"`
	HalfClose Duration `yaml:"half_close"` // 0: a client that ends its side counts as disconnected
	Tunnel    Duration `yaml:"tunnel"`
	Drain     Duration `yaml:"drain" level:"top"` // 0: requests in progress are cut
	TakeOver  Duration `yaml:"takeover" level:"top"`
}

// Limits limit what a client may send.
type Limits struct {
	Header      Size `yaml:"header" level:"top"`
	Fields      int  `yaml:"fields" level:"top"`
	Handshakes  int  `yaml:"handshakes" level:"top"`
	Body        Size `yaml:"body"` // 0: the app decides
	ASCII       bool `yaml:"ascii_targets" level:"top"`
	BodyRate    Size `yaml:"min_body_rate"`                       // a second; 0: any
	SendRate    Size `yaml:"min_send_rate"`                       // a second; 0: any
	Requests    int  `yaml:"max_requests_in_flight"`              // in flight; 0: any number
	Rate        int  `yaml:"requests_per_second"`                 // of one address, a second; 0: any
	Burst       int  `yaml:"burst"`                               // of one address, beyond Rate
	Connections int  `yaml:"connections" level:"top"`             // 0: bounded by the file limit only
	PerAddress  int  `yaml:"connections_per_address" level:"top"` // 0: any number
}

// Buffers keep slow clients from blocking the app.
type Buffers struct {
	Request  Size `yaml:"request"` // 0: none
	Stream   bool `yaml:"stream_uploads"`
	Response Size `yaml:"response"` // 0: no buffer
	Total    Size `yaml:"total" level:"top"`

	Folder string `yaml:"temp_dir" level:"top" eg:"/var/tmp"` // empty: os.TempDir(); NoFolder: none
	File   Size   `yaml:"temp_file_size" level:"top"`
	Files  Size   `yaml:"temp_total_size" level:"top"`

	Compressors int `yaml:"compressors" level:"top"`
}

func defaultBlock() Block {
	return Block{
		Upstream: Upstream{Network: "tcp", Address: "127.0.0.1:8081", Host: "127.0.0.1:8081"},
		Secure:   value.DefaultUpstreamTLS(),
		Folder:   defaultFolder(),
		Answers:  answers.Default(),
		Headers:  true,
		Compress: value.DefaultCompress(),
		Timeouts: Timeouts{
			Header:    seconds(60),
			Handshake: seconds(10),
			Idle:      seconds(75),
			Body:      seconds(60),
			Send:      seconds(60),
			Connect:   seconds(5),
			Upstream:  seconds(60),
			HalfClose: Duration(200 * time.Millisecond),
			Tunnel:    Duration(time.Hour),
			Drain:     seconds(10),
			TakeOver:  Duration(time.Hour),
		},
		Limits:  Limits{Header: 16 * KB, Fields: 100, Handshakes: 2048, BodyRate: 500, SendRate: 500},
		Buffers: Buffers{Request: 64 * KB, Response: 64 * KB, Total: 16 * MB, File: 1 * GB, Files: 8 * GB, Compressors: 64},
	}
}

func defaultFolder() Folder { return Folder{Index: []string{"index.php", "index.html"}} }

// Servers returns the upstreams, each with its own limit; none where files or a redirect answer.
func (b *Block) Servers(pool UpstreamPool) []Server {
	list := slices.Clone(b.Upstreams)
	if len(list) == 0 && b.Upstream.Address != "" {
		list = []Server{{URL: b.Upstream}}
	}
	for i := range list {
		if list[i].MaxConns == 0 {
			list[i].MaxConns = pool.MaxConns
		}
	}
	return list
}

// FastCGI reports whether scripts of Root are run.
func (b *Block) FastCGI() bool {
	list := b.Servers(UpstreamPool{})
	return len(list) > 0 && list[0].URL.FastCGI && !b.files && b.Redirect == ""
}

// OwnServers returns the upstreams that a site or route says itself.
func (b *Block) OwnServers(pool UpstreamPool) []Server {
	if !b.app {
		return nil
	}
	return b.Servers(pool)
}

// Responder names who answers, for people.
func (b *Block) Responder() string {
	switch list := b.Servers(UpstreamPool{}); {
	case b.Redirect != "":
		return "a redirect to " + b.Redirect
	case b.files:
		return "the files in " + b.Root
	case len(list) > 0:
		return list[0].URL.String()
	}
	return "nothing"
}

// Own reports whether a site or route has an app, files or a redirect of its own: its requests do not go to the app of the level
// above. At the top, it is false.
func (b *Block) Own() bool { return b.own }

// Files reports whether Root has files only.
func (b *Block) Files() bool { return b.files }

// Servers returns the upstreams of the top, at least one, each with its own limit.
func (c *Config) Servers() []Server { return c.Block.Servers(c.UpstreamPool) }

// UsesTop reports whether requests of some site go to the upstreams of the top.
func (c *Config) UsesTop() bool {
	if len(c.Sites) == 0 {
		return !c.files && c.Redirect == ""
	}
	return slices.ContainsFunc(c.Sites, func(s Site) bool { return !s.app && !s.files && s.Redirect == "" })
}

// EachLevel calls f with the top, each site and each route; at are the keys of the level and those above it, as Source takes
// them.
func (c *Config) EachLevel(f func(b *Block, at ...string)) {
	f(&c.Block, "")
	for i := range c.Routes {
		if r := &c.Routes[i]; len(c.Sites) == 0 {
			f(&r.Block, r.key, "")
		}
	}
	for i := range c.Sites {
		s := &c.Sites[i]
		f(&s.Block, s.key, "")
		for j := range s.Routes {
			f(&s.Routes[j].Block, s.Routes[j].key, s.key, "")
		}
	}
}

// settle completes a level, at a key, once its keys are read: what answers is taken from one level as a whole.
func (d *decoder) settle(b *Block, key string) {
	has := func(name string) bool { return d.given[join(key, name)] || d.given[join(key, "site."+name)] }
	top := key == ""
	several := has("upstreams") && len(b.Upstreams) > 0
	app, root, redirect := has("upstream") || several, has("root") && b.Root != "", has("redirect") && b.Redirect != ""
	if has("upstream") && !several {
		b.Upstreams = nil
	}
	if several && !has("upstream") && !top {
		b.Upstream = Upstream{}
	}
	fast := func() bool {
		list := b.Servers(UpstreamPool{})
		return len(list) > 0 && list[0].URL.FastCGI
	}
	b.own, b.app = !top && (app || root || redirect), !top && app
	switch {
	case redirect:
	case app:
		b.Redirect, b.files = "", false
		if !has("upstream_host") {
			b.Host = ""
		}
		if !has("request_headers") {
			b.Sent = nil // secrets of another app
		}
		b.Secure = b.Secure.Only(func(name string) bool { return has("upstream_tls." + name) })
		if !fast() && !root {
			b.Root = "" // of a FastCGI upstream, which is another
		}
	case root:
		b.Redirect, b.files = "", !fast() || strings.Contains(key, "routes[") && !has("alias")
	}
	if b.own && !has("push_headers") {
		b.Headers = false
	}
	if b.files && root && !app { // what scripts and their root have above is not meant for these files
		if !has("index") {
			b.Index = []string{"index.html"}
		}
		if !has("try_files") {
			b.TryFiles = nil
		}
		b.FollowLinks = b.FollowLinks && has("follow_links")
	}
}

// Says reports whether a level, by its key, has one of some values itself.
func (c *Config) Says(level string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return c.Source(name, level) != "" })
}

// Source returns the key by which a level has a value: its own, its site's, or that of the top; empty: it is the default. at are
// the keys of the levels, innermost first, such as sites[0].routes[1], sites[0] and the empty one.
func (c *Config) Source(name string, at ...string) string {
	for _, level := range at {
		for _, key := range []string{join(level, name), join(level, "site."+name)} {
			if c.lines[key] > 0 {
				return key
			}
		}
	}
	return ""
}

// Line returns the line of a key that the file has, by its path; 0: the file does not have it.
func (c *Config) Line(key string) int { return c.lines[key] }
