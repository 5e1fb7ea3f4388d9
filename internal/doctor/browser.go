package doctor

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
)

// requestTimeout limits a request that should be answered at once, and the beginning of a connection that is held.
const requestTimeout = 15 * time.Second

const userAgent = "holdfast-doctor"

// browser sends requests to the front address as a browser would.
type browser struct {
	origin *url.URL // scheme and host of the app
	tls    *tls.Config
	client http.Client
	dialer websocket.Dialer

	mu    sync.Mutex // guards local
	local string     // address and port of this end of the last new connection
}

func newBrowser(origin *url.URL, insecure bool) *browser {
	b := &browser{origin: origin, tls: &tls.Config{InsecureSkipVerify: insecure}}
	b.client = http.Client{
		Transport:     &http.Transport{TLSClientConfig: b.tls, ForceAttemptHTTP2: true, DisableCompression: true},
		CheckRedirect: noRedirect,
	}
	b.dialer = websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: insecure}, HandshakeTimeout: requestTimeout}
	return b
}

func (b *browser) close() { b.client.CloseIdleConnections() }

// url returns the URL of a path with a query.
func (b *browser) url(path string, query url.Values) string {
	u := url.URL{Scheme: b.origin.Scheme, Host: b.origin.Host, Path: path, RawQuery: query.Encode()}
	return u.String()
}

// request makes a GET that a page of the same origin sends.
func (b *browser) request(ctx context.Context, target, accept, cookie string) (*http.Request, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.local = i.Conn.LocalAddr().String()
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "gzip") // browsers know more, which can't be read here; who compresses knows this
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	b.logIn(req.Header)
	return req, nil
}

// logIn adds the login of the URL, if it has one.
func (b *browser) logIn(h http.Header) {
	if u := b.origin.User; u != nil {
		password, _ := u.Password()
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
}

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) get(ctx context.Context, target, cookie string, more http.Header) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := b.request(ctx, target, "*/*", cookie)
	if err != nil {
		return nil, err
	}
	for name, values := range more {
		req.Header[name] = values
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, cause(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(unzipped(resp), 64<<10))
	if err != nil {
		return nil, err
	}
	return &answer{resp.StatusCode, resp.Header, string(body)}, nil
}

// localAddr returns this end of the last connection that was used.
func (b *browser) localAddr() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.local
}

// unzipped reads the body of a response. Other codings than gzip are left as they are.
func unzipped(resp *http.Response) io.Reader {
	if !strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		return resp.Body
	}
	return &lazyGzip{body: resp.Body}
}

// lazyGzip reads the head of the gzip stream only when something is read.
type lazyGzip struct {
	body io.Reader
	z    *gzip.Reader
}

func (l *lazyGzip) Read(p []byte) (n int, err error) {
	if l.z == nil {
		if l.z, err = gzip.NewReader(l.body); err != nil {
			return 0, err
		}
	}
	return l.z.Read(p)
}

// maxGot is about how much of a connection's data is kept: whatever answers may send without end.
const maxGot = 256 << 10

// conn is a connection that is held, or tries to be.
type conn struct {
	name   string
	made   time.Time
	cancel context.CancelFunc
	donec  chan struct{} // closed at its end

	mu     sync.Mutex // guards what follows
	status int        // 0: no response yet
	header http.Header
	got    []byte
	began  time.Time // when the response began
	last   time.Time // when bytes came last
	ended  time.Time
	err    error // why it has ended; io.EOF: in order
	change chan struct{}
}

func newConn(name string, cancel context.CancelFunc) *conn {
	return &conn{name: name, made: time.Now(), cancel: cancel, donec: make(chan struct{}), change: make(chan struct{})}
}

// update changes c under its lock, and wakes those who wait.
func (c *conn) update(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.change)
	c.change = make(chan struct{})
}

func (c *conn) begin(status int, h http.Header) {
	c.update(func() { c.status, c.header, c.began, c.last = status, h, time.Now(), time.Now() })
}

func (c *conn) receive(p []byte) {
	c.update(func() {
		if c.last = time.Now(); len(c.got) < maxGot {
			c.got = append(c.got, p...)
		}
	})
}

func (c *conn) end(err error) {
	c.update(func() { c.err, c.ended = err, time.Now() })
	c.cancel()
	close(c.donec)
}

// look returns the state of c, for reading only.
func (c *conn) look() (status int, h http.Header, got []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status, c.header, bytes.Clone(c.got), c.err
}

// lastAt returns when bytes came last.
func (c *conn) lastAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// wait waits until is is true, which is called with the lock, or c has ended, or the time is over. It returns the last
// value of is.
func (c *conn) wait(ctx context.Context, d time.Duration, is func() bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		c.mu.Lock()
		yes, over, change := is(), c.err != nil, c.change
		c.mu.Unlock()
		if yes || over {
			return yes
		}
		select {
		case <-change:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// fetch begins a stream, or a long poll.
func (b *browser) fetch(ctx context.Context, name, target, accept string) *conn {
	ctx, cancel := context.WithCancel(ctx)
	c := newConn(name, cancel)
	go b.runFetch(ctx, c, target, accept)
	return c
}

func (b *browser) runFetch(ctx context.Context, c *conn, target, accept string) {
	req, err := b.request(ctx, target, accept, "")
	if err != nil {
		c.end(err)
		return
	}
	resp, err := b.client.Do(req)
	if err != nil {
		c.end(cause(err))
		return
	}
	defer resp.Body.Close()
	c.begin(resp.StatusCode, resp.Header)
	body := unzipped(resp)
	for p := make([]byte, 4096); ; {
		n, err := body.Read(p)
		if n > 0 {
			c.receive(p[:n])
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// webSocket begins a WebSocket.
func (b *browser) webSocket(ctx context.Context, name, target string) *conn {
	ctx, cancel := context.WithCancel(ctx)
	c := newConn(name, cancel)
	go b.runWebSocket(ctx, c, target)
	return c
}

func (b *browser) runWebSocket(ctx context.Context, c *conn, target string) {
	header := http.Header{"Origin": {b.origin.Scheme + "://" + b.origin.Host}, "User-Agent": {userAgent}}
	b.logIn(header)
	ws, resp, err := b.dialer.DialContext(ctx, "ws"+strings.TrimPrefix(target, "http"), header)
	if resp != nil {
		c.begin(resp.StatusCode, resp.Header)
	}
	if err != nil {
		if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // a part of it says enough
			c.receive(body)
		}
		c.end(err)
		return
	}
	defer ws.Close()
	ws.SetReadLimit(maxGot)
	go func() { // ReadMessage knows no context
		<-ctx.Done()
		ws.Close()
	}()
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				err = errors.New("timeout")
			}
			c.end(err)
			return
		}
		c.receive(append(data, '\n'))
	}
}
