package config

import (
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// level is the top, a site or a route: what has a Block.
type level interface {
	block() *Block

	// begin makes the level at a key one of those that above has.
	begin(above *Block, key string)

	// settle completes the level once its keys are read.
	settle(d *decoder)
}

func (c *Config) block() *Block          { return &c.Block }
func (c *Config) begin(*Block, string)   {}
func (c *Config) settle(d *decoder)      { d.settle(&c.Block, "") }
func (s *Site) block() *Block            { return &s.Block }
func (s *Site) begin(b *Block, k string) { s.Block, s.key = *b, k }
func (r *Route) block() *Block           { return &r.Block }

func (s *Site) settle(d *decoder) {
	d.settle(&s.Block, s.key)
	if !d.given[s.key+".push"] {
		s.Push = !s.own
	}
}

func (r *Route) begin(b *Block, k string) { r.Block, r.key = *b, k }

func (r *Route) settle(d *decoder) {
	if d.given[r.key+".site"] {
		f := defaultFolder()
		for i := range fieldsOf(reflect.TypeFor[Folder]()) {
			if name := keysOf(reflect.TypeFor[Folder]())[i]; d.given[r.key+".site."+name] {
				reflect.ValueOf(&f).Elem().Field(i).Set(reflect.ValueOf(&r.Folder).Elem().Field(i))
			}
		}
		r.Folder = f
	}
	d.settle(&r.Block, r.key)
	r.cuts = r.own && !d.given[r.key+".site.root"] && d.given[r.key+".root"] && r.Match != "" && !r.app && (r.files || r.Alias)
	if d.given[r.key+".alias"] {
		r.cuts = r.Alias
	}
}

// earlierFolder returns what a key "site" of the top or of a route stands for, which is how the keys of Folder were written
// before there were sites; nil: there is no such key. A route's took nothing from above.
func earlierFolder(v any) *Folder {
	switch v := v.(type) {
	case *Config:
		return &v.Folder
	case *Route:
		return &v.Folder
	}
	return nil
}

// isLevel reports whether a key is of a site or a route, or below it.
func isLevel(key string) bool {
	return strings.HasPrefix(key, "sites[") || strings.HasPrefix(key, "routes[")
}

// level completes a level, if v is one: first itself, then what begins as a copy of it. late has the values of its keys routes
// and sites.
func (d *decoder) level(v reflect.Value, key string, late []*yaml.Node) {
	l, ok := v.Addr().Interface().(level)
	if !ok {
		return
	}
	l.settle(d)
	fields := fieldsOf(v.Type())
	for _, name := range []string{"routes", "sites"} {
		for i, f := range fields {
			if f.Tag.Get("yaml") != name {
				continue
			}
			n, at := late[i], join(key, name)
			if name == "routes" && key == "" {
				d.shared = n
			}
			if n == nil && name == "routes" && key != "" && len(d.errs) == 0 {
				n, at = d.shared, "routes"
			}
			if n != nil {
				d.above = l.block()
				d.value(n, v.FieldByIndex(f.Index), at, f.Tag.Get("eg"))
			}
		}
	}
}
