// Package wildcard has the patterns of names with wildcards: "orders.*" is all names with one segment more than orders,
// and "orders.**" those with one or more.
package wildcard

import "strings"

// Is reports whether a name is a pattern.
func Is(name string) bool {
	return name == "*" || name == "**" || strings.HasSuffix(name, ".*") || strings.HasSuffix(name, ".**")
}

// Split returns the beginning of the names that a pattern matches, and whether any number of segments may follow.
func Split(pattern string) (prefix string, rest bool) {
	prefix = strings.TrimRight(pattern, "*")
	return prefix, len(pattern)-len(prefix) == 2
}

// Matches reports whether a pattern matches a name, which is not itself a pattern.
func Matches(pattern, name string) bool {
	prefix, rest := Split(pattern)
	return len(name) > len(prefix) && strings.HasPrefix(name, prefix) && (rest || strings.IndexByte(name[len(prefix):], '.') < 0)
}
