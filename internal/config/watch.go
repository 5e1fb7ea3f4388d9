package config

import (
	"fmt"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"holdfast/internal/channel"
	"holdfast/internal/channelurl"
	"holdfast/internal/strictjson"
)

// Watch is a URL of the app that is requested while somebody holds a channel that matches. The first that matches counts.
type Watch struct {
	Channel string   `yaml:"channel" eg:"parcel.{id}"` // a pattern; see package channelurl
	URL     string   `yaml:"url" eg:"/status.php?id={id}"`
	Every   Duration `yaml:"every"`
	Data    string   `yaml:"data" eg:"body"` // or json, or a JSON pointer
	As      Header   `yaml:"as" eg:"{Cookie: \"session=…\"}"`
}

// DefaultWatch has the defaults of a watch.
func DefaultWatch() Watch { return Watch{Every: seconds(2), Data: "body"} }

// Rule returns which rule of channels the watch's channels have, -1 for none. Other channels of the watch may have others.
func (w *Watch) Rule(c *Config) int {
	pattern, err := channelurl.ParsePattern(w.Channel)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(c.Channels, func(r Channel) bool {
		return channel.ValidRule(r.Match) == nil && channel.Overlaps(r.Match, pattern.Stars())
	})
}

// header reads a mapping of text to text.
func (d *decoder) header(n *yaml.Node, v reflect.Value, key, example string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, key, describe(n)+"; want "+wantOf(v.Type(), example))
		return
	}
	h := Header{}
	for i := 0; i+1 < len(n.Content) && !d.full(); i += 2 {
		k, child := n.Content[i], n.Content[i+1]
		name := textproto.CanonicalMIMEHeaderKey(k.Value)
		switch _, again := h[name]; {
		case k.Kind != yaml.ScalarNode:
			d.addAt(markOf(k), key, describe(k)+" as a header's name; want "+wantOf(v.Type(), example))
			continue
		case again:
			d.addAt(markOf(k), join(key, plain(k.Value)), "is there twice")
			continue
		}
		at := join(key, plain(name))
		h[name] = ""
		text := reflect.New(reflect.TypeFor[string]()).Elem()
		d.value(child, text, at, "a header's value")
		if h[name] = text.String(); d.failed[at] {
			continue
		}
		if problem := headerProblem(name, h[name]); problem != "" {
			d.failed[key] = true
			d.addAt(markOf(k), at, problem)
		}
	}
	if len(h) > 0 {
		v.Set(reflect.ValueOf(h))
	}
}

// watch checks each and what one hides.
func (d *decoder) watch(c *Config) {
	var before []channelurl.Pattern
	for i := range c.Watch {
		w, key := &c.Watch[i], fmt.Sprintf("watch[%d]", i)
		inRange(d, key+".every", w.Every, shortest, Duration(24*time.Hour), "")
		if w.Data != "body" && w.Data != "json" {
			if _, err := strictjson.ParsePointer(w.Data); err != nil || w.Data == "" {
				d.add(key+".data", show(w.Data)+" is neither body nor json nor a JSON pointer such as /state")
			}
		}
		var pattern channelurl.Pattern
		ok := !d.failed[key] && !d.failed[key+".channel"]
		if ok {
			pattern, ok = d.watchChannel(c, w, key, before)
		}
		if before = append(before, pattern); ok {
			d.watchURL(c, w, key, pattern)
		}
	}
}

// watchChannel checks the pattern alone, against those before it, and against the rules.
func (d *decoder) watchChannel(c *Config, w *Watch, key string, before []channelurl.Pattern) (p channelurl.Pattern, ok bool) {
	key += ".channel"
	if w.Channel == "" {
		d.add(key, "missing; want a pattern such as parcel.{id}")
		return p, false
	}
	p, err := channelurl.ParsePattern(w.Channel)
	if err != nil {
		d.add(key, show(w.Channel)+" "+err.Error())
		return p, false
	}
	for i := range before {
		if stars := before[i].Stars(); stars != "" && channel.Covers(stars, p.Stars()) {
			d.add(key, fmt.Sprintf("%s is never reached, as %s at line %d matches all of it and the first match wins", show(w.Channel), show(c.Watch[i].Channel),
				d.position(fmt.Sprintf("watch[%d].channel", i)).line))
		}
	}
	if w.Rule(c) < 0 && !d.failed["channels"] {
		d.add(key, show(w.Channel)+" matches no channel of a rule in channels, so no client may subscribe to it")
	}
	return p, true
}

// watchURL checks that the URL is a path of the app, and that no channel's name makes another one of it than was meant.
func (d *decoder) watchURL(c *Config, w *Watch, key string, p channelurl.Pattern) {
	if key += ".url"; d.failed[key] {
		return
	}
	if w.URL == "" {
		d.add(key, "missing; want a path on the app such as /status.php?id={id}")
		return
	}
	problem := authorizeProblem(w.URL)
	made, err := p.Parse(w.URL)
	if problem == "" && err != nil {
		problem = err.Error()
	}
	if problem != "" {
		d.add(key, show(w.URL)+" "+problem+"; want a path on the app such as /status.php?id={id}")
		return
	}
	closed := func(path, what string) {
		if path != "" && made.Reaches(path) {
			d.add(key, fmt.Sprintf("%s may become %s, %s, by the name of a channel; want what stands in braces in the query, or below a path of its own", show(w.URL), show(path), what))
		}
	}
	for _, path := range c.Push.AllPaths() {
		if p, _, _ := strings.Cut(w.URL, "?"); p == path || strings.HasPrefix(p, path+"/") {
			d.add(key, show(w.URL)+" is a push path, which Holdfast itself answers; want a path on the app")
		}
		closed(path, "which is a push path")
	}
	for _, s := range c.Levels() {
		for i := range s.Routes {
			r := &s.Routes[i]
			closed(r.Match, "of "+r.key)
			closed(r.Exact, "of "+r.key)
		}
	}
	if c.ProxyProtocol && c.Servers()[0].URL.FastCGI {
		d.add(key, "cannot be a path of a fastcgi upstream while proxy_protocol is on")
	}
}
