package subscribe

import (
	"bytes"
	"encoding/base64"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/http1"
	"holdfast/internal/wsframe"
)

// CheckHandshake makes the checks of a WebSocket that an upgrader leaves out (RFC 6455 §4.2.1).
func CheckHandshake(ctx *fasthttp.RequestCtx) (status int, why string) {
	h := &ctx.Request.Header
	if !h.IsHTTP11() {
		return 400, "a WebSocket needs HTTP/1.1"
	}
	for _, name := range []string{"Sec-WebSocket-Version", "Sec-WebSocket-Key"} {
		if len(h.PeekAll(name)) > 1 {
			return 400, name + " stands there more than once"
		}
	}
	if v := string(h.Peek("Sec-WebSocket-Version")); v != "13" {
		ctx.Response.Header.Set("Sec-WebSocket-Version", "13")
		return 426, "WebSocket version 13 is spoken here"
	}
	if key, err := base64.StdEncoding.DecodeString(string(h.Peek("Sec-WebSocket-Key"))); err != nil || len(key) != 16 {
		return 400, "Sec-WebSocket-Key is not 16 bytes in base64"
	}
	if !http1.HasToken(h.Peek("Connection"), "upgrade") {
		return 400, "Connection does not say upgrade"
	}
	return 0, ""
}

// dropClose blanks the option close of a WebSocket handshake's Connection, and reports whether there was one: fasthttp
// would repeat it in the 101. What it asks for, no further request, a tunnel is anyway.
func dropClose(head []byte) bool {
	dropped := false
	if !http1.HasToken(joinedValues(head, "Upgrade"), "websocket") || !http1.HasToken(joinedValues(head, "Connection"), "upgrade") {
		return false
	}
	for _, v := range valuesOf(head, "Connection") {
		for i, end := 0, 0; i < len(v); i = end {
			if end = len(v); bytes.IndexByte(v[i:], ',') >= 0 {
				end = i + bytes.IndexByte(v[i:], ',') + 1
			}
			if !http1.EqualFold(http1.TrimOWS(bytes.TrimSuffix(v[i:end], []byte(","))), "close") {
				continue
			}
			dropped = true
			for j := i; j < end; j++ {
				v[j] = ' '
			}
			if end == len(v) && i > 0 { // the comma in front of the last element
				v[i-1] = ' '
			}
		}
	}
	return dropped
}

// WantsWebSocket reports whether a request is for a WebSocket, and if deflated, whether it offers permessage-deflate.
func (r *Choice) WantsWebSocket(deflated bool) bool {
	if !http1.HasToken(r.Upgrade, "websocket") {
		return false
	}
	_, ok := wsframe.AcceptDeflate([][]byte{r.Extensions})
	return ok || !deflated
}

// AcceptWebSocket writes the response to a handshake, with permessage-deflate if that is agreed on. login says that the
// client's cookies and Authorization are kept. An error has the status and the text of a refusal.
func (v *Request) AcceptWebSocket(ctx *fasthttp.RequestCtx, u *websocket.FastHTTPUpgrader, deflated, login bool) (int, string) {
	h := &ctx.Response.Header
	for _, cookie := range v.SetCookie {
		h.Add(fasthttp.HeaderSetCookie, cookie)
	}
	if err := u.Upgrade(ctx, func(*websocket.Conn) {}); err != nil {
		return 400, err.Error()
	}
	ctx.Hijack(nil) // the loop takes the connection over: a websocket.Conn would be garbage
	h.Del("Content-Type")
	if deflated {
		agreed, _ := wsframe.AcceptDeflate(ctx.Request.Header.PeekAll("Sec-WebSocket-Extensions"))
		h.Set("Sec-WebSocket-Extensions", agreed)
	}
	if login {
		q := v.AppRequest(ctx)
		q.Cookie = auth.ReplaceCookies(q.Cookie, v.SetCookie)
		v.Spec.Login = &q
	}
	return 0, ""
}
