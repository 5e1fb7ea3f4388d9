package site

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"
)

var errPath = errors.New("site: path that has no single meaning")

// split decodes a request path, once, and takes it apart. Empty and "." elements vanish, ".." takes one
// back. slash says that the path names a folder: it ends in a slash, or in a dot element.
//
// Refused is what two readers would read differently: an encoded slash, any backslash, control bytes,
// bytes that are not UTF-8 (an overlong slash is one to some), and a path that leaves the root.
func split(path string) (elements []string, slash bool, err error) {
	if path == "" || path[0] != '/' {
		return nil, false, errPath
	}
	if strings.IndexByte(path, '%') >= 0 {
		if path, err = decode(path); err != nil {
			return nil, false, err
		}
	}
	if !utf8.ValidString(path) {
		return nil, false, errPath
	}
	for i := range len(path) {
		if c := path[i]; c < ' ' || c == 0x7f || c == '\\' {
			return nil, false, errPath
		}
	}
	for e := range strings.SplitSeq(path[1:], "/") {
		switch slash = false; e {
		case "", ".":
			slash = true
		case "..":
			if len(elements) == 0 {
				return nil, false, errPath
			}
			elements, slash = elements[:len(elements)-1], true
		default:
			elements = append(elements, e)
		}
	}
	return elements, slash, nil
}

func decode(path string) (string, error) {
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) {
				return "", errPath
			}
			high, low := hexValue(path[i+1]), hexValue(path[i+2])
			if high < 0 || low < 0 {
				return "", errPath
			}
			if c = byte(high<<4 | low); c == '/' {
				return "", errPath
			}
			i += 2
		}
		b = append(b, c)
	}
	return string(b), nil
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// encode is the path of a redirect: whatever is not plain is percent-encoded, and as the elements are
// not empty, it cannot begin with two slashes, which would name another host.
func encode(elements []string) string {
	const plain = "-._~!$&'()*+,;=:@"
	var b strings.Builder
	for _, e := range elements {
		b.WriteByte('/')
		for i := range len(e) {
			c := e[i]
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(plain, c) >= 0 {
				b.WriteByte(c)
				continue
			}
			const digits = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// mayOpen says whether elements may name something that is opened at all.
func mayOpen(elements []string) bool {
	for i, e := range elements {
		switch {
		case e[0] == '.' && (i > 0 || e != ".well-known"):
			return false
		case strings.HasSuffix(e, ".") || strings.HasSuffix(e, " "):
			return false // the same file as without, to some systems and to nobody's rules
		case !filepath.IsLocal(e) || runtime.GOOS == "windows" && strings.ContainsAny(e, ":~"):
			return false // devices, streams and short names
		}
	}
	return true
}

// sources are the endings of programs. The rules of case are the strictest: on some systems .PHP is .php.
var sources = []string{"php", "php3", "php4", "php5", "php6", "php7", "php8", "phps", "pht", "phtm", "phtml", "phar"}

// isSource says whether a file's name has the ending of a program anywhere: editors and people keep
// copies as x.php.bak, x.php~ and x.php.2. Parts of programs are often called .inc.
func isSource(name string) bool {
	_, rest, _ := strings.Cut(strings.ToLower(name), ".")
	if rest == "inc" || strings.HasSuffix(rest, ".inc") {
		return true
	}
	for part := range strings.SplitSeq(rest, ".") {
		part = strings.TrimRight(part, "~ ")
		for _, s := range sources {
			if part == s || strings.HasPrefix(part, s+"_") || strings.HasPrefix(part, s+"-") {
				return true
			}
		}
	}
	return false
}

// isScript says whether a file of this name may be run.
func isScript(name string) bool { return len(name) > len(".php") && strings.HasSuffix(name, ".php") }

// below says whether elements are at or under a prefix, in any case of letters.
func below(elements []string, prefix []string) bool {
	if len(elements) < len(prefix) {
		return false
	}
	for i, p := range prefix {
		if !strings.EqualFold(elements[i], p) {
			return false
		}
	}
	return true
}
