// Package client serves the browser client of Holdfast, holdfast.js, which is documented in
// docs/reference/browser-client.md.
package client

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"holdfast/internal/http1"
)

// Path is where the browser client is, below a push URL.
const Path = "/client.js"

// maxAge is how long a browser caches the client, in seconds: a new release is in use within the hour.
const maxAge = 600

//go:embed holdfast.js
var source []byte

// script is the browser client as it is sent, plain and compressed, and their entity tags.
type script struct {
	plain, gzip       []byte
	plainTag, gzipTag string
}

var sent = sync.OnceValue(func() *script { return compress(source) })

// compress returns a source as it is sent.
func compress(source []byte) *script {
	s := &script{plain: strip(source)}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	w.Write(s.plain) // into memory
	w.Close()
	s.gzip = b.Bytes()
	sum := sha256.Sum256(s.plain)
	s.plainTag = fmt.Sprintf(`"%x"`, sum[:8])
	s.gzipTag = fmt.Sprintf(`"%x-gzip"`, sum[:8])
	return s
}

// strip leaves out comments and indentation: more than a third of the bytes on the wire. The source has no string or
// comment over several lines.
func strip(code []byte) []byte {
	out := []byte("// Holdfast, MIT licence. The source with comments: upgrade/client\n")
	for line := range bytes.Lines(code) {
		line = bytes.TrimSpace(line)
		if i := bytes.LastIndex(line, []byte(" // ")); i > 0 && !bytes.ContainsAny(line[i:], "\"'`") { // no string goes on there
			line = bytes.TrimSpace(line[:i])
		}
		if len(line) > 0 && !bytes.HasPrefix(line, []byte("//")) {
			out = append(append(out, line...), '\n')
		}
	}
	return out
}

// Serve responds with the browser client, or returns a status and a reason to refuse the request. The client is no secret:
// pages of any origin may load it.
func Serve(ctx *fasthttp.RequestCtx) (status int, why string) { return serve(ctx, sent()) }

func serve(ctx *fasthttp.RequestCtx, s *script) (status int, why string) {
	req, resp := &ctx.Request.Header, &ctx.Response.Header
	if !ctx.IsGet() && !ctx.IsHead() {
		resp.Set("Allow", "GET, HEAD")
		return 405, "use GET or HEAD"
	}
	body, tag := s.plain, s.plainTag
	if http1.AcceptsGzip(req.PeekAll("Accept-Encoding")) {
		body, tag = s.gzip, s.gzipTag
	}
	resp.Set("ETag", tag)
	resp.Set("Cache-Control", "public, max-age="+strconv.Itoa(maxAge))
	resp.Set("Vary", "Accept-Encoding")
	resp.Set("X-Content-Type-Options", "nosniff")
	resp.Set("Access-Control-Allow-Origin", "*") // the same for everybody; "import" and crossorigin need it
	if matches(req.PeekAll("If-None-Match"), tag) {
		ctx.SetStatusCode(304)
		return 0, ""
	}
	if tag == s.gzipTag {
		resp.Set("Content-Encoding", "gzip")
	}
	ctx.SetContentType("text/javascript; charset=utf-8")
	ctx.SetBody(body)
	return 0, ""
}

// matches compares weakly, as RFC 9110 §13.1.2 has it for If-None-Match.
func matches(fields [][]byte, tag string) bool {
	for _, t := range strings.Split(string(bytes.Join(fields, []byte{','})), ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return false
}
