package subscribe

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/accesslog"
	"holdfast/internal/auth"
	"holdfast/internal/linger"
	"holdfast/internal/park"
	"holdfast/internal/render"
	"holdfast/internal/request"
)

// RetryAtLimit is the Retry-After of a client whose user has too many connections: one of them may be closed by then.
var RetryAtLimit = strconv.Itoa(int(auth.EvictInterval / time.Second))

// postpone responds to a request that can't be served now, if its dialect has a way to. It reports whether it has.
func (s *Server) postpone(ctx *fasthttp.RequestCtx, v *Request, why string) bool {
	mediaType, body := s.choose(choiceOf(ctx)).Postponed(why, v.hint, v.retryAfter)
	if mediaType == "" {
		return false
	}
	ctx.SetContentType(mediaType)
	ctx.Response.Header.Set("Cache-Control", "no-store, no-transform")
	ctx.SetBodyString(body)
	return true
}

// hintOf returns the hint for the app's developer in an error of Options.Authorizer; empty: none.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// refuse responds with a short JSON reason and, unless it is empty, a hint for the app's developer.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, status int, why, hint string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.Response.Header.Set("Cache-Control", "no-store")
	switch status {
	case 429:
		ctx.Response.Header.Set("Retry-After", RetryAtLimit)
	case 503:
		ctx.Response.Header.Set("Retry-After", "5")
	}
	ctx.SetBody(render.Error(why, hint))
}

// turnAway refuses a request on the loop, without a worker, and closes. fields are more lines for the head.
func (s *Server) turnAway(c *park.Conn, r *request.Request, status int, why, fields string) {
	s.counts.reject(byStatus, status)
	line, _, _ := bytes.Cut(r.Head, []byte("\r\n"))
	s.logged(&accesslog.Request{Client: r.Client.Addr(), Line: line}, r, time.Now(), status, 0, why)
	head := bytes.HasPrefix(line, []byte("HEAD ")) // the response to a HEAD has no body
	if fields == "" {                              // nothing is decided yet
		fields = string(r.Fields)
	}
	if status == 503 && !head {
		d := s.choose(&Choice{Upgrade: joinedValues(r.Head, "Upgrade"), Accept: joinedValues(r.Head, "Accept")})
		if mediaType, body := d.Postponed(why, "", ""); mediaType != "" {
			c.Write(append(render.StreamHead(mediaType, fields), body...))
			linger.Close(c)
			return
		}
	}
	fields += "Connection: close\r\n"
	switch status {
	case 401:
		fields += "WWW-Authenticate: Bearer\r\n"
	case 503:
		fields += "Retry-After: 5\r\nAccess-Control-Expose-Headers: Retry-After\r\n"
	}
	b, body := render.Refusal(status, why, fields)
	if !head {
		b = append(b, body...)
	}
	c.Write(b)
	linger.Close(c)
}
