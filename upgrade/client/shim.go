package client

import (
	_ "embed"
	"sync"

	"github.com/valyala/fasthttp"
)

// ShimPath is where the shim is, below a push URL: the script that answers a page's polls inside the browser.
const ShimPath = "/shim.js"

//go:embed shim.js
var shimSource []byte

var shim = sync.OnceValue(func() *script { return compress(shimSource) })

// ServeShim responds with the shim as Serve does with the client.
func ServeShim(ctx *fasthttp.RequestCtx) (status int, why string) { return serve(ctx, shim()) }
