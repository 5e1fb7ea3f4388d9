package value

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"holdfast/internal/expand"
)

// RedirectProblem checks a URL or a path that clients are redirected to. Variables stand in its path or query only: otherwise
// what a client sends could choose the host.
func RedirectProblem(s string, groups []string, whole bool) string {
	text, err := expand.Parse(s, groups)
	if err != nil {
		return err.Error()
	}
	_, isPlain := text.Plain()
	start := text.Start()
	switch {
	case TargetProblem("/x"+s) != "":
		return "has a space, a control character, a fragment or a byte outside ASCII"
	case isPlain && !whole && strings.Contains(s, "?"):
		return "has a query, and the path after match follows it"
	case strings.HasPrefix(start, "//") || strings.HasPrefix(start, `/\`):
		return "names a host without a scheme"
	case strings.HasPrefix(start, "/"), start == "" && !isPlain: // Location begins with a slash then
		return ""
	}
	u, err := url.Parse(start)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Host == "" && isPlain:
		return "is not a plain http or https URL"
	case !isPlain && !strings.HasPrefix(u.Path, "/"):
		return "has a variable in its host; want it behind the slash that follows the host"
	}
	return ""
}

// RedirectStatusProblem checks the status of a redirect; 0 is that of the default.
func RedirectStatusProblem(status int) string {
	if status == 0 || slices.Contains([]int{301, 302, 303, 307, 308}, status) {
		return ""
	}
	return strconv.Itoa(status) + " is no status of a redirect; want 0 (301, or 308 unless it is a GET), 301, 302, 303, 307 or 308"
}
