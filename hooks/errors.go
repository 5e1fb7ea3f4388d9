package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"github.com/valyala/fasthttp"

	"holdfast/internal/apigate"
	"holdfast/internal/channel"
	"holdfast/internal/hub"
	"holdfast/internal/inspect"
	"holdfast/internal/page"
	"holdfast/internal/strictjson"
)

// Reasons to refuse a request. Their texts, with what wraps them, are sent to the caller.
var (
	errHost            = errors.New("host not allowed")
	errBrowser         = errors.New("browser requests are refused: call the API from a server")
	errToken           = errors.New("token is missing or wrong")
	errPath            = errors.New("no such path")
	errMethod          = errors.New("wrong method")
	errTooBig          = errors.New("body is too large")
	errEncoding        = errors.New("content-encoding is not supported")
	errHead            = errors.New("request line and headers are too large")
	errSlow            = errors.New("request not received in time")
	errHTTP            = errors.New("not a valid HTTP request")
	errTLS             = errors.New("TLS on a port that speaks plain HTTP: use http://")
	errQuery           = errors.New("bad query")
	errChannel         = errors.New("bad channel")
	errEvent           = errors.New("bad event")
	errRule            = errors.New("no rule for this channel")
	errChannelNotFound = errors.New("channel not found: no subscribers and no history")
	errPresence        = errors.New("presence is off for this channel")
	errNoTarget        = errors.New("no target: want user or connection")
	errTarget          = errors.New("bad target")
	errSession         = errors.New("no such session of holdfast doctor, or it is over")
	errNotReady        = errors.New("not ready")
)

// methodError is errMethod with the methods that are allowed.
type methodError struct{ allow string }

func (e methodError) Error() string { return errMethod.Error() + ": want " + e.allow }
func (e methodError) Unwrap() error { return errMethod }

// statusOf is the one place where errors become status codes.
func statusOf(err error) int {
	for _, s := range []struct {
		err    error
		status int
	}{
		{errHost, fasthttp.StatusForbidden},
		{errBrowser, fasthttp.StatusForbidden},
		{page.ErrForeign, fasthttp.StatusForbidden},
		{page.ErrPublish, fasthttp.StatusForbidden},
		{page.ErrFull, fasthttp.StatusServiceUnavailable},
		{page.ErrClosed, fasthttp.StatusServiceUnavailable},
		{errToken, fasthttp.StatusUnauthorized},
		{errPath, fasthttp.StatusNotFound},
		{errChannelNotFound, fasthttp.StatusNotFound},
		{errConnection, fasthttp.StatusNotFound},
		{errSession, fasthttp.StatusNotFound},
		{inspect.ErrBusy, fasthttp.StatusServiceUnavailable},
		{errSelection, fasthttp.StatusBadRequest},
		{errNoTarget, fasthttp.StatusBadRequest},
		{errTarget, fasthttp.StatusBadRequest},
		{errClose, fasthttp.StatusBadRequest},
		{errMethod, fasthttp.StatusMethodNotAllowed},
		{errTooBig, fasthttp.StatusRequestEntityTooLarge},
		{errEncoding, fasthttp.StatusUnsupportedMediaType},
		{errHead, fasthttp.StatusRequestHeaderFieldsTooLarge},
		{errSlow, fasthttp.StatusRequestTimeout},
		{errHTTP, fasthttp.StatusBadRequest},
		{errTLS, fasthttp.StatusBadRequest},
		{errQuery, fasthttp.StatusBadRequest},
		{strictjson.Error, fasthttp.StatusBadRequest},
		{errChannel, fasthttp.StatusBadRequest},
		{channel.ErrName, fasthttp.StatusBadRequest},
		{errEvent, fasthttp.StatusBadRequest},
		{errRule, fasthttp.StatusBadRequest},
		{errKey, fasthttp.StatusBadRequest},
		{errKeyReuse, fasthttp.StatusUnprocessableEntity},
		{errPresence, fasthttp.StatusBadRequest},
		{hub.ErrNoRule, fasthttp.StatusBadRequest},
		{hub.ErrNoChannel, fasthttp.StatusBadRequest},
		{hub.ErrBusy, fasthttp.StatusServiceUnavailable},
		{hub.ErrStore, fasthttp.StatusServiceUnavailable},
		{hub.ErrUnsaved, fasthttp.StatusServiceUnavailable},
		{errNotReady, fasthttp.StatusServiceUnavailable},
		{ErrNotReloaded, fasthttp.StatusUnprocessableEntity},
		{apigate.ErrNotTakenOver, fasthttp.StatusUnprocessableEntity},
		{apigate.ErrHeld, fasthttp.StatusServiceUnavailable},
		{errMoved, fasthttp.StatusServiceUnavailable},
		{hub.ErrMoved, fasthttp.StatusServiceUnavailable},
	} {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return fasthttp.StatusInternalServerError
}

// refuse answers with err, counts and logs it.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	status := statusOf(err)
	ctx.Response.ResetBody()
	ctx.SetStatusCode(status)
	var method methodError
	switch {
	case errors.As(err, &method):
		ctx.Response.Header.Set(fasthttp.HeaderAllow, method.allow)
	case status == fasthttp.StatusUnauthorized:
		ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, `Bearer realm="holdfast hooks"`)
	case status == fasthttp.StatusServiceUnavailable:
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
	text := err.Error()
	if status == fasthttp.StatusInternalServerError {
		text = "internal error; the log has it"
	}
	s.answerJSON(ctx, struct {
		Error string `json:"error"`
	}{text})
	s.logRefusal(ctx, status, err)
}

// handleError responds to requests that fasthttp could not read. fasthttp's errors quote the request, so they are not
// passed on.
func (s *Server) handleError(ctx *fasthttp.RequestCtx, err error) {
	c, ok := ctx.Conn().(*conn)
	if ok {
		c.linger = true
	}
	var small *fasthttp.ErrSmallBuffer
	var ne net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		err = s.tooBig()
		if len(ctx.Request.Header.RawHeaders()) > 0 { // see limitBody
			if _, _, better := s.admit(ctx); better != nil {
				err = better
			}
		}
	case errors.As(err, &small):
		err = fmt.Errorf("%w: more than %d bytes", errHead, maxHead)
	case errors.As(err, &ne) && ne.Timeout():
		err = errSlow
	case ok && c.tls:
		err = errTLS
	default:
		err = errHTTP
	}
	s.refuse(ctx, err)
	s.count(ctx)
}

func (s *Server) tooBig() error {
	return fmt.Errorf("%w: more than the %d bytes of hooks.max_body", errTooBig, s.options.MaxBody)
}

// answerJSON writes v and a newline.
func (s *Server) answerJSON(ctx *fasthttp.RequestCtx, v any) {
	ctx.SetContentType("application/json")
	e := json.NewEncoder(ctx)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		s.log.Error("API response not encoded", "error", err)
		ctx.Error("", fasthttp.StatusInternalServerError)
	}
}
