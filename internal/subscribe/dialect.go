package subscribe

import (
	"bytes"
	"regexp"

	"github.com/valyala/fasthttp"

	"holdfast/internal/http1"
)

// Dialect is the part of a wire form that handles requests. Check and Accept run on a worker.
type Dialect interface {
	// Name is unique.
	Name() string

	// Matches reports whether a request is for this dialect.
	Matches(c *Choice) bool

	// Check reads the dialect's parameters of a request into s, before the authorization. Accept writes the response of
	// an allowed request, without the first bytes of the held connection. Both return a status and a reason to refuse,
	// or 0.
	Check(ctx *fasthttp.RequestCtx, s *Spec) (status int, why string)
	Accept(ctx *fasthttp.RequestCtx, r *Request) (status int, why string)

	// Status is the status of the response for a held connection.
	Status() int

	// Postponed is the response, with status 200, to a request that can't be served now, and its type. Without a type
	// the response is 503.
	Postponed(why, hint, retryAfter string) (contentType, body string)
}

// Choice has the parts of a request that choose the dialect: fields, each in one line, and a parameter.
type Choice struct {
	Upgrade, Accept, Subprotocols, Extensions []byte
	Protocol                                  []byte
}

// choiceOf returns the choice of a request whose lists have one line each.
func choiceOf(ctx *fasthttp.RequestCtx) *Choice {
	h := &ctx.Request.Header
	return &Choice{
		Upgrade: h.Peek("Upgrade"), Accept: h.Peek("Accept"), Subprotocols: h.Peek("Sec-WebSocket-Protocol"),
		Extensions: h.Peek("Sec-WebSocket-Extensions"), Protocol: ctx.QueryArgs().Peek("protocol"),
	}
}

// refusedWeight is a weight of zero, "not acceptable" (RFC 9110 §12.4.2).
var refusedWeight = regexp.MustCompile(`(?i)(^|;)[ \t]*q=0(\.0*)?[ \t]*(;|$)`)

// Accepts reports whether a request names a media type, and does not refuse it by a weight of zero.
func (c *Choice) Accepts(mediaType string) bool {
	for item := range bytes.SplitSeq(c.Accept, []byte(",")) {
		name, parameters, _ := bytes.Cut(item, []byte(";"))
		if http1.EqualFold(bytes.TrimSpace(name), mediaType) {
			return !refusedWeight.Match(parameters)
		}
	}
	return false
}

// choose returns the first dialect that a request is for. The last one takes all.
func (s *Server) choose(c *Choice) Dialect {
	last := len(s.o.Dialects) - 1
	for _, d := range s.o.Dialects[:last] {
		if d.Matches(c) {
			return d
		}
	}
	return s.o.Dialects[last]
}
