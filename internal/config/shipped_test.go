package config

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"holdfast/internal/channel"
	"holdfast/internal/config/value"
)

const shipped = "../../config.yaml"

// The shipped file is the manual: if it shows another value than the default, it lies.
func TestShippedFileShowsTheDefaults(t *testing.T) {
	got, err := Load(shipped)
	if err != nil {
		t.Fatal(err)
	}
	rules := []Channel{{Match: "public.**", Access: channel.Public, History: DefaultHistory(), Presence: channel.PresenceOff, Slow: channel.Disconnect}}
	if !reflect.DeepEqual(got.Channels, rules) {
		t.Errorf("channels = %+v, want %+v", got.Channels, rules)
	}
	if want := []Server{{URL: Default().Upstream}}; !reflect.DeepEqual(got.Upstreams, want) {
		t.Errorf("upstreams = %+v, want %+v", got.Upstreams, want)
	}
	got.Channels, got.Upstreams, got.lines, got.digest = nil, nil, nil, ""
	if want := Default(); !reflect.DeepEqual(got, want) {
		t.Errorf("shipped file:\n%+v\ndefaults:\n%+v", got, want)
	}
}

func TestShippedFileHasEveryKey(t *testing.T) {
	comments := readComments(t)
	for _, key := range allKeys(reflect.TypeFor[Config](), "", nil) {
		comment, ok := comments[key]
		switch {
		case !ok:
			t.Errorf("%s is not in config.yaml", key)
		case comment == "":
			t.Errorf("%s has no comment in config.yaml", key)
		}
	}
}

// The ranges in the comments are those that validate enforces.
func TestShippedFileStatesEveryRange(t *testing.T) {
	comments := readComments(t)
	checked := 0
	for _, key := range allKeys(reflect.TypeFor[Config](), "", nil) {
		c := Default()
		c.Routes, c.Sites = []Route{{Match: "/a"}}, []Site{{Default: true}}
		c.Channels = []Channel{{Match: "a", Access: channel.Public, History: DefaultHistory()}}
		c.Upstreams = []Server{{URL: c.Upstream}}
		c.Watch = []Watch{{Channel: "a", URL: "/a", Every: seconds(1), Data: "body"}}
		c.Polls, c.Cache = []Poll{DefaultPoll()}, []Cache{DefaultCache()}
		c.Polls[0].Match, c.Cache[0].Match = "/p", "/c"
		c.Inject = []Inject{{Match: "/a", Polls: []string{"/b"}}}
		c.TLS.Certificates = []value.Certificate{{Cert: "/a", Key: "/b"}}
		v := reflect.ValueOf(c).Elem()
		for name := range strings.SplitSeq(key, ".") {
			name, isItem := strings.CutSuffix(name, "[0]")
			v = fieldByKey(v, name)
			if isItem {
				v = v.Index(0)
			}
		}
		if !v.CanInt() {
			continue
		}
		v.SetInt(math.MaxInt64)
		d := newDecoder("")
		d.ranges(c)
		d.channels(c)
		d.watch(c)
		d.caches(c)
		d.injects(c)
		d.events(c)
		d.upstreams(c)
		if len(d.errs) == 0 {
			t.Errorf("%s has no range", key)
			continue
		}
		_, want, _ := strings.Cut(d.errs[0].Problem, "want ")
		if !strings.Contains(comments[key], want) {
			t.Errorf("%s: the comment does not say %q:\n%s", key, want, comments[key])
		}
		checked++
	}
	if checked < 20 {
		t.Errorf("only %d keys with a range were found", checked)
	}
}

// A file made from a Config means the same Config.
func TestRoundTrip(t *testing.T) {
	want := Default()
	want.Listen = Listeners{{Address: Listen{Network: "unix", Address: "/run/holdfast.sock"}}}
	want.Channels = []Channel{{Match: "a.*.**", Access: channel.Public, History: History{Messages: 7, Age: seconds(3605), Bytes: 1500}}}
	want.Watch = []Watch{{Channel: "a.{b}.{c}", URL: "/{b}.json?c={c}", Every: seconds(7), Data: "/d/0", As: Header{"Cookie": "a=b; c=\"d\"", "Host": "x"}}}
	data, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("round.yaml", data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if got.lines = nil; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func fieldByKey(v reflect.Value, name string) reflect.Value {
	return v.FieldByIndex(fieldsOf(v.Type())[slices.Index(keysOf(v.Type()), name)].Index)
}

// allKeys lists the paths of every key below t; the item of a list of structs is [0]. Sections that a route has
// as well are listed once.
func allKeys(t reflect.Type, section string, seen map[reflect.Type]bool) []string {
	var keys []string
	if seen == nil {
		seen = map[reflect.Type]bool{}
	}
	for _, f := range fieldsOf(t) {
		if len(f.Index) > 1 && t != reflect.TypeFor[Config]() { // of the block, which the top has
			continue
		}
		key, field := join(section, f.Tag.Get("yaml")), f.Type
		keys = append(keys, key)
		if field.Kind() == reflect.Slice && !isScalar(field.Elem()) {
			field, key = field.Elem(), key+"[0]"
		}
		if field.Kind() == reflect.Struct && !isScalar(field) && !seen[field] {
			seen[field] = true
			keys = append(keys, allKeys(field, key, seen)...)
		}
	}
	return keys
}

// withExample is the shipped file with the examples of its lists, which are comments there, in force.
func withExample(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, key := range []string{"listen", "  certificates", "routes", "sites", "watch", "polls", "cache", "inject"} {
		line := "\n" + key + ": []\n"
		if key == "listen" {
			line = "\nlisten: 127.0.0.1:8080\n"
		}
		before, rest, ok := strings.Cut(text, line)
		if !ok {
			t.Fatalf("no %q in config.yaml", line)
		}
		example, after, _ := strings.Cut(rest, "\n\n")
		var b strings.Builder
		for line := range strings.Lines(example + "\n") {
			bare, ok := strings.CutPrefix(line, "#")
			if !ok {
				t.Fatalf("the example of %s has %q", key, line)
			}
			b.WriteString(bare)
		}
		text = before + "\n" + key + ":\n" + b.String() + "\n" + after
	}
	return []byte(text)
}

func TestExamples(t *testing.T) {
	text := strings.Replace(string(withExample(t)), `match: "public.**"`, `match: "**"`, 1)
	text = strings.Replace(text, "  tls: false\n", "  tls: true\n", 1) // the channels of watch need a rule
	c, err := Parse("config.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := []value.Certificate{{Cert: "/etc/ssl/app.pem", Key: "/etc/ssl/private/app.key"}}; !reflect.DeepEqual(c.TLS.Certificates, want) {
		t.Errorf("certificates = %+v", c.TLS.Certificates)
	}
	if want := (Listeners{{Address: Default().Listen[0].Address, TLS: true}}); !reflect.DeepEqual(c.Listen, want) {
		t.Errorf("listen = %+v", c.Listen)
	}
	if len(c.Routes) != 8 || c.Routes[0].Prefix != "/" || !c.Routes[7].Internal || len(c.Sites) != 2 {
		t.Errorf("routes = %+v", c.Routes)
	}
	want := DefaultWatch()
	want.Channel, want.URL = "parcel.{id}", "/status.php?id={id}"
	if !reflect.DeepEqual(c.Watch, []Watch{want}) {
		t.Errorf("watch = %+v", c.Watch)
	}
	poll, rule := DefaultPoll(), DefaultCache()
	poll.Match, poll.Key, poll.Channel = "/status.php", []string{"query"}, "parcel.{query.id}"
	rule.Match, rule.Key, rule.Statuses = "/catalog", []string{"query"}, []int{200, 204, 404}
	if !reflect.DeepEqual(c.Inject, []Inject{{Match: "/parcels", Polls: []string{"/status.php?id"}}}) {
		t.Errorf("inject = %+v", c.Inject)
	}
	if !reflect.DeepEqual(c.Polls, []Poll{poll}) || !reflect.DeepEqual(c.Cache, []Cache{rule}) {
		t.Errorf("polls = %+v, cache = %+v", c.Polls, c.Cache)
	}
}

// readComments returns key path → the comment above the key, on one line.
func readComments(t *testing.T) map[string]string {
	t.Helper()
	data := withExample(t)
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	var walk func(n *yaml.Node, section string)
	walk = func(n *yaml.Node, section string) {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i < len(n.Content); i += 2 {
				// yaml gives the comment above the first key of a list item to the item.
				comment := n.Content[i].HeadComment
				if i == 0 {
					comment += n.HeadComment
				}
				key := join(section, n.Content[i].Value)
				if i := strings.IndexByte(key, '['); i >= 0 { // of any item
					key = key[:i] + "[0]" + key[i+strings.IndexByte(key[i:], ']')+1:]
				}
				if comments[key] != "" {
					walk(n.Content[i+1], key)
					continue
				}
				comments[key] = strings.Join(strings.Fields(strings.ReplaceAll(comment, "#", "")), " ")
				walk(n.Content[i+1], key)
			}
		case yaml.SequenceNode:
			for i, item := range n.Content {
				walk(item, fmt.Sprintf("%s[%d]", section, i))
			}
		}
	}
	walk(doc.Content[0], "")
	return comments
}
