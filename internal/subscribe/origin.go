package subscribe

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// originAllowed reports whether the page's origin may subscribe: a request without Origin (no browser, or a same-origin
// GET), an origin with the same scheme, host and port, or a listed origin, which the response then names. Scripts,
// images and frames of another origin send no Origin either, but browsers report them in Sec-Fetch-Site.
func (s *Server) originAllowed(ctx *fasthttp.RequestCtx, r *request.Request) bool {
	h := &ctx.Request.Header
	if len(h.PeekAll("Origin")) > 1 { // browsers send one; it is unknown which of several another proxy has checked
		return false
	}
	origin := strings.ToLower(string(h.Peek("Origin")))
	if origin == "" {
		for _, site := range h.PeekAll("Sec-Fetch-Site") {
			if s := string(site); s == "cross-site" || s == "same-site" {
				return false
			}
		}
		return true
	}
	origin = withoutDefaultPort(origin)
	if slices.Contains(s.o.Origins, origin) {
		ctx.Response.Header.Set("Access-Control-Allow-Origin", string(h.Peek("Origin")))
		ctx.Response.Header.Set("Access-Control-Allow-Credentials", "true")
		ctx.Response.Header.Set("Access-Control-Expose-Headers", "Retry-After")
		ctx.Response.Header.Set("Vary", "Origin")
		return true
	}
	host := strings.ToLower(string(r.Host))
	if origin == withoutDefaultPort(r.Scheme()+"://"+host) {
		return true
	}
	// A proxy may have removed the port from Host, and sent it in another header.
	name, _ := http1.SplitHost([]byte(host))
	return origin == withoutDefaultPort(fmt.Sprintf("%s://%s:%d", r.Scheme(), name, r.Port))
}

// logForeign logs a refusal by originAllowed. If the page's host is the requested one, the cause is most likely the
// configuration: then a line with a hint is logged once a minute, so that it stands out.
func (s *Server) logForeign(h *fasthttp.RequestHeader, r *request.Request) {
	origin := string(h.Peek("Origin"))
	if len(h.PeekAll("Origin")) > 1 {
		s.logRejected(r, slog.LevelInfo, "more than one Origin")
		return
	}
	_, authority, _ := strings.Cut(strings.ToLower(origin), "://")
	name, _ := http1.SplitHost([]byte(authority))
	host, _ := http1.SplitHost(r.Host)
	reason := ""
	switch {
	case len(name) == 0:
	case bytes.EqualFold(name, host):
		reason = "the page has the same host, but another scheme or port"
	case !r.Trusted && isForwardedHost(h, name):
		reason = "the page has the host that an untrusted proxy forwards"
	}
	if reason == "" {
		s.logRejected(r, slog.LevelInfo, "foreign origin; see push.origins", "origin", origin, "host", string(r.Host))
		return
	}
	if _, due := s.originHints.Due(time.Now()); !due {
		s.logRejected(r, slog.LevelInfo, reason, "origin", origin, "host", string(r.Host))
		return
	}
	hint := "trusted_proxies does not list the proxy that ends TLS, or external does not say how clients come"
	if r.Trusted {
		hint = "the proxy in front does not send X-Forwarded-Proto and the Host with its port; see external"
	}
	s.logRejected(r, slog.LevelWarn, reason, "origin", origin, "host", string(r.Host),
		"read_as", fmt.Sprintf("%s, port %d", r.Scheme(), r.Port), "peer", r.Peer.Addr(), "hint", hint)
}

// isForwardedHost reports whether X-Forwarded-Host or Forwarded has name, which counts only if a trusted proxy sends it.
func isForwardedHost(h *fasthttp.RequestHeader, name []byte) bool {
	for value := range bytes.SplitSeq(h.Peek("X-Forwarded-Host"), []byte(",")) {
		if host, _ := http1.SplitHost(bytes.TrimSpace(value)); bytes.EqualFold(host, name) {
			return true
		}
	}
	return bytes.Contains(bytes.ToLower(h.Peek("Forwarded")), append([]byte("host="), name...))
}

func withoutDefaultPort(origin string) string {
	if rest, ok := strings.CutSuffix(origin, ":80"); ok && strings.HasPrefix(origin, "http://") {
		return rest
	}
	if rest, ok := strings.CutSuffix(origin, ":443"); ok && strings.HasPrefix(origin, "https://") {
		return rest
	}
	return origin
}

// isPreflight reports whether a browser asks if a page of another origin may send its request (Fetch, CORS-preflight).
func isPreflight(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	return ctx.IsOptions() && len(h.Peek("Origin")) > 0 && len(h.Peek("Access-Control-Request-Method")) > 0
}

// allowPreflight allows the headers that the push path reads. originAllowed has named the origin.
func allowPreflight(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set("Access-Control-Allow-Methods", "GET")
	h.Set("Access-Control-Allow-Headers", "Authorization, Last-Event-ID, Prefer, Accept, Cache-Control")
	h.Set("Access-Control-Max-Age", "600")
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}
