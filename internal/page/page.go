package page

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/metric"
)

// The page's files. They are served as they are.
var (
	//go:embed page.html
	pageHTML []byte
	//go:embed page.css
	pageCSS []byte
	//go:embed page.js
	pageJS []byte

	files = map[string]struct {
		body        []byte
		contentType string
	}{
		"/":                 {pageHTML, "text/html; charset=utf-8"},
		Prefix + "page.css": {pageCSS, "text/css; charset=utf-8"},
		Prefix + "page.js":  {pageJS, "text/javascript; charset=utf-8"},
	}
)

// policy lets the page load its own two files and request its own origin. Nothing in it is inline, its script can't write
// HTML (Trusted Types), and nobody may frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

var (
	errChanged = errors.New("who may see the page has just changed: open it again")
	ErrClosed  = errors.New("the page is not served any more: another process has taken over, or this one shuts down")
	ErrFull    = fmt.Errorf("too many pages are open: %d are shown at once", maxViewers)
)

// Options of a Page.
type Options struct {
	Version string
	Every   time.Duration // between two states; zero means one second

	Metrics func(w *metric.Writer) // writes all metrics but those of the process; nil: there are none
	Timings func() Timings         // nil: none are known
	Ready   func() error           // as of hooks.Options
	Publish func() bool            // reports whether the page may publish, with a token or without
	Moved   func() bool            // reports whether another process has taken over; nil: none can
	Lines   *Recorder              // nil: no line is kept
	Log     *slog.Logger
}

// Timings are how long things took since the start.
type Timings struct {
	Requests  metric.Histogram            // from a request's head to the end of its response
	Delivery  metric.Histogram            // from a publish to the subscriber's socket
	Upstreams map[string]metric.Histogram // from a request to the head of the app's response, by the upstream's name
}

// Page serves the page. Its methods may be called from any goroutine.
type Page struct {
	o       Options
	started time.Time
	endc    chan struct{} // closed by Close
	group   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	viewers map[*viewer]net.Conn
	frame   []byte // the newest state, as JSON; nil: none yet
	running bool   // collect runs
	closed  bool
}

// New returns a page. It starts nothing.
func New(o Options) *Page {
	if o.Every == 0 {
		o.Every = time.Second
	}
	return &Page{o: o, started: time.Now(), endc: make(chan struct{}), viewers: map[*viewer]net.Conn{}}
}

// IsFile reports whether a path is that of a file.
func IsFile(path string) bool { return files[path].body != nil }

// ServeFile responds with the file of a path of kind Shell.
func (p *Page) ServeFile(ctx *fasthttp.RequestCtx, path string) {
	f := files[path]
	h := &ctx.Response.Header
	h.SetContentType(f.contentType)
	h.Set(fasthttp.HeaderContentSecurityPolicy, policy)
	h.Set(fasthttp.HeaderReferrerPolicy, "no-referrer")
	h.Set(fasthttp.HeaderXFrameOptions, "DENY")
	h.Set(fasthttp.HeaderCrossOriginResourcePolicy, "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set(fasthttp.HeaderVary, fasthttp.HeaderAccept)
	ctx.SetBody(f.body)
}

// WriteText writes the most important counts, for who asks with curl.
func (p *Page) WriteText(w io.Writer) {
	s := p.sample(nil)
	state := "Clients are served."
	if p.o.Ready != nil {
		if err := p.o.Ready(); err != nil {
			state = "Clients are not served: " + err.Error() + "."
		}
	}
	fmt.Fprintf(w, "Holdfast %s\n%s\n\n", p.o.Version, state)
	row := func(name, value string) { fmt.Fprintf(w, "%-38s%14s\n", name, value) }
	row("running for", uptime(time.Since(p.started)))
	for _, c := range []struct{ name, metric string }{
		{"client connections", "holdfast_connections"},
		{"held connections", "holdfast_connections_held"},
		{"channels with subscribers or history", "holdfast_channels"},
		{"messages published", "holdfast_messages_published_total"},
		{"messages delivered", "holdfast_messages_delivered_total"},
		{"messages in history", "holdfast_history_messages"},
		{"requests to the app", "holdfast_proxy_requests_total"},
		{"requests in progress", "holdfast_proxy_requests_in_flight"},
	} {
		row(c.name, grouped(int64(s.total(c.metric))))
	}
	io.WriteString(w, "\nMore: /channels /connections /metrics /healthz /readyz, and this address in a browser.\n")
}

// uptime returns a duration in its two largest units.
func uptime(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
}

// grouped returns a number in groups of three digits.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// sample collects the metrics; those of the process are in text.
func (p *Page) sample(process []byte) *sample {
	var b bytes.Buffer
	if p.o.Metrics != nil {
		p.o.Metrics(metric.NewWriter(&b, metric.Text))
	}
	b.Write(process)
	s := parse(time.Now(), b.Bytes())
	if p.o.Timings != nil {
		s.times = p.o.Timings()
	}
	return s
}
