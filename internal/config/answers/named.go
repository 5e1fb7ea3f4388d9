// Package answers has the settings of a level that say whose requests it takes, and what its responses have besides what an app or a
// file says.
package answers

import (
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Named are values by name: headers, parameters, pages. A level has those of the level above, each replaced by its own of the same name.
type Named map[string]Value

// Value is what is written for a name: text or a list of texts, alone or behind a word such as add; or null.
type Value struct {
	Null bool
	Word string // add or default; empty: none
	List []string
}

// Names returns the names in order.
func (x Named) Names() []string { return slices.Sorted(maps.Keys(x)) }

// String is the block as the file has it.
func (x Named) String() string {
	var list []string
	for _, name := range x.Names() {
		list = append(list, name+": "+x[name].String())
	}
	if len(list) == 0 {
		return "none"
	}
	return "{" + strings.Join(list, ", ") + "}"
}

// String is the value as the file has it.
func (v Value) String() string {
	text := "[" + strings.Join(v.List, ", ") + "]"
	switch {
	case v.Null:
		return "null"
	case len(v.List) == 1:
		text = v.List[0]
	}
	if v.Word != "" {
		return "{" + v.Word + ": " + text + "}"
	}
	return text
}

// MarshalYAML implements yaml.Marshaler.
func (v Value) MarshalYAML() (any, error) {
	var text any = v.List
	switch {
	case v.Null:
		return nil, nil
	case len(v.List) == 1:
		text = v.List[0]
	}
	if v.Word != "" {
		return map[string]any{v.Word: text}, nil
	}
	return text, nil
}

// words are those that may stand before a value.
var words = []string{"add", "default"}

// ReadNode reads a mapping, on top of what the level above has. report gets where each name's value is, and what is wrong with it, if
// something is; the name is empty for the whole.
func (x *Named) ReadNode(n *yaml.Node, report func(n *yaml.Node, name, problem string)) {
	if n.Kind != yaml.MappingNode {
		report(n, "", "is no block of names and values")
		return
	}
	all := maps.Clone(*x)
	if all == nil && len(n.Content) > 0 {
		all = Named{}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, child := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		name := k.Value
		switch {
		case k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge":
			report(k, "", "has something else than text as a name")
			continue
		case seen[strings.ToLower(name)]:
			report(k, name, "is there twice")
			continue
		}
		seen[strings.ToLower(name)] = true
		for other := range all { // of the level above, in another case of letters
			if strings.EqualFold(other, name) {
				delete(all, other)
			}
		}
		v, problem := readValue(child)
		if report(child, name, problem); problem != "" {
			continue
		}
		all[name] = v
	}
	*x = all
}

func readValue(n *yaml.Node) (v Value, problem string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.MappingNode {
		if len(n.Content) != 2 || !slices.Contains(words, n.Content[0].Value) {
			return v, "is a block of keys; want text, a list, or one of {add: VALUE} and {default: VALUE}"
		}
		v.Word, n = n.Content[0].Value, n.Content[1]
	}
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	} else if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		if v.Word != "" {
			return v, "has no value"
		}
		return Value{Null: true}, ""
	}
	for _, item := range list {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		if item.Kind != yaml.ScalarNode || item.ShortTag() == "!!null" {
			return v, "has something else than text in its list"
		}
		v.List = append(v.List, item.Value)
	}
	if len(v.List) == 0 {
		return v, "is an empty list; want text, or null"
	}
	return v, ""
}
