package subscribe

import (
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/inspect"
	"holdfast/internal/request"
)

// inspect returns the channel of the session of holdfast doctor whose secret a request has in the parameter doctor, and
// records the request; empty for all others. Names of what the request is for are in probe, and in authorize the channel
// to ask the app about, which the request does not get.
func (s *Server) inspect(ctx *fasthttp.RequestCtx, v *Request) (channel string) {
	args := ctx.QueryArgs()
	secret := string(args.Peek("doctor"))
	if secret == "" || s.o.Inspect == nil {
		return ""
	}
	if channel = s.o.Inspect.Channel(secret, time.Now()); channel == "" {
		return ""
	}
	h, r := &ctx.Request.Header, &v.req
	seen := inspect.Request{
		Name: string(args.Peek("probe")), Client: request.AddrText(r.Client), Trusted: r.Trusted, Scheme: r.Scheme(),
		Host: string(r.Host), Port: int(r.Port), Protocol: "HTTP/1.0", Fields: fieldsOf(r.Head), OriginOK: s.originAllowed(ctx, r),
	}
	if r.Peer.IsValid() {
		seen.Peer = r.Peer.String()
	}
	if h.IsHTTP11() {
		seen.Protocol = "HTTP/1.1"
	}
	if name := string(args.Peek("authorize")); name != "" {
		seen.Authorize = s.tryAuthorize(ctx, v, name)
	}
	if args.GetBool("silent") {
		v.Spec.Silence = inspect.Silence
	}
	s.o.Inspect.Record(secret, seen, time.Now())
	return channel
}

// tryAuthorize asks the app whether the client of a request may have a channel, without the cache.
func (s *Server) tryAuthorize(ctx *fasthttp.RequestCtx, v *Request, channel string) *inspect.Answer {
	a := &inspect.Answer{Channel: channel}
	r := v.AppRequest(ctx)
	r.Channels = []string{channel}
	started := time.Now()
	result, err := s.o.Auth.Try(&r)
	a.Millis = time.Since(started).Milliseconds()
	a.Allowed, a.Status, a.User = result.Allowed, result.Status, result.User
	if err != nil {
		a.Allowed, a.Error, a.Hint = false, err.Error(), hintOf(err)
	}
	v.SetCookie = append(v.SetCookie, result.SetCookie...)
	return a
}

// fieldsOf returns the fields of a checked head.
func fieldsOf(head []byte) (list [][2]string) {
	_, lines, _ := strings.Cut(string(head), "\r\n")
	for line := range strings.SplitSeq(lines, "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			value = strings.TrimSpace(value)
			if !inspect.Shown(name) {
				value = inspect.Hidden(value)
			}
			list = append(list, [2]string{name, value})
		}
	}
	return list
}
