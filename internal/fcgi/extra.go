package fcgi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/http1"
)

// Param is a parameter that the configuration adds, or that takes the place of a computed one.
type Param struct {
	Name, Value string
	Remove      bool // a computed one is left out
}

// ErrParam is what all errors of CheckParam are.
var ErrParam = errors.New("bad FastCGI parameter")

type paramProblem string

func (p paramProblem) Error() string        { return string(p) }
func (p paramProblem) Is(target error) bool { return target == ErrParam }

// computed are parameters that say which request it is, which script runs, and who sends it. What Holdfast has checked would not be what
// runs, if they could be replaced.
var computed = []string{
	"AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "DOCUMENT_URI", "GATEWAY_INTERFACE", "PATH_INFO", "PATH_TRANSLATED",
	"QUERY_STRING", "REDIRECT_STATUS", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_USER", "REQUEST_METHOD", "REQUEST_URI",
	"SCRIPT_FILENAME", "SCRIPT_NAME", "SERVER_PROTOCOL",
}

// several are parameters that have several lines.
var several = []string{"PHP_VALUE", "PHP_ADMIN_VALUE"}

// CheckParam returns what is wrong with a parameter.
func CheckParam(p *Param) error {
	name := strings.ToUpper(p.Name)
	for i := range len(p.Name) {
		if c := p.Name[i]; !http1.IsDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '_' {
			return paramProblem("is no name of a parameter: want letters, digits and underscores, such as APP_ENV")
		}
	}
	switch {
	case name == "" || http1.IsDigit(name[0]):
		return paramProblem("is no name of a parameter: want one such as APP_ENV")
	case slices.Contains(computed, name):
		return paramProblem("is a parameter that Holdfast computes of the request" + hints[name])
	case strings.HasSuffix(name, "_PROXY"):
		return paramProblem("is a name by which programs choose the proxy for their own requests (httpoxy)")
	case p.Remove:
		return nil
	}
	for i := range len(p.Value) {
		if c := p.Value[i]; (c < ' ' || c == 0x7f) && c != '\t' && (c != '\n' || !slices.Contains(several, p.Name)) {
			return paramProblem("has a control character in its value")
		}
	}
	if len(p.Value) > maxParam {
		return paramProblem(fmt.Sprintf("has a value of more than %d bytes", maxParam))
	}
	return nil
}

// maxParam is more than any app expects.
const maxParam = 16 << 10

var hints = map[string]string{
	"SCRIPT_FILENAME": "; see root and script_root", "PATH_INFO": "; see try_files", "REMOTE_USER": "; see basic_auth", "REMOTE_ADDR": "; see trusted_proxies",
}

// extra writes the parameters of the configuration.
func (r *Request) extra(p *Params) {
	for i := range r.Extra {
		if x := &r.Extra[i]; !x.Remove {
			addPair(p, x.Name, x.Value)
		}
	}
}

// replaces reports whether the configuration has a parameter of this name.
func (r *Request) replaces(name string) bool {
	for i := range r.Extra {
		if r.Extra[i].Name == name {
			return true
		}
	}
	return false
}

// replacesField reports whether the configuration has the parameter that a field becomes.
func (r *Request) replacesField(name []byte) bool {
	for i := range r.Extra {
		if rest, ok := strings.CutPrefix(r.Extra[i].Name, "HTTP_"); ok && http1.EqualFold(name, strings.ReplaceAll(rest, "_", "-")) {
			return true
		}
	}
	return false
}
