package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"holdfast/internal/channel"
	"holdfast/internal/config/answers"
	"holdfast/internal/config/value"
)

var update = flag.Bool("update", false, "write docs/reference/configuration.md")

const (
	configurationPage = "../../docs/reference/configuration.md"
	pageColumns       = 100
)

const pageHead = `# Configuration

For operators who look up a key. This page is generated from [config.yaml](../../config.yaml), which
shows every key with its default. Change the comments there.

- A key that is left out has its default, except that there are no channel rules by default.
- Unknown keys, duplicate keys and values out of range are errors, and Holdfast does not start.
- Durations have a unit: 250ms, 25s, 10m, 1h30m.
- Sizes are bytes: 65536, 64KB, 1MB, 2GB. KB and KiB both mean 1024 bytes.
- In a heading, ` + "`[]`" + ` stands for each item of a list.

` + "`holdfast check -config FILE`" + ` validates a file. A [reload](../operate/reload.md#which-keys) puts
keys to use without a restart.
`

// TestConfigurationPage fails when the page is older than config.yaml or the defaults.
func TestConfigurationPage(t *testing.T) {
	want := makeConfigurationPage(t)
	if *update {
		if err := os.WriteFile(configurationPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/reference/configuration.md is stale; run: go test ./internal/config -run TestConfigurationPage -update")
	}
}

func makeConfigurationPage(t *testing.T) string {
	comments, keys := readComments(t), allKeys(reflect.TypeFor[Config](), "", nil)
	var index, body strings.Builder
	section := ""
	for i, key := range keys {
		top := key
		if j := strings.IndexAny(key, ".["); j >= 0 {
			top = key[:j]
		}
		isSection := i+1 < len(keys) && strings.HasPrefix(keys[i+1], key) && strings.IndexAny(keys[i+1][len(key):], ".[") == 0
		if top != section {
			section = top
			fmt.Fprintf(&index, "- [%s](#%s)\n", top, headingAnchor(key))
		}
		level := "###"
		if key == top {
			level = "##"
		}
		fmt.Fprintf(&body, "\n%s `%s`\n\n", level, strings.ReplaceAll(key, "[0]", "[]"))
		if about := describeKey(key, isSection); about != "" {
			fmt.Fprintf(&body, "%s\n\n", about)
		}
		body.WriteString(wrapText(strings.ReplaceAll(comments[key], "*", `\*`), pageColumns))
	}
	return pageHead + "\n" + index.String() + body.String()
}

// headingAnchor is the fragment that a renderer gives the heading of a key.
func headingAnchor(key string) string {
	return strings.NewReplacer(".", "", "[0]", "").Replace(key)
}

// describeKey returns a key's type and default as a line of the page.
func describeKey(key string, isSection bool) string {
	c := Default()
	c.Upstreams, c.Routes, c.Sites, c.Channels = []Server{{}}, []Route{{}}, []Site{{}}, []Channel{defaultChannel()}
	c.Watch, c.Polls, c.Cache = []Watch{DefaultWatch()}, []Poll{DefaultPoll()}, []Cache{DefaultCache()}
	c.Inject = []Inject{{}}
	c.TLS.Certificates = []value.Certificate{{}}
	v := reflect.ValueOf(c).Elem()
	for name := range strings.SplitSeq(key, ".") {
		name, isItem := strings.CutSuffix(name, "[0]")
		v = fieldByKey(v, name)
		if isItem {
			v = v.Index(0)
		}
	}
	switch {
	case v.Type() == reflect.TypeFor[Listeners]():
		return fmt.Sprintf("Type: address, or list of addresses. Default: %s.", defaultWord(v))
	case v.Kind() == reflect.Slice && !isScalar(v.Type().Elem()):
		return "Type: list. Default: none."
	case isSection:
		return ""
	}
	return fmt.Sprintf("Type: %s. Default: %s.", typeWord(v.Type()), defaultWord(v))
}

func defaultChannel() Channel {
	return Channel{History: DefaultHistory(), Presence: channel.PresenceOff, Slow: channel.Disconnect}
}

func typeWord(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Listen]():
		return "address"
	case reflect.TypeFor[Upstream]():
		return "upstream address"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Int {
			return "list of numbers"
		}
		return "list of strings"
	case reflect.Map:
		if t == reflect.TypeFor[answers.Named]() {
			return "names and values"
		}
		return "names and values of headers"
	}
	return "string"
}

func defaultWord(v reflect.Value) string {
	if v.IsZero() && v.Kind() != reflect.Bool && !v.CanInt() {
		return "none"
	}
	data, err := yaml.Marshal(v.Interface())
	if err != nil {
		panic(err)
	}
	text := strings.TrimSpace(string(data))
	if v.Kind() == reflect.Slice && v.Type() != reflect.TypeFor[Listeners]() {
		text = "[" + strings.ReplaceAll(strings.TrimPrefix(text, "- "), "\n- ", ", ") + "]"
	}
	return "`" + text + "`"
}

// wrapText breaks a paragraph into lines of at most columns characters.
func wrapText(text string, columns int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
		case column+1+n > columns:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String() + "\n"
}
