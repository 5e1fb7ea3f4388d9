package value

import "strings"

// PathProblem is strict about push.path because the router compares it byte by byte: no request would match a spelling
// that browsers or proxies rewrite.
func PathProblem(p string) string {
	switch {
	case !strings.HasPrefix(p, "/"):
		return "does not begin with /"
	case p == "/":
		return "would take every request from the app"
	case strings.ContainsAny(p, "?#"):
		return "has a query or a fragment"
	case strings.HasSuffix(p, "/"):
		return "ends with /"
	case strings.Trim(p, LettersDigits+"-._~/") != "":
		return "has other characters than letters, digits and -._~/"
	}
	for segment := range strings.SplitSeq(p[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "has an empty or a dot segment"
		}
	}
	return ""
}

// TargetProblem allows a query, as many apps have one script for everything.
func TargetProblem(p string) string {
	switch {
	case p == "":
		return ""
	case !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//"):
		return "does not begin with one /"
	case strings.Contains(p, "#"):
		return "has a fragment"
	}
	for i := range len(p) {
		if p[i] <= ' ' || p[i] >= 0x7f {
			return "has a space, a control character or one outside ASCII"
		}
	}
	return ""
}
