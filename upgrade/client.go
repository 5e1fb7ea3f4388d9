package upgrade

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
)

// clientPath is where the browser client is, below the push URL.
const clientPath = "/client.js"

// clientAge is how long a browser caches the client, in seconds: a new release is in use within the hour.
const clientAge = 600

//go:embed client/holdfast.js
var clientSource []byte

// script is the browser client as it is sent, plain and compressed, and their entity tags.
type script struct {
	plain, gzip       []byte
	plainTag, gzipTag string
}

var client = sync.OnceValue(func() *script {
	s := &script{plain: strip(clientSource)}
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
})

// strip leaves out the lines that are comments and the indentation: a third of the bytes on the wire. The
// source has no string or comment over several lines.
func strip(source []byte) []byte {
	out := []byte("// Holdfast, MIT licence. The source with comments: upgrade/client/holdfast.js\n")
	for line := range bytes.Lines(source) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && !bytes.HasPrefix(line, []byte("//")) {
			out = append(append(out, line...), '\n')
		}
	}
	return out
}

// serveClient answers with the browser client. It is no secret: pages of any origin may load it.
func serveClient(ctx *fasthttp.RequestCtx) (int, string) {
	req, resp := &ctx.Request.Header, &ctx.Response.Header
	if !ctx.IsGet() && !ctx.IsHead() {
		resp.Set("Allow", "GET, HEAD")
		return 405, "use GET or HEAD"
	}
	s := client()
	body, tag := s.plain, s.plainTag
	if acceptsGzip(req.PeekAll("Accept-Encoding")) {
		body, tag = s.gzip, s.gzipTag
	}
	resp.Set("ETag", tag)
	resp.Set("Cache-Control", "public, max-age="+strconv.Itoa(clientAge))
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
	for _, t := range strings.Split(joined(fields, ","), ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3).
func acceptsGzip(fields [][]byte) bool {
	for _, coding := range strings.Split(strings.ToLower(joined(fields, ",")), ",") {
		name, params, _ := strings.Cut(coding, ";")
		if name = strings.TrimSpace(name); name != "gzip" && name != "x-gzip" {
			continue
		}
		weight, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if !ok {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}
