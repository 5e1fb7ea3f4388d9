package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
)

// Poll says which requests ask whether there is anything new, and when two of them are the same question. Of all rules of
// polls and then of cache, the first that a request's path and method match counts.
type Poll struct {
	Match       string   `yaml:"match" eg:"/status.php"`
	Methods     []string `yaml:"methods" eg:"[GET, POST]"`
	Key         []string `yaml:"key" eg:"[query, session]"`    // see package rules
	Form        []string `yaml:"form" eg:"[action=heartbeat]"` // none: any body
	Shared      bool     `yaml:"shared"`
	Fresh       Duration `yaml:"fresh"`
	Pass        Duration `yaml:"pass"` // 0: no request has to go to the app
	Hold        Duration `yaml:"hold"` // 0: no request is held
	Channel     string   `yaml:"channel" eg:"parcel.{query.id}"`
	IgnoreApp   bool     `yaml:"ignore_app"`
	DropCookies bool     `yaml:"drop_cookies"`
	MaxSize     Size     `yaml:"max_size"`
}

// Cache says which responses are stored as a shared cache does it (RFC 9111).
type Cache struct {
	Match         string   `yaml:"match" eg:"/catalog"`
	Key           []string `yaml:"key" eg:"[query]"`
	Shared        bool     `yaml:"shared"`
	Fresh         Duration `yaml:"fresh"` // 0: only what the app allows is stored
	Statuses      []int    `yaml:"statuses" eg:"[200, 404]"`
	StaleUpdating Duration `yaml:"stale_updating"`
	StaleError    Duration `yaml:"stale_error"`
	Revalidate    Duration `yaml:"revalidate"`
	Channel       string   `yaml:"channel" eg:"product.{query.id}"`
	IgnoreApp     bool     `yaml:"ignore_app"`
	DropCookies   bool     `yaml:"drop_cookies"`
	HonorClient   bool     `yaml:"honor_client"`
	MaxSize       Size     `yaml:"max_size"`
}

// CacheLimits limit what the rules of polls and cache store together.
type CacheLimits struct {
	Size        Size     `yaml:"size"`
	SessionSize Size     `yaml:"session_size"`
	Wait        Duration `yaml:"wait"`
	HeldSize    Size     `yaml:"held_size"`
}

// DefaultPoll has the defaults of a rule of polls.
func DefaultPoll() Poll {
	return Poll{Methods: []string{"GET"}, Fresh: seconds(10), Pass: seconds(300), IgnoreApp: true, MaxSize: 256 * KB}
}

// DefaultCache has the defaults of a rule of cache.
func DefaultCache() Cache { return Cache{MaxSize: 1 * MB} }

// maxKeyBody is the largest body of a request that is a part of a key.
const maxKeyBody = 64 * KB

// CacheRules returns the rules of polls and of cache of all levels, each once. The name of each is its key.
func (c *Config) CacheRules() (list []rules.Options) {
	seen := map[string]bool{}
	c.EachLevel(func(b *Block, at ...string) {
		of := func(name string) (string, bool) {
			key := join(at[0], name)
			ok := !seen[key] && (at[0] == "" || c.lines[key] > 0)
			seen[key] = true
			return key, ok
		}
		if key, ok := of("polls"); ok {
			list = append(list, pollRules(b, key)...)
		}
		if key, ok := of("cache"); ok {
			list = append(list, cacheRules(b.Cache, key)...)
		}
	})
	return list
}

// RuleNames returns the names of the rules that a level has, in their order. at are as those of Source.
func (c *Config) RuleNames(b *Block, at ...string) (names []string) {
	for _, list := range []struct {
		name string
		n    int
	}{{"polls", len(b.Polls)}, {"cache", len(b.Cache)}} {
		key := c.Source(list.name, at...)
		if key == "" {
			key = list.name
		}
		for i := range list.n {
			names = append(names, fmt.Sprintf("%s[%d]", key, i))
		}
	}
	return names
}

func pollRules(b *Block, key string) (list []rules.Options) {
	for i := range b.Polls {
		p := &b.Polls[i]
		list = append(list, rules.Options{
			Name: fmt.Sprintf("%s[%d]", key, i), Match: p.Match, Methods: p.Methods, Parts: p.Key, Form: p.Form, Shared: p.Shared, Channel: p.Channel,
			MaxBytes: int(p.MaxSize), MaxBody: int(min(b.Buffers.Request, maxKeyBody)), Pass: time.Duration(p.Pass), Hold: time.Duration(p.Hold),
			Policy: cache.Policy{Fresh: time.Duration(p.Fresh), IgnoreApp: p.IgnoreApp, WithoutCookies: p.DropCookies, ETag: true},
		})
	}
	return list
}

func cacheRules(of []Cache, key string) (list []rules.Options) {
	for i := range of {
		r := &of[i]
		list = append(list, rules.Options{
			Name: fmt.Sprintf("%s[%d]", key, i), Match: r.Match, Parts: r.Key, Shared: r.Shared, Channel: r.Channel,
			MaxBytes: int(r.MaxSize), HonorClient: r.HonorClient,
			Policy: cache.Policy{
				Fresh: time.Duration(r.Fresh), Statuses: r.Statuses, IgnoreApp: r.IgnoreApp, WithoutCookies: r.DropCookies,
				Updating: time.Duration(r.StaleUpdating), Fail: time.Duration(r.StaleError), Revalidate: time.Duration(r.Revalidate),
			},
		})
	}
	return list
}

// caches checks polls, cache and cache_limits.
func (d *decoder) caches(c *Config) {
	l := &c.CacheLimits
	inRange(d, "cache_limits.size", l.Size, 1*MB, 1*TB, "")
	inRange(d, "cache_limits.session_size", l.SessionSize, 64*KB, 1*GB, "")
	inRange(d, "cache_limits.wait", l.Wait, shortest, seconds(600), "")
	inRange(d, "cache_limits.held_size", l.HeldSize, 64*KB, 1*TB, "")
	if l.SessionSize > l.Size {
		d.add(d.firstGiven("cache_limits.session_size", "cache_limits.size"), fmt.Sprintf("cache_limits.session_size %s is more than cache_limits.size %s", l.SessionSize, l.Size))
	}
	c.EachLevel(func(b *Block, at ...string) { d.cacheRanges(b, at[0]) })
	list := c.CacheRules()
	for i := range list {
		if !d.failed[list[i].Name] {
			d.cacheRule(c, list, i)
		}
	}
}

// cacheRanges checks the values of the rules that a level has itself.
func (d *decoder) cacheRanges(b *Block, level string) {
	for i := range b.Polls {
		p, key := &b.Polls[i], fmt.Sprintf("%s[%d]", join(level, "polls"), i)
		if level != "" && !d.given[join(level, "polls")] {
			break
		}
		inRange(d, key+".fresh", p.Fresh, shortest, Duration(24*time.Hour), "")
		inRange(d, key+".pass", p.Pass, seconds(1), Duration(24*time.Hour), "never")
		inRange(d, key+".hold", p.Hold, seconds(1), seconds(300), "off")
		inRange(d, key+".max_size", p.MaxSize, 1*KB, 64*MB, "")
	}
	for i := range b.Cache {
		r, key := &b.Cache[i], fmt.Sprintf("%s[%d]", join(level, "cache"), i)
		if level != "" && !d.given[join(level, "cache")] {
			break
		}
		inRange(d, key+".fresh", r.Fresh, seconds(1), Duration(30*24*time.Hour), "what the app says")
		inRange(d, key+".stale_updating", r.StaleUpdating, seconds(1), Duration(30*24*time.Hour), "never")
		inRange(d, key+".stale_error", r.StaleError, seconds(1), Duration(30*24*time.Hour), "never")
		inRange(d, key+".revalidate", r.Revalidate, seconds(1), Duration(30*24*time.Hour), "off")
		inRange(d, key+".max_size", r.MaxSize, 1*KB, 64*MB, "")
		for j, s := range r.Statuses {
			if s < 200 || s > 599 || s == 206 || s == 304 {
				d.add(fmt.Sprintf("%s.statuses[%d]", key, j), fmt.Sprintf("%d is never stored; want a status such as 200 or 404", s))
			}
		}
		if r.IgnoreApp && r.Fresh == 0 {
			d.add(key+".ignore_app", "needs fresh, the time that counts instead of what the app says")
		}
	}
}

// levelOf returns the level of a rule by its name: what stands before polls[0] or cache[0].
func levelOf(name string) string { return name[:strings.LastIndexByte(name, '.')+1] }

// cacheRule checks a rule alone, and against those before it.
func (d *decoder) cacheRule(c *Config, list []rules.Options, i int) {
	r := &list[i]
	if r.Match == "" {
		d.add(r.Name+".match", "missing; want a path such as /status.php")
		return
	}
	if problem := pathProblem(r.Match); problem != "" && r.Match != "/" {
		d.add(r.Name+".match", show(r.Match)+" "+problem+"; want a path such as /status.php")
		return
	}
	for _, path := range c.Push.AllPaths() {
		if isAtOrBelow(r.Match, path) {
			d.add(r.Name+".match", show(r.Match)+" is a push path, which Holdfast itself answers; want a path on the app")
			return
		}
	}
	for j := range list[:i] {
		if e := &list[j]; levelOf(e.Name) == levelOf(r.Name) && e.Match != "" && isAtOrBelow(r.Match, e.Match) && coversMethods(e.Methods, r.Methods) {
			d.add(r.Name+".match", fmt.Sprintf("%s is never reached, as %s of %s at line %d matches all of it and the first match wins", show(r.Match), show(e.Match), e.Name,
				d.position(e.Name+".match").line))
			return
		}
	}
	set, err := rules.New([]rules.Options{*r}, c.Push.Logout.Cookies, cache.NewHasher())
	if bad := (*rules.Error)(nil); errors.As(err, &bad) {
		if bad.Option != "key" || !d.failed["push.logout.cookies"] {
			d.add(r.Name+"."+bad.Option, bad.Problem)
		}
		return
	}
	most, limit := c.CacheLimits.Size/4, "a quarter of cache_limits.size"
	if set.All()[0].Policy.OwnSession && c.CacheLimits.SessionSize < most {
		most, limit = c.CacheLimits.SessionSize, "cache_limits.session_size"
	}
	if Size(r.MaxBytes) > most {
		d.add(r.Name+".max_size", fmt.Sprintf("%s is more than %s, %s, so that such a response is never stored", Size(r.MaxBytes), most, limit))
	}
}

// isAtOrBelow reports whether every request of one path's rule is also of another's.
func isAtOrBelow(path, other string) bool {
	other = strings.TrimRight(other, "/")
	return path == other || strings.HasPrefix(path, other+"/")
}

// coversMethods reports whether a rule takes all methods of another. None is GET.
func coversMethods(list, others []string) bool {
	has := func(list []string, method string) bool {
		for _, m := range list {
			if m == method {
				return true
			}
		}
		return len(list) == 0 && method == "GET"
	}
	for _, m := range others {
		if !has(list, m) {
			return false
		}
	}
	return len(others) > 0 || has(list, "GET")
}
