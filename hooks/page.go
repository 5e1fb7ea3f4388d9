package hooks

import (
	"errors"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"holdfast/internal/metric"
	"holdfast/internal/page"
)

const pageChannels = "/page" + channelsPath

// errNoPage is why a path of the page is not served.
var errNoPage = errors.New("the page is off: see hooks.page")

// newPage returns the page for people.
func newPage(s *Server) *page.Page {
	return page.New(page.Options{
		Version: s.options.Version, Metrics: func(w *metric.Writer) { writeCounts(s, w) }, Timings: s.options.Timings, Ready: s.options.Ready, Lines: s.options.Lines,
		Log: s.log, Moved: s.gate.Moved, Publish: func() bool { return s.access.Load().mayPublish() },
	})
}

// mayPublish reports whether the page may publish. Its requests have the token, if there is one.
func (a *access) mayPublish() bool { return a.page == page.Publish || a.page == page.Read && a.secret }

// checkPage checks what a browser sends for the page. Host is checked on unix sockets, too: whoever makes one reachable for
// browsers may pass any name on.
func checkPage(h *fasthttp.RequestHeader, kind page.Kind, a *access) error {
	if kind != page.Shell {
		if err := checkHost(h, a); err != nil {
			return err
		}
	}
	if err := page.Check(h, kind, a.secret); err != nil {
		return err
	}
	if kind == page.Change && !a.mayPublish() {
		return page.ErrPublish
	}
	return nil
}

// visit responds to GET /: with the page, or with text for who does not ask for HTML.
func visit(s *Server, c *call) error {
	if _, err := parseQuery(c.query); err != nil {
		return err
	}
	if page.KindOf(c.access.page, &c.ctx.Request.Header, []byte(c.path)) == page.Shell {
		s.page.ServeFile(c.ctx, c.path)
		return nil
	}
	c.ctx.SetContentType("text/plain; charset=utf-8")
	c.ctx.Response.Header.Set(fasthttp.HeaderVary, fasthttp.HeaderAccept)
	s.page.WriteText(c.ctx)
	return nil
}

// pageRoute is route for the paths of the page.
func pageRoute(s *Server, path []byte, a *access) (methods string, do func(*Server, *call) error) {
	switch name := string(path); {
	case a.page == page.Off:
		return getMethods, func(*Server, *call) error { return fmt.Errorf("%w: %w", errPath, errNoPage) }
	case page.IsFile(name):
		return getMethods, func(s *Server, c *call) error {
			s.page.ServeFile(c.ctx, c.path)
			return nil
		}
	case name == page.Prefix+"live":
		return fasthttp.MethodGet, func(s *Server, c *call) error {
			return s.page.Live(c.ctx, func() bool { return s.access.Load().admits(a) })
		}
	case name == page.Prefix+"publish":
		return fasthttp.MethodPost, (*Server).publish
	case name == pageChannels || strings.HasPrefix(name, pageChannels+"/"):
		_, do := s.route(path[len("/page"):], a)
		if do == nil {
			return "", nil
		}
		return getMethods, func(s *Server, c *call) error {
			c.path = strings.TrimPrefix(c.path, "/page")
			return do(s, c)
		}
	}
	return "", nil
}
