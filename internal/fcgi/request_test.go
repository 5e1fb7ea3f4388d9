package fcgi

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/http1"
)

// fieldsOf makes fields of "Name: value" lines.
func fieldsOf(lines ...string) (list []http1.Field) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		list = append(list, http1.Field{Name: []byte(name), Value: []byte(strings.TrimSpace(value))})
	}
	return list
}

// environment is what the responder sees of r.
func environment(t testing.TB, r *Request) []string {
	t.Helper()
	list := split(t, r.Append(nil, 7, true))
	if len(list) < 3 || list[0].kind != typeBegin || list[0].id != 7 {
		t.Fatalf("begins with %v", list[0])
	}
	var env []string
	for _, p := range pairs(t, stream(t, list[1:], typeParams, 7)) {
		env = append(env, p[0]+"="+p[1])
	}
	return env
}

func plainRequest() *Request {
	return &Request{
		Method: []byte("GET"), Target: []byte("/app/a.php/x%20y?q=1"), Query: []byte("q=1"), Minor: 1,
		Host: []byte("example.test:8080"), Client: netip.MustParseAddrPort("[::ffff:192.0.2.7]:4711"),
		Server: netip.MustParseAddrPort("192.0.2.1:8080"), Root: "/srv", Filename: "/srv/app/a.php",
		ScriptName: "/app/a.php", PathInfo: "/x y", Length: -1,
	}
}

func TestEnvironment(t *testing.T) {
	r := plainRequest()
	r.Fields = fieldsOf("Host: example.test:8080", "Accept: a", "X-Two-Words: b")
	want := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET", "SCRIPT_FILENAME=/srv/app/a.php", "SCRIPT_NAME=/app/a.php",
		"PATH_INFO=/x y", "PATH_TRANSLATED=/srv/x y", "QUERY_STRING=q=1", "REQUEST_URI=/app/a.php/x%20y?q=1",
		"DOCUMENT_URI=/app/a.php/x y", "DOCUMENT_ROOT=/srv", "SERVER_PROTOCOL=HTTP/1.1", "REQUEST_SCHEME=http",
		"REMOTE_ADDR=192.0.2.7", "REMOTE_PORT=4711", "SERVER_ADDR=192.0.2.1", "SERVER_PORT=8080", "SERVER_NAME=example.test",
		"SERVER_SOFTWARE=holdfast", "REDIRECT_STATUS=200", "HTTP_HOST=example.test:8080", "HTTP_ACCEPT=a", "HTTP_X_TWO_WORDS=b",
	}
	if got := environment(t, r); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEnvironmentParts looks at what one part of a request adds, or must not add, to the environment.
func TestEnvironmentParts(t *testing.T) {
	with := func(lines ...string) func(*Request) {
		return func(r *Request) { r.Fields = fieldsOf(lines...) }
	}
	long := strings.Repeat("Very-Long-Name-", 20) + "End"
	tests := []struct {
		name   string
		change func(*Request)
		want   []string // must be there
		never  string   // must be part of nothing
	}{
		{"https", func(r *Request) { r.HTTPS = true }, []string{"HTTPS=on", "REQUEST_SCHEME=https"}, ""},
		{"no https", func(*Request) {}, nil, "HTTPS="},
		{"HTTP/1.0", func(r *Request) { r.Minor = 0 }, []string{"SERVER_PROTOCOL=HTTP/1.0"}, ""},
		{"no path info", func(r *Request) { r.PathInfo = "" }, []string{"DOCUMENT_URI=/app/a.php"}, "PATH_"},
		{"empty query", func(r *Request) { r.Query = nil }, []string{"QUERY_STRING="}, ""},
		{"body", func(r *Request) { r.Length = 1 << 40 }, []string{"CONTENT_LENGTH=1099511627776"}, ""},
		{"empty body", func(r *Request) { r.Length = 0 }, []string{"CONTENT_LENGTH=0"}, ""},
		{"no body", func(*Request) {}, nil, "CONTENT_"},
		{"type of the body", with("content-TYPE: a/b; c=d", "Content-Length: 3"), []string{"CONTENT_TYPE=a/b; c=d"}, "HTTP_CONTENT"},
		{"unix socket", func(r *Request) { r.Client, r.Server = netip.AddrPort{}, netip.AddrPort{} },
			[]string{"REMOTE_ADDR=", "SERVER_PORT=80", "SERVER_NAME=example.test"}, "SERVER_ADDR"},
		{"no Host", func(r *Request) { r.Host = nil }, []string{"SERVER_NAME=192.0.2.1"}, ""},
		{"nothing known", func(r *Request) { r.Host, r.Server = nil, netip.AddrPort{} }, []string{"SERVER_NAME=localhost"}, ""},
		{"IPv6 Host", func(r *Request) { r.Host = []byte("[::1]") }, []string{"SERVER_NAME=[::1]"}, ""},
		{"IPv6 Host with port", func(r *Request) { r.Host = []byte("[::1]:80") }, []string{"SERVER_NAME=[::1]"}, ""},
		{"zone", func(r *Request) { r.Client = netip.MustParseAddrPort("[fe80::1%eth0]:1") }, []string{"REMOTE_ADDR=fe80::1"}, "eth0"},
		{"httpoxy", with("Proxy: http://evil", "pRoXy: evil"), nil, "evil"},
		{"underscore", with("X_Forwarded_For: evil"), nil, "evil"},
		{"dot, which PHP takes for an underscore", with("X.Forwarded.For: evil"), nil, "evil"},
		{"other bytes of a token", with("X!A: evil", "X~A: evil", "X'A: evil", "X`A: evil", "X*A: evil"), nil, "evil"},
		{"no name", with(": evil"), nil, "evil"},
		{"hop by hop", with("Connection: evil", "Keep-Alive: evil", "TE: evil", "Trailer: evil", "Transfer-Encoding: evil",
			"Upgrade: evil", "Proxy-Connection: evil", "Expect: evil", "HTTP2-Settings: evil"), nil, "evil"},
		{"dropped", func(r *Request) {
			r.Fields = []http1.Field{{Name: []byte("A"), Value: []byte("evil"), Drop: true}, {Name: []byte("a"), Value: []byte("1")}}
		},
			[]string{"HTTP_A=1"}, "evil"},
		{"dropped type", func(r *Request) {
			r.Fields = []http1.Field{{Name: []byte("Content-Type"), Value: []byte("evil"), Drop: true}}
		}, nil, "evil"},
		{"repeated", with("Accept: a", "B: 1", "accept: b", "ACCEPT: c"), []string{"HTTP_ACCEPT=a, b, c", "HTTP_B=1"}, "HTTP_ACCEPT=b"},
		{"repeated and dropped", func(r *Request) {
			r.Fields = append(fieldsOf("A: 1", "a: evil", "A: 3"), fieldsOf("A: 4")...)
			r.Fields[1].Drop = true
		}, []string{"HTTP_A=1, 3, 4"}, "evil"},
		{"names that nearly agree", with("X-A: 1", "X-AA: 2", "X-B: 3", "XA: 4", "X-A-: 5"),
			[]string{"HTTP_X_A=1", "HTTP_X_AA=2", "HTTP_X_B=3", "HTTP_XA=4", "HTTP_X_A_=5"}, ""},
		{"cookies", with("Cookie: a=1", "cookie: b=2"), []string{"HTTP_COOKIE=a=1; b=2"}, ""},
		{"authorization", with("Authorization: Basic eDp5"), []string{"HTTP_AUTHORIZATION=Basic eDp5"}, ""},
		{"long name", with(long + ": 1"), []string{"HTTP_" + strings.ToUpper(strings.ReplaceAll(long, "-", "_")) + "=1"}, ""},
		{"software", func(r *Request) { r.Software = "x/1" }, []string{"SERVER_SOFTWARE=x/1"}, "holdfast"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := plainRequest()
			test.change(r)
			env := environment(t, r)
			for _, want := range test.want {
				if !slices.Contains(env, want) {
					t.Errorf("%s is not in\n%s", want, strings.Join(env, "\n"))
				}
			}
			names := map[string]bool{}
			for _, e := range env {
				name, _, _ := strings.Cut(e, "=")
				if test.never != "" && strings.Contains(e, test.never) {
					t.Errorf("%s is there", e)
				}
				if names[name] {
					t.Errorf("%s is there twice", name)
				}
				names[name] = true
			}
		})
	}
}

func TestRequestAllocatesNothing(t *testing.T) {
	r := plainRequest()
	r.Fields = fieldsOf("Host: x", "Accept: a", "Cookie: a=1", "Cookie: b=2", "X-Something-Long: "+strings.Repeat("x", 5000))
	r.Length = 12345
	b := make([]byte, 0, 32<<10)
	if n := testing.AllocsPerRun(100, func() { r.Append(b, 1, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkHostileNames has as many fields as a head may, with names that differ in their last bytes.
func BenchmarkHostileNames(b *testing.B) {
	r := plainRequest()
	for i := range 100 {
		r.Fields = append(r.Fields, http1.Field{Name: fmt.Appendf(nil, "%s%03d", strings.Repeat("x", 150), i)})
	}
	buf := make([]byte, 0, 64<<10)
	for b.Loop() {
		r.Append(buf, 1, true)
	}
}

func BenchmarkRequest(b *testing.B) {
	r := plainRequest()
	r.Fields = fieldsOf("Host: example.test:8080", "User-Agent: "+strings.Repeat("u", 100), "Accept: text/html", "Accept-Encoding: gzip",
		"Accept-Language: de", "Cookie: "+strings.Repeat("c", 200), "Referer: http://example.test/", "X-Forwarded-For: 192.0.2.7")
	buf := make([]byte, 0, 64<<10)
	for b.Loop() {
		r.Append(buf, 1, true)
	}
}
