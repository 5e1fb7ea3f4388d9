// Package hosts finds what belongs to the Host of a request: by its name, or by a domain that the name is below.
//
// Names are compared in lower case, without port and without the dot that ends an absolute name. IPv6 addresses are
// compared by their value.
package hosts

import (
	"errors"
	"net/netip"
	"strings"

	"holdfast/internal/http1"
)

// maxName is the longest name that DNS has, without a dot at its end.
const maxName = 253

// Table maps patterns to numbers. The zero Table has none.
type Table struct {
	exact, below map[string]int
}

// ErrPattern is what all errors of Parse are.
var ErrPattern = errors.New("not a host")

type problem string

func (p problem) Error() string        { return string(p) }
func (p problem) Is(target error) bool { return target == ErrPattern }

// Parse returns a pattern in the form that Add takes: a name, an address, or "*." before a domain for all names below it,
// however deep. The domain itself is not one of them.
func Parse(pattern string) (string, error) {
	name, wild := strings.CutPrefix(pattern, "*.")
	switch {
	case name == "":
		return "", problem("is empty")
	case strings.Contains(name, "*"):
		return "", problem("has a * that is not the whole first label, as in *.example.com")
	case strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f }):
		return "", problem("has other characters than ASCII; write the name as browsers send it, which begins with xn--")
	case strings.Contains(name, "://"):
		return "", problem("has a scheme; want the name alone")
	}
	if a, err := netip.ParseAddr(name); err == nil && a.Is6() { // without brackets
		name = "[" + name + "]"
	}
	if !http1.ValidHost([]byte(name)) || strings.Contains(name, "%") {
		return "", problem("is not a host name or an address")
	}
	if bare, port := http1.SplitHost([]byte(name)); len(bare) < len(name) {
		return "", problem("has the port " + string(port) + "; sites are told apart by their names alone")
	}
	canonical, ok := Canonical(nil, []byte(name))
	if text := string(canonical); !ok || strings.HasPrefix(text, ".") || strings.HasSuffix(text, ".") || strings.Contains(text, "..") {
		return "", problem("is not a host name or an address")
	}
	if _, err := netip.ParseAddr(string(canonical)); err == nil && wild {
		return "", problem("has a * before an address")
	}
	if wild {
		return "*." + string(canonical), nil
	}
	return string(canonical), nil
}

// Canonical appends the name of a Host in the form in which names are compared. It reports false for one that no pattern is
// for.
func Canonical(dst, host []byte) ([]byte, bool) {
	name, _ := http1.SplitHost(host)
	if len(name) > 0 && name[0] == '[' {
		a, err := netip.ParseAddr(string(name[1 : len(name)-1]))
		if err != nil || a.Zone() != "" {
			return dst, false
		}
		return a.AppendTo(dst), true
	}
	if n := len(name); n > 1 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if len(name) == 0 || len(name) > maxName {
		return dst, false
	}
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst, true
}

// Add has the parsed pattern stand for n. It reports false, and changes nothing, if the pattern is there already.
func (t *Table) Add(pattern string, n int) bool {
	if t.exact == nil {
		t.exact, t.below = map[string]int{}, map[string]int{}
	}
	m, name := t.exact, pattern
	if domain, wild := strings.CutPrefix(pattern, "*."); wild {
		m, name = t.below, domain
	}
	if _, ok := m[name]; ok {
		return false
	}
	m[name] = n
	return true
}

// Find returns what a Host stands for, as it was sent and valid: its own name, or else the longest domain that it is below. It
// does not allocate, but for IPv6 addresses.
func (t *Table) Find(host []byte) (n int, ok bool) {
	var buf [maxName + 1]byte
	name, ok := Canonical(buf[:0], host)
	if !ok {
		return 0, false
	}
	if n, ok = t.exact[string(name)]; ok || len(t.below) == 0 || name[0] == '.' {
		return n, ok
	}
	for i, c := range name {
		if c != '.' {
			continue
		}
		if n, ok = t.below[string(name[i+1:])]; ok {
			return n, true
		}
	}
	return 0, false
}
