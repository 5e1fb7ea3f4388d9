package appcall

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// SignatureField is the header with the signature, which proves that a request is Holdfast's: t=<seconds since
// 1970>,v1=<HMAC-SHA256 of "<t>.<body>" in hex>.
const SignatureField = "Holdfast-Signature"

// PosterOptions are the properties of a Poster, all required.
type PosterOptions struct {
	Target  Target
	Key     string // of the signature
	Timeout time.Duration
}

// Poster posts to one path of the app, on one connection, signed. One goroutine may use it.
type Poster struct {
	options PosterOptions
	client  *fasthttp.HostClient

	ctx context.Context // of the POST in progress

	mu   sync.Mutex // guards what follows
	stop func()     // closes the connection in use
}

// NewPoster returns a poster. It starts nothing.
func NewPoster(o PosterOptions) *Poster {
	p := &Poster{options: o}
	p.client = newClient(1, maxBody, o.Timeout, p.dial)
	return p
}

// dial connects for the POST in progress, whose end closes the connection.
func (p *Poster) dial(timeout time.Duration) (net.Conn, error) {
	c, err := p.options.Target.dial(p.ctx, timeout)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.stop = func() { _ = c.Close() }
	p.mu.Unlock()
	if err := p.ctx.Err(); err != nil { // the end came before there was something to close
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connection if it waits for the next POST.
func (p *Poster) Close() { p.client.CloseIdleConnections() }

// Post posts JSON. Nil means a 2xx.
func (p *Poster) Post(ctx context.Context, body []byte) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(p.options.Target.url())
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetHost(p.options.Target.host())
	req.UseHostHeader = true
	req.Header.SetContentType("application/json")
	req.Header.Set(fasthttp.HeaderUserAgent, "Holdfast")
	req.Header.Set(SignatureField, Sign(p.options.Key, time.Now(), body))
	req.SetBodyRaw(body)

	p.ctx = ctx
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.stop != nil {
			p.stop()
		}
	})()
	err := p.client.DoTimeout(req, resp, p.options.Timeout)
	if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		err = nil // the body is not needed, only the status
	}
	if status := resp.StatusCode(); err == nil && (status < 200 || status >= 300) {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return fmt.Errorf("POST %s: %w", p.options.Target.Path, err)
	}
	return nil
}

// Sign returns the value of SignatureField for a body that is sent now.
func Sign(key string, now time.Time, body []byte) string {
	return signStream(key, now, bytes.NewReader(body))
}

// signStream is Sign of a body that is read.
func signStream(key string, now time.Time, body io.Reader) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(t))
	mac.Write([]byte{'.'})
	io.Copy(mac, body) // from memory
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
