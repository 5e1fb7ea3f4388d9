package explain

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"holdfast/internal/config"
)

// setting is a value of a level, for people.
type setting struct {
	key, value string
	from       string // default, top, site or route, with the line that has it
}

// level is what answers a request: a route, or a site. at are as those of config.Config.Source.
type level struct {
	c     *config.Config
	block *config.Block
	at    []string
}

// settings returns those that have an effect on requests, in the order of the block.
func (l *level) settings() (list []setting) {
	var add func(v reflect.Value, section string)
	add = func(v reflect.Value, section string) {
		for i := range v.NumField() {
			f, field := v.Type().Field(i), v.Field(i)
			key := f.Tag.Get("yaml")
			if section != "" {
				key = section + "." + key
			}
			switch {
			case f.Anonymous:
				add(field, section)
			case !f.IsExported():
			case field.Kind() == reflect.Struct && !isText(field):
				add(field, key)
			case f.Tag.Get("level") == "" && !l.isIdle(key):
				list = append(list, setting{key, textOf(field), l.from(key)})
			}
		}
	}
	add(reflect.ValueOf(l.block).Elem(), "")
	return list
}

func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

// isIdle reports whether a key has no effect at the level: it is about another kind of answer.
func (l *level) isIdle(key string) bool {
	b := l.block
	redirects := b.Redirect != ""
	switch key {
	case "upstream":
		return b.Files() || redirects || len(b.Upstreams) > 0
	case "upstreams":
		return b.Files() || redirects || len(b.Upstreams) == 0
	case "push_headers", "request_headers":
		return b.Files() || redirects
	case "redirect", "redirect_status":
		return !redirects
	case "upstream_host":
		return b.Files() || redirects || b.FastCGI()
	case "script_root", "no_scripts":
		return !b.FastCGI()
	case "root", "index", "try_files", "follow_links", "hide_files", "serve_files", "types":
		return redirects || !b.Files() && !b.FastCGI()
	}
	return false
}

// from says where the level has a value from. Who answers is not taken past the level that says so.
func (l *level) from(name string) string {
	var ends []string
	switch name {
	case "index", "try_files", "follow_links":
		if l.block.Files() {
			ends = []string{"root"}
		}
	case "push_headers":
		ends = []string{"upstream", "upstreams", "root", "redirect"}
	case "upstream_host", "request_headers":
		ends = []string{"upstream", "upstreams"}
	}
	at := l.at
	for i, key := range at {
		if key != "" && len(ends) > 0 && l.c.Says(key, ends...) {
			at = at[:i+1]
			break
		}
	}
	key := l.c.Source(name, at...)
	if key == "" {
		return "default"
	}
	where := "top"
	switch {
	case strings.HasPrefix(key, "routes[") || strings.Contains(key, ".routes["):
		where = "route"
	case strings.HasPrefix(key, "sites["):
		where = "site"
	}
	return fmt.Sprintf("%s, line %d", where, l.c.Line(key))
}

// textOf returns a value as the file has it, shortened.
func textOf(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []config.Server:
		var list []string
		for _, s := range x {
			list = append(list, s.URL.String())
		}
		return "[" + strings.Join(list, ", ") + "]"
	case []string:
		if len(x) == 0 {
			return "none"
		}
		return "[" + strings.Join(x, ", ") + "]"
	case string:
		if x == "" {
			return "none"
		}
	}
	switch {
	case v.Kind() == reflect.Slice && v.Len() == 0:
		return "none"
	case v.Kind() == reflect.Slice:
		return fmt.Sprintf("%d rules", v.Len())
	}
	return fmt.Sprint(v.Interface())
}
