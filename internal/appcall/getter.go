package appcall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/http1"
)

// Why a Getter has no response.
var (
	ErrUnreachable   = errors.New("the app could not be reached")
	ErrTimeout       = errors.New("the app did not answer in time")
	ErrCut           = errors.New("the app's answer was cut off or not understood")
	ErrTooLarge      = errors.New("the app's answer is too large")
	ErrGetterStopped = errors.New("shutting down")
)

// GetterOptions are the properties of a Getter. All but Header are required.
type GetterOptions struct {
	Target   Target // its Path does not count
	Header   map[string]string
	Timeout  time.Duration // for a whole request
	MaxConns int           // requests at a time, others wait
	MaxBody  int           // bytes
}

// Getter gets paths of the app as Holdfast itself, not as a client. Any number of goroutines may use it.
type Getter struct {
	options GetterOptions
	client  *fasthttp.HostClient
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc

	mu   sync.Mutex // guards what follows
	open map[net.Conn]bool
}

// Validators say which response is already known, as the app named it. Empty ones are not sent.
type Validators struct{ ETag, LastModified string }

// Page is a response.
type Page struct {
	Status       int
	Body         []byte
	MediaType    string // lower case, without parameters; text/plain if the app names none
	Encoded      bool   // it has a Content-Encoding, which was not requested
	SetsCookie   bool
	Validators   Validators
	RetryAfter   time.Duration // zero: none is given
	EndedByClose bool          // nothing but the end of the connection says that it is complete
}

// NewGetter returns a getter. It starts nothing; connections are made when there is a request.
func NewGetter(o GetterOptions) *Getter {
	g := &Getter{options: o, open: make(map[net.Conn]bool)}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.client = newClient(o.MaxConns, o.MaxBody, o.Timeout, g.dial)
	return g
}

// Close ends all requests and closes all connections. Get fails from then on.
func (g *Getter) Close() {
	g.cancel()
	g.mu.Lock()
	for c := range g.open {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.client.CloseIdleConnections()
}

// getterConn is a connection that Getter.Close closes.
type getterConn struct {
	net.Conn
	of *Getter
}

func (c *getterConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c.Conn)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

func (g *Getter) dial(timeout time.Duration) (net.Conn, error) {
	c, err := g.options.Target.dial(g.ctx, timeout)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.open[c] = true
	g.mu.Unlock()
	conn := &getterConn{c, g}
	if err := g.ctx.Err(); err != nil { // the end came before there was something to close
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// Get requests a path, which may have a query, and follows no redirect. Whatever the app responds is a Page. An error, one
// of the above, means that there is none.
func (g *Getter) Get(path string, known Validators) (Page, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://app" + path)
	g.write(&req.Header, known)
	if err := g.client.DoTimeout(req, resp, g.options.Timeout); err != nil {
		return Page{}, fmt.Errorf("%w: %w", g.why(err), err)
	}
	h := &resp.Header
	mediaType, _, _ := strings.Cut(string(h.ContentType()), ";")
	p := Page{
		Status: resp.StatusCode(), Body: bytes.Clone(resp.Body()),
		MediaType: strings.ToLower(strings.TrimSpace(mediaType)), Encoded: len(h.ContentEncoding()) > 0,
		SetsCookie: len(h.Peek(fasthttp.HeaderSetCookie)) > 0,
		Validators: Validators{ETag: entityTag(h), LastModified: lastModified(h)}, EndedByClose: endedByClose(resp),
	}
	if seconds, err := strconv.Atoi(string(h.Peek(fasthttp.HeaderRetryAfter))); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(min(seconds, int(time.Hour/time.Second))) * time.Second
	}
	return p, nil
}

// write sets the fields of a request. Those of the options replace Holdfast's own.
func (g *Getter) write(h *fasthttp.RequestHeader, known Validators) {
	h.DisableSpecialHeader()
	h.SetCanonical([]byte(fasthttp.HeaderHost), []byte(g.options.Target.host()))
	h.SetCanonical([]byte(fasthttp.HeaderUserAgent), []byte("Holdfast"))
	h.SetCanonical([]byte(fasthttp.HeaderAccept), []byte("*/*"))
	for name, value := range g.options.Header {
		h.Set(name, value)
		if strings.EqualFold(name, fasthttp.HeaderAuthorization) && http1.LogsInConnection([]byte(value)) {
			h.SetConnectionClose()
		}
	}
	switch {
	case known.ETag != "":
		h.SetCanonical([]byte(fasthttp.HeaderIfNoneMatch), []byte(known.ETag))
	case known.LastModified != "":
		h.SetCanonical([]byte(fasthttp.HeaderIfModifiedSince), []byte(known.LastModified))
	}
}

// why returns which of the errors above err is.
func (g *Getter) why(err error) error {
	var dial *net.OpError
	switch {
	case g.ctx.Err() != nil:
		return ErrGetterStopped
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return ErrTooLarge
	case errors.As(err, &dial) && dial.Op == "dial":
		return ErrUnreachable
	case errors.Is(err, fasthttp.ErrTimeout), errors.Is(err, fasthttp.ErrNoFreeConns), os.IsTimeout(err):
		return ErrTimeout
	}
	return ErrCut
}

// maxValidator is the longest text that is taken for a validator, in bytes.
const maxValidator = 256

// entityTag returns the response's entity tag, empty if there is none that is fit to be sent back.
func entityTag(h *fasthttp.ResponseHeader) string {
	tag := string(h.Peek(fasthttp.HeaderETag))
	bare := strings.TrimPrefix(tag, "W/")
	if len(tag) > maxValidator || len(bare) < 2 || bare[0] != '"' || bare[len(bare)-1] != '"' ||
		strings.ContainsFunc(bare, func(c rune) bool { return c < '!' || c == 0x7f }) || strings.Count(bare, `"`) != 2 {
		return ""
	}
	return tag
}

// lastModified returns the time of the response's last change, empty if there is none or if it might change again within
// the same second (RFC 9110 §8.8.2.2): then nobody could tell the two apart.
func lastModified(h *fasthttp.ResponseHeader) string {
	modified := h.Peek(fasthttp.HeaderLastModified)
	at, err := fasthttp.ParseHTTPDate(modified)
	if err != nil {
		return ""
	}
	now, err := fasthttp.ParseHTTPDate(h.Peek(fasthttp.HeaderDate))
	if err != nil || now.Sub(at) < time.Second {
		return ""
	}
	return string(modified)
}
