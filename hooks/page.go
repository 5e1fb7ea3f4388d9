package hooks

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"time"

	"github.com/valyala/fasthttp"
)

// Count is a line of the page for people.
type Count struct {
	Name  string
	Value int64
}

// Of the page for people. It has no script and loads nothing, and a browser is told so.
const (
	pageStyle = "body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}" +
		"h1 small{font-weight:normal;color:#666}table{border-collapse:collapse}td{padding:.15rem 1.5rem .15rem 0;border-bottom:1px solid #ddd}" +
		"td+td{text-align:right;padding-right:0;font-variant-numeric:tabular-nums}dt{float:left;clear:left;width:12rem}dd{margin:0 0 .3rem 12rem}" +
		"@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}h1 small{color:#999}td{border-color:#444}a{color:#8bf}}"
	pageBegin = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Holdfast</title>
<link rel="icon" href="data:,">
<style>` + pageStyle + `</style>
<h1>Holdfast <small>%s</small></h1>
<p>%s
<table>
`
	pageEnd = `</table>
<h2>More</h2>
<dl>
<dt><a href="/channels">/channels</a><dd>channels with subscribers or history
<dt><a href="/connections">/connections</a><dd>held connections
<dt><a href="/metrics">/metrics</a><dd>metrics in the Prometheus text format
<dt><a href="/healthz">/healthz</a><dd>whether the process runs
<dt><a href="/readyz">/readyz</a><dd>whether clients are served
</dl>
<p>This is the HTTP API, by which the app publishes. Scripts of web pages can't call it.
`
)

// pagePolicy lets a browser use the one style of the page, and an icon that is none.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; img-src data:; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// page answers GET /, for people.
func page(s *Server, c *call) error {
	if _, err := parseQuery(c.query); err != nil {
		return err
	}
	state := "Clients are served."
	if s.options.Ready != nil {
		if err := s.options.Ready(); err != nil {
			state = "Clients are not served: " + err.Error() + "."
		}
	}
	h := &c.ctx.Response.Header
	h.SetContentType("text/html; charset=utf-8")
	h.Set(fasthttp.HeaderContentSecurityPolicy, pagePolicy)
	h.Set(fasthttp.HeaderReferrerPolicy, "no-referrer")
	fmt.Fprintf(c.ctx, pageBegin, html.EscapeString(s.options.Version), html.EscapeString(state))
	row := func(name, value string) { fmt.Fprintf(c.ctx, "<tr><td>%s<td>%s\n", html.EscapeString(name), value) }
	row("running for", uptime(time.Since(s.started)))
	if s.options.Counts != nil {
		for _, n := range s.options.Counts() {
			row(n.Name, grouped(n.Value))
		}
	}
	c.ctx.WriteString(pageEnd)
	return nil
}

// uptime returns a duration in its two largest units.
func uptime(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
}

// grouped returns a number in groups of three digits.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
