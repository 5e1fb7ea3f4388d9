package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"holdfast/internal/channel"
	"holdfast/internal/config/answers"
)

const (
	// maxList keeps the search for a channel's rule short.
	maxList = 1000
	// maxProblems limits the errors of one file.
	maxProblems = 100
)

// decoder fills a Config from a tree of yaml nodes. It does what yaml's own strict decoding does,
// and keeps what that forgets: the column, the path of the key, what was expected, and the place
// of every value, which validate needs.
type decoder struct {
	file   string
	errs   Errors
	at     map[string]mark // key → its value
	given  map[string]bool // keys that have a value
	failed map[string]bool // keys whose value could not be read; the struct has their default

	above  *Block     // of the level that the list in hand is in
	shared *yaml.Node // the routes of the top, for sites that have none
}

// mark is a place in the file, counted from 1; zero is nowhere.
type mark struct{ line, column int }

func markOf(n *yaml.Node) mark { return mark{n.Line, n.Column} }

func newDecoder(file string) *decoder {
	return &decoder{file: file, at: map[string]mark{}, given: map[string]bool{}, failed: map[string]bool{}}
}

func (d *decoder) addAt(m mark, key, problem string) {
	if d.full() || slices.ContainsFunc(d.errs, func(e *Error) bool {
		return e.Key == key && e.Problem == problem && e.Line == m.line && e.Column == m.column
	}) {
		return // routes that several sites share are checked for each
	}
	d.errs = append(d.errs, &Error{File: d.file, Line: m.line, Column: m.column, Key: key, Problem: problem})
}

// full ends the walk: an alias that stands for a large block, repeated in a list, would otherwise
// be walked for minutes to report nothing more.
func (d *decoder) full() bool { return len(d.errs) >= maxProblems }

// fail reports a value that cannot be read.
func (d *decoder) fail(n *yaml.Node, key, problem string) {
	d.failed[key] = true
	d.addAt(markOf(n), key, problem)
}

// read returns the file's one document, or nil when it is empty or not YAML.
func (d *decoder) read(data []byte) (root *yaml.Node) {
	defer func() {
		// The parser answers its own inconsistencies with a panic. No file may end the process
		// with a stack trace, least of all at a reload.
		if p := recover(); p != nil {
			root = nil
			d.addAt(mark{}, "", "not YAML: "+show(fmt.Sprint(p)))
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := dec.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if err = dec.Decode(&second); errors.Is(err, io.EOF) {
			return first.Content[0]
		}
	}
	if err != nil {
		d.syntax(err, data)
		return nil
	}
	d.addAt(markOf(&second), "", "a second document begins here; want one")
	return nil
}

// syntax takes the line out of the text of yaml's error, which has it nowhere else. That line is
// where the broken construct begins, or the one before.
func (d *decoder) syntax(err error, data []byte) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	where := "not YAML: "
	var m mark
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, problem, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				m.line, text = n, problem
				where = "not YAML at or after this line: "
			}
		}
	}
	d.addAt(m, "", where+strings.ToValidUTF8(text, "?")+hintSyntax(text, data, m.line))
}

func (d *decoder) document(root *yaml.Node, c *Config) {
	d.value(root, reflect.ValueOf(c).Elem(), "", "")
}

// value reads n into v. example is what the key takes, for the error if n is something else.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key, example string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.at[key] = markOf(n)
	null := n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
	d.given[key] = !null
	switch {
	case v.Type() == reflect.TypeFor[Listeners]():
		readListeners(d, n, v.Addr().Interface().(*Listeners), key)
	case v.Type() == reflect.TypeFor[Compress]() && n.Kind == yaml.ScalarNode && !null:
		d.value(n, v.FieldByName("Enabled"), join(key, "enabled"), "")
	case v.Type() == reflect.TypeFor[answers.Named]():
		if answers.IsWhole(key) {
			v.SetZero()
		}
		v.Addr().Interface().(*answers.Named).ReadNode(n, func(n *yaml.Node, name, problem string) {
			if problem == "" {
				d.at[answers.KeyOf(key, name)] = markOf(n)
				return
			}
			d.fail(n, answers.KeyOf(key, name), problem+"; want "+wantOf(v.Type(), example))
		})
	case isScalar(v.Type()):
		d.scalar(n, v, key, wantOf(v.Type(), example))
	case null:
		// A section whose every line is commented out.
	case v.Kind() == reflect.Struct:
		d.section(n, v, key)
	case v.Type() == reflect.TypeFor[Header]():
		d.header(n, v, key, example)
	default:
		d.list(n, v, key, example)
	}
}

// section reads a mapping into a struct.
func (d *decoder) section(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, key, describe(n)+"; want "+wantOf(v.Type(), ""))
		return
	}
	known, fields := keysOf(v.Type()), fieldsOf(v.Type())
	seen := map[string]int{}
	late := make([]*yaml.Node, len(known))
	for i := 0; i+1 < len(n.Content) && !d.full(); i += 2 {
		k, child := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		name := join(key, plain(k.Value))
		if k.Kind != yaml.ScalarNode {
			d.addAt(markOf(k), key, describe(k)+" as a key; want one of "+strings.Join(known, ", "))
			continue
		}
		if k.ShortTag() == "!!merge" {
			d.addAt(markOf(k), key, "merge keys (<<) are not supported; write the keys out, or use an alias for a whole value")
			continue
		}
		if line, ok := seen[k.Value]; ok {
			d.addAt(markOf(k), name, fmt.Sprintf("duplicate key; first at line %d", line))
			continue
		}
		seen[k.Value] = k.Line
		index := slices.Index(known, k.Value)
		if f := earlierFolder(v.Addr().Interface()); f != nil && k.Value == "site" {
			d.value(child, reflect.ValueOf(f).Elem(), name, "")
			continue
		}
		if index < 0 {
			d.addAt(markOf(k), name, "unknown key"+hintKey(key, k.Value, known))
			continue
		}
		field := fields[index]
		if field.Tag.Get("level") == "top" && isLevel(key) {
			d.addAt(markOf(k), name, "is for connections, or for all requests together; want it at the top only")
			continue
		}
		if k.Value == "routes" || k.Value == "sites" {
			late[index] = child
			continue
		}
		d.value(child, v.FieldByIndex(field.Index), name, field.Tag.Get("eg"))
	}
	if c, ok := v.Addr().Interface().(*Compress); ok && !d.given[join(key, "enabled")] {
		c.Enabled = true
	}
	d.level(v, key, late)
}

// list reads a sequence into a slice, replacing what was there.
func (d *decoder) list(n *yaml.Node, v reflect.Value, key, example string) {
	switch {
	case n.Kind != yaml.SequenceNode:
		d.fail(n, key, describe(n)+"; want "+wantOf(v.Type(), example))
		return
	case len(n.Content) > maxList:
		d.fail(n, key, fmt.Sprintf("%d items; want at most %d", len(n.Content), maxList))
		return
	}
	v.SetZero()
	above := d.above
	for i, child := range n.Content {
		if d.full() {
			return
		}
		item := reflect.New(v.Type().Elem()).Elem()
		switch item := item.Addr().Interface().(type) {
		case *Channel:
			item.History, item.Presence, item.Slow = DefaultHistory(), channel.PresenceOff, channel.Disconnect
		case *Watch:
			*item = DefaultWatch()
		case *Poll:
			*item = DefaultPoll()
		case *Cache:
			*item = DefaultCache()
		case level:
			item.begin(above, fmt.Sprintf("%s[%d]", key, i))
		}
		d.value(child, item, fmt.Sprintf("%s[%d]", key, i), strings.Trim(example, "[]"))
		v.Set(reflect.Append(v, item))
	}
}

// scalar reads one word or number. Text is taken as it is written, whatever YAML would have made
// of it: a token of digits is not a number, and "no" is not false.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, key, want string) {
	switch {
	case n.Kind != yaml.ScalarNode, n.ShortTag() == "!!null":
		d.fail(n, key, describe(n)+"; want "+want)
		return
	case n.Style&yaml.TaggedStyle != 0 && !slices.Contains([]string{"!!str", "!!int", "!!bool"}, n.ShortTag()):
		d.fail(n, key, "the tag "+show(n.ShortTag())+" is not supported; want "+want)
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *netip.Prefix:
		p, err := parsePrefix(n.Value)
		if err != nil {
			d.fail(n, key, err.Error())
		}
		*target = p
	case encoding.TextUnmarshaler:
		if err := target.UnmarshalText([]byte(n.Value)); err != nil {
			d.fail(n, key, err.Error())
		}
	case *int:
		i, err := strconv.Atoi(n.Value)
		if err != nil || strconv.Itoa(i) != n.Value { // 010 is eight in YAML 1.1 and ten in 1.2
			d.fail(n, key, show(n.Value)+" is not a whole number; want "+want)
			return
		}
		*target = i
	case *bool:
		if n.Value != "true" && n.Value != "false" { // YAML's yes, on and y are not the same everywhere
			d.fail(n, key, show(n.Value)+" is neither true nor false")
			return
		}
		*target = n.Value == "true"
	default:
		v.SetString(n.Value)
	}
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

func isScalar(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(textUnmarshaler) || t.Kind() == reflect.String || t.Kind() == reflect.Int || t.Kind() == reflect.Bool
}

// wantOf says what a value of type t looks like; example is the field's own.
func wantOf(t reflect.Type, example string) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return wantDuration
	case reflect.TypeFor[Size]():
		return wantSize
	case reflect.TypeFor[Listen]():
		return wantListen
	case reflect.TypeFor[Upstream]():
		return wantUpstream
	case reflect.TypeFor[netip.Prefix]():
		return wantPrefix
	}
	switch t.Kind() {
	case reflect.Int:
		return "a whole number such as 32"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list such as " + example
	case reflect.Map:
		return "names and values such as " + example
	case reflect.Struct:
		return "keys and values, one of " + strings.Join(keysOf(t), ", ")
	}
	return "text such as " + example
}

// describe names what n is instead of the value that was wanted.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a block of keys"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "no value"
	}
	return "a single value"
}

// fieldsOf returns the fields of a struct that have keys, in their order, and those of embedded structs in their place.
func fieldsOf(t reflect.Type) (list []reflect.StructField) {
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Anonymous:
			for _, inner := range fieldsOf(f.Type) {
				inner.Index = append(slices.Clone(f.Index), inner.Index...)
				list = append(list, inner)
			}
		case f.IsExported():
			list = append(list, f)
		}
	}
	return list
}

// keysOf returns the yaml keys of a struct, in the order of its fields.
func keysOf(t reflect.Type) (keys []string) {
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.Tag.Get("yaml"))
	}
	return keys
}

// suggestKey ends the message about an unknown key: with its near neighbour in the section, or
// else with the one section where the key would be known.
func suggestKey(section, key string, known []string) string {
	if s := didYouMean(key, known); s != "" {
		return s
	}
	var elsewhere []string
	top := reflect.TypeFor[Config]()
	for _, f := range fieldsOf(top) {
		if t := f.Type; t.Kind() == reflect.Struct && !isScalar(t) && slices.Contains(keysOf(t), key) {
			elsewhere = append(elsewhere, f.Tag.Get("yaml")+"."+key)
		}
	}
	if section != "" && slices.Contains(keysOf(top), key) {
		return fmt.Sprintf("; %s belongs at the top level, not in %s", key, section)
	}
	if len(elsewhere) != 1 {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", elsewhere[0])
}

// plain makes a key fit for a message: as it is when it is a word, quoted otherwise.
func plain(key string) string {
	if key != "" && len(key) <= longestGuess && strings.Trim(key, lettersDigits+"-_.") == "" {
		return key
	}
	return show(key)
}

func join(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}
