// Package changes tells by which keys two configurations differ.
package changes

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"holdfast/internal/config"
)

// Keys returns the keys whose values differ, such as push.origins and sites[0].routes[1].limits.body, in the order of
// the configuration. Of a list with another length, that is the key of the list.
func Keys(a, b *config.Config) (keys []string) {
	walk(reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem(), "", func(key string) { keys = append(keys, key) })
	return keys
}

// walk calls differs with each key below that of two values of one type.
func walk(a, b reflect.Value, key string, differs func(key string)) {
	switch {
	case a.Kind() == reflect.Struct && hasKeys(a.Type()):
		for i := range a.NumField() {
			f := a.Type().Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case options == "inline":
				walk(a.Field(i), b.Field(i), key, differs)
			case name != "" && name != "-":
				walk(a.Field(i), b.Field(i), strings.TrimPrefix(key+"."+name, "."), differs)
			}
		}
	case a.Kind() == reflect.Slice && a.Len() == b.Len() && hasKeys(a.Type().Elem()):
		for i := range a.Len() {
			walk(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", key, i), differs)
		}
	case a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0: // nil and empty are the same here
	case !reflect.DeepEqual(a.Interface(), b.Interface()):
		differs(key)
	}
}

// hasKeys reports whether the fields of a type are keys of the file.
func hasKeys(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if _, ok := t.Field(i).Tag.Lookup("yaml"); ok {
			return true
		}
	}
	return false
}

var (
	index = regexp.MustCompile(`\[[0-9]+\]`)
	level = regexp.MustCompile(`^(sites\.)?(routes\.|site\.)?`)
)

// Without returns the keys that are not at or below one of a list, and not the same key of a site or route.
func Without(keys []string, list ...string) (rest []string) {
	for _, key := range keys {
		plain := index.ReplaceAllString(key, "")
		of := level.ReplaceAllString(plain, "")
		if !slices.ContainsFunc(list, func(l string) bool { return within(plain, l) || within(of, l) }) {
			rest = append(rest, key)
		}
	}
	return rest
}

func within(key, above string) bool { return key == above || strings.HasPrefix(key, above+".") }
