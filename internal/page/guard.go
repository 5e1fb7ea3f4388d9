package page

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// Prefix begins the paths of everything of the page but the page itself, which is at /.
const Prefix = "/page/"

// Mode is what the page may do: hooks.page.
type Mode string

const (
	Read    Mode = "read"    // show; with a token also publish
	Publish Mode = "publish" // also publish without a token
	Off     Mode = "off"     // there is no page
)

// Kind is what a request is for the page.
type Kind uint8

const (
	Other  Kind = iota // not the page's
	Shell              // for the page and its files, which are the same for everybody
	Data               // for what it shows
	Change             // to publish
)

// Reasons to refuse a request of a browser.
var (
	ErrForeign = errors.New("not a request of the page at /")
	ErrPublish = errors.New("publishing from the page is off: set hooks.token, or hooks.page: publish")
)

// KindOf returns what a request is for the page.
func KindOf(mode Mode, h *fasthttp.RequestHeader, path []byte) Kind {
	switch {
	case mode == Off:
		return Other
	case string(path) == "/":
		if acceptsHTML(h) {
			return Shell
		}
		return Other // of a program, which gets text
	case string(path) == Prefix+"publish":
		return Change
	case files[string(path)].body != nil:
		return Shell
	case bytes.HasPrefix(path, []byte(Prefix)):
		return Data
	}
	return Other
}

// acceptsHTML reports whether a request asks for HTML by name, as browsers do.
func acceptsHTML(h *fasthttp.RequestHeader) bool {
	for _, list := range h.PeekAll(fasthttp.HeaderAccept) {
		for name := range bytes.SplitSeq(list, []byte{','}) {
			name, _, _ = bytes.Cut(name, []byte{';'})
			if bytes.EqualFold(bytes.TrimSpace(name), []byte("text/html")) {
				return true
			}
		}
	}
	return false
}

// Check refuses what browsers send for other pages. It does not check Host, without which a page whose name points here
// (DNS rebinding) is of the same origin, nor the token. secret says that a request of this kind needs one.
func Check(h *fasthttp.RequestHeader, kind Kind, secret bool) error {
	site, mode, dest := only(h, "Sec-Fetch-Site"), only(h, "Sec-Fetch-Mode"), only(h, "Sec-Fetch-Dest")
	origin := only(h, fasthttp.HeaderOrigin)
	if kind == Shell {
		visit := (site == "none" || site == "same-origin") && mode == "navigate" && dest == "document"
		part := site == "same-origin" && mode == "no-cors" && (dest == "style" || dest == "script")
		if origin != "" || site != "" && !visit && !part {
			return fmt.Errorf("%w: type its address, as links of other pages and frames are refused", ErrForeign)
		}
		return nil
	}
	switch {
	case only(h, Header) != "1":
		return fmt.Errorf("%w: %s is missing; other programs use the paths without %s", ErrForeign, Header, strings.TrimSuffix(Prefix, "/"))
	case site == "" && !secret: // the browser sends it for loopback and https only
		return fmt.Errorf("%w: Sec-Fetch-Site is missing; open the page by http://localhost, or by https, or set hooks.token", ErrForeign)
	case site != "" && (site != "same-origin" || mode != "cors" && mode != "same-origin" || dest != "empty"):
		return fmt.Errorf("%w: it is of another page (Sec-Fetch-Site: %.40q, Sec-Fetch-Dest: %.40q)", ErrForeign, site, dest)
	case origin != "" && !sameOrigin(origin, string(h.Host())):
		return fmt.Errorf("%w: Origin %.100q differs from Host %.100q", ErrForeign, origin, h.Host())
	}
	return nil
}

// Header is a field that the page's script sends. A form can't, and a script of another origin must ask before, which is
// refused.
const Header = "Holdfast-Page"

// only returns the value of a field; of one that is sent more than once, or empty, a text that is no valid value.
func only(h *fasthttp.RequestHeader, name string) string {
	list := h.PeekAll(name)
	switch {
	case len(list) == 0:
		return ""
	case len(list) > 1 || len(list[0]) == 0:
		return "?"
	}
	return string(list[0])
}

// sameOrigin reports whether an origin is that of the Host. The scheme may be that of a terminator in front.
func sameOrigin(origin, host string) bool {
	return host != "" && slices.ContainsFunc([]string{"http://", "https://"}, func(scheme string) bool {
		return strings.EqualFold(origin, scheme+host)
	})
}
