package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imports is who may import whom inside the module. Rooms do not know each other; the poller
// imports no other package of the module, and the hub none but leaves.
const imports = `
.                 hooks internal/apigate internal/config internal/demo internal/doctor internal/explain internal/notify internal/quiet internal/server internal/service internal/takeover internal/warnings
hooks             internal/apigate internal/channel internal/connection internal/hub internal/inspect internal/metric internal/page internal/plainval internal/presence internal/strictjson internal/throttle
internal/access   internal/http1 internal/rate internal/throttle
internal/accesslog internal/asyncwriter internal/http1 internal/tracecontext
internal/acmeclient
internal/admit    internal/access internal/http1 internal/park internal/request internal/route
internal/answering internal/access internal/config internal/errorpage internal/fieldset internal/rate internal/request internal/route
internal/appcall  internal/auth internal/http1 internal/hub internal/plainval internal/strictjson
internal/apigate
internal/apptunnel internal/accesslog internal/balance internal/park internal/tracecontext
internal/asyncwriter
internal/auth     internal/channel internal/cookie internal/http1 internal/inspect internal/plainval internal/throttle
internal/balance  internal/fcgi internal/http1 internal/metric internal/park internal/site internal/throttle internal/tlsconn
internal/cache    internal/cache/headers internal/http1 internal/linked
internal/cache/fetch internal/cache internal/cache/headers internal/cache/rules internal/http1 internal/request internal/throttle
internal/cache/headers internal/cache/structured internal/http1
internal/cache/rules internal/cache internal/cookie internal/http1
internal/cache/structured internal/http1
internal/certs
internal/channel
internal/channelurl internal/channel
internal/clientframe internal/hub internal/strictjson
internal/collector
internal/compress internal/deflate internal/http1 internal/park internal/throttle
internal/config   internal/cache internal/cache/rules internal/channel internal/channelurl internal/compress internal/config/answers internal/config/value internal/deny internal/expand internal/hosts internal/strictjson
internal/config/answers internal/access internal/config/value internal/errorpage internal/fcgi internal/fieldset internal/request internal/tracecontext
internal/config/changes internal/channel internal/config
internal/config/value internal/expand
internal/connection internal/channel
internal/cookie   internal/http1
internal/deflate
internal/demo
internal/delivery
internal/deny     internal/http1
internal/expand
internal/explain  internal/cache internal/config internal/http1 internal/route internal/server
internal/fcgi     internal/http1
internal/doctor   internal/inspect
internal/ending
internal/errorpage internal/throttle
internal/fieldset internal/http1
internal/headread internal/http1 internal/park internal/plainval
internal/floor    internal/messageid
internal/heldindex internal/connection internal/park internal/session
internal/heldpoll internal/cache internal/http1 internal/park internal/throttle
internal/heldrecord internal/plainval
internal/histfile internal/hub
internal/hosts    internal/http1
internal/holding  internal/accesslog internal/appcall internal/auth internal/connection internal/http1 internal/hub internal/inspect internal/park internal/subscribe
internal/http1
internal/hub      internal/delivery internal/floor internal/messageid internal/metric internal/occupancy internal/slab internal/wildcard
internal/hubimage internal/hub internal/plainval
internal/inflate  internal/auth internal/park internal/wsframe
internal/inject   internal/deflate internal/http1
internal/inspect
internal/jsontext
internal/lanes    internal/hub internal/park
internal/linger   internal/park
internal/linked
internal/listening internal/config internal/config/value internal/park internal/warnings
internal/messageid
internal/metric
internal/occupancy
internal/notify
internal/page     internal/metric internal/render
internal/park
internal/plainval
internal/presence internal/hub internal/plainval internal/throttle
internal/proxyheader internal/park internal/plainval
internal/proxystats internal/balance internal/metric
internal/quiet
internal/rate
internal/receive  internal/throttle internal/wsframe
internal/render   internal/deflate internal/http1 internal/hub internal/jsontext
internal/pushfields internal/cache internal/cache/headers internal/http1 internal/hub internal/throttle
internal/request  internal/http1 internal/tracecontext
internal/route    internal/access internal/balance internal/cache/rules internal/compress internal/deny internal/errorpage internal/expand internal/fcgi internal/fieldset internal/hosts internal/http1 internal/inject internal/rate internal/request internal/site internal/tracecontext
internal/sendbuf  internal/park
internal/sendqueue internal/channel internal/heldrecord internal/hub internal/linger internal/park internal/plainval
internal/server   hooks internal/accesslog internal/acmeclient internal/answering internal/appcall internal/asyncwriter internal/auth internal/balance internal/cache internal/cache/fetch internal/cache/rules internal/certs internal/channel internal/channelurl internal/collector internal/compress internal/config internal/config/changes internal/connection internal/deny internal/headread internal/heldpoll internal/http1 internal/hub internal/inject internal/inspect internal/listening internal/metric internal/page internal/park internal/presence internal/proxyheader internal/pushfields internal/route internal/serving internal/site internal/subscribe internal/succession internal/takeover internal/throttle internal/tlsconn internal/token internal/warnings internal/watch proxy upgrade upgrade/client
internal/service
internal/serving  internal/accesslog internal/admit internal/balance internal/cache/fetch internal/heldpoll internal/park internal/pushfields internal/request internal/route internal/site
internal/session  internal/auth internal/channel internal/heldrecord
internal/site     internal/expand internal/http1
internal/slab
internal/strictjson
internal/subscribe internal/accesslog internal/auth internal/channel internal/http1 internal/hub internal/inspect internal/linger internal/park internal/render internal/request internal/throttle internal/wsframe
internal/succession hooks internal/apigate internal/appcall internal/auth internal/cookie internal/headread internal/histfile internal/hub internal/hubimage internal/metric internal/notify internal/park internal/plainval internal/presence internal/request internal/takeover
internal/takeover internal/park internal/plainval
internal/tempfile internal/park
internal/throttle
internal/tlsconn  internal/linger internal/park internal/plainval internal/takeover internal/throttle internal/tlsrecord
internal/tlsrecord
internal/token    internal/auth internal/strictjson
internal/tracecontext internal/http1
internal/tunnel   internal/park internal/sendbuf
internal/warnings internal/answering internal/cache/rules internal/certs internal/channel internal/config internal/cookie internal/site
internal/watch    internal/appcall internal/channelurl internal/hub internal/strictjson internal/throttle
internal/wildcard
internal/wiretest
internal/wsframe  internal/deflate internal/heldrecord
internal/wsrender internal/hub internal/render internal/wsframe
proxy             internal/access internal/accesslog internal/admit internal/apptunnel internal/balance internal/cache/fetch internal/compress internal/fcgi internal/headread internal/heldpoll internal/http1 internal/inject internal/linger internal/metric internal/park internal/proxyheader internal/proxystats internal/pushfields internal/rate internal/request internal/route internal/sendbuf internal/serving internal/site internal/tempfile internal/throttle internal/tracecontext internal/tunnel
upgrade           internal/appcall internal/auth internal/channel internal/clientframe internal/connection internal/ending internal/heldindex internal/heldrecord internal/holding internal/http1 internal/hub internal/inflate internal/jsontext internal/lanes internal/linger internal/park internal/receive internal/render internal/request internal/sendqueue internal/session internal/subscribe internal/wsframe internal/wsrender upgrade/client
upgrade/client    internal/http1
`

// modules are the direct dependencies, each with a reason in docs.
const modules = `
github.com/VictoriaMetrics/metrics
github.com/fasthttp/websocket
github.com/gobwas/httphead
github.com/gobwas/ws
github.com/golang-jwt/jwt/v5
github.com/klauspost/compress
github.com/molecule-man/go-brrr
github.com/tg123/go-htpasswd
github.com/valyala/fasthttp
go.etcd.io/bbolt
golang.org/x/crypto
golang.org/x/sys
gopkg.in/yaml.v3
`

// absent is what no code of the product has yet: Redis and GRIP are later doors.
var absent = []string{"redis", "Grip-"}

func TestImports(t *testing.T) {
	allowed := map[string][]string{}
	for line := range strings.Lines(imports) {
		if f := strings.Fields(line); len(f) > 0 {
			allowed[f[0]] = f[1:]
		}
	}
	seen := map[string]map[string]bool{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (name == "bench" || name == "examples" || name != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "e2e"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, word := range absent {
			if strings.Contains(strings.ToLower(string(text)), strings.ToLower(word)) {
				t.Errorf("%s has %q", name, word)
			}
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := path.Dir(filepath.ToSlash(name))
		if seen[from] == nil {
			seen[from] = map[string]bool{}
		}
		for _, i := range file.Imports {
			if to, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "holdfast/"); ok {
				seen[from][to] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for from, list := range seen {
		want, ok := allowed[from]
		if got := slices.Sorted(maps.Keys(list)); !ok || !slices.Equal(got, want) {
			t.Errorf("%s imports %v; allowed are %v", from, got, want)
		}
	}
}

func TestDirectDependencies(t *testing.T) {
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require ")); len(f) == 2 && strings.Contains(f[0], ".") && strings.HasPrefix(f[1], "v") {
			got = append(got, f[0])
		}
	}
	slices.SortFunc(got, strings.Compare)
	if want := strings.Fields(modules); !slices.Equal(got, want) {
		t.Errorf("direct dependencies are %v; want %v", got, want)
	}
}
