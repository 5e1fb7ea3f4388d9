package upgrade

import (
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"holdfast/internal/request"
)

// sameOrigin reports whether the page that asks may: a request without Origin (no browser, or a same-origin
// GET), one of the same scheme, host and port, or one of the listed origins, which is then told so. Another origin's
// scripts, images and frames ask without Origin too; browsers say so.
func (k *Keeper) sameOrigin(ctx *fasthttp.RequestCtx, r *request.Request) bool {
	h := &ctx.Request.Header
	if len(h.PeekAll("Origin")) > 1 { // browsers send one; which of them another proxy has looked at, nobody knows
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
	if slices.Contains(k.o.Origins, origin) {
		ctx.Response.Header.Set("Access-Control-Allow-Origin", string(h.Peek("Origin")))
		ctx.Response.Header.Set("Access-Control-Allow-Credentials", "true")
		ctx.Response.Header.Set("Vary", "Origin")
		return true
	}
	host := strings.ToLower(string(r.Host))
	if origin == withoutDefaultPort(r.Scheme()+"://"+host) {
		return true
	}
	// A proxy may have cut the port off Host, and say it elsewhere.
	name, _ := request.SplitHost([]byte(host))
	return origin == withoutDefaultPort(fmt.Sprintf("%s://%s:%d", r.Scheme(), name, r.Port))
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
