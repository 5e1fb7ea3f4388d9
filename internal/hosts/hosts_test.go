package hosts

import (
	"errors"
	"strings"
	"testing"

	"holdfast/internal/http1"
)

func table(t testing.TB, patterns ...string) *Table {
	t.Helper()
	x := new(Table)
	for i, p := range patterns {
		name, err := Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		if !x.Add(name, i) {
			t.Fatalf("%s is there twice", p)
		}
	}
	return x
}

func TestFind(t *testing.T) {
	x := table(t, "example.com", "*.example.com", "*.b.example.com", "a.b.example.com", "[2001:db8::1]", "192.0.2.7", "xn--bcher-kva.example", "localhost", "*.local_net")
	for _, tt := range []struct {
		host string
		want int
	}{
		{"example.com", 0}, {"EXAMPLE.com", 0}, {"example.com:8443", 0}, {"example.com.", 0}, {"Example.Com.:80", 0}, {"example.com:", 0},
		{"www.example.com", 1}, {"x.y.example.com", 1}, {"b.example.com", 1}, {"WWW.Example.com.:1", 1},
		{"x.b.example.com", 2}, {"y.x.b.example.com", 2}, {"a.b.example.com", 3}, {"x.a.b.example.com", 2},
		{"[2001:db8::1]", 4}, {"[2001:DB8:0:0::1]:8080", 4}, {"[2001:db8::2]", -1}, {"2001:db8::1", -1},
		{"192.0.2.7", 5}, {"192.0.2.7:80", 5}, {"192.0.2.8", -1}, {"192.000.002.007", -1},
		{"xn--bcher-kva.example", 6}, {"localhost", 7}, {"a.local_net", 8}, {"local_net", -1},
		{"example.org", -1}, {"notexample.com", -1}, {"example.com..", -1}, {".example.com", -1}, {"com", -1}, {".", -1}, {"", -1},
		{"example%2ecom", -1}, {"%65xample.com", -1}, {"[::", -1}, {"[v1.x]", -1},
	} {
		if !http1.ValidHost([]byte(tt.host)) && tt.want >= 0 {
			t.Errorf("%q is not valid", tt.host)
		}
		n, ok := x.Find([]byte(tt.host))
		if !ok {
			n = -1
		}
		if n != tt.want && http1.ValidHost([]byte(tt.host)) {
			t.Errorf("%q: %d, want %d", tt.host, n, tt.want)
		}
	}
	if _, ok := new(Table).Find([]byte("a")); ok {
		t.Error("an empty table has found something")
	}
}

func TestParse(t *testing.T) {
	for pattern, want := range map[string]string{
		"Example.COM": "example.com", "example.com.": "example.com", "*.Example.com": "*.example.com", "::1": "::1", "[::1]": "::1",
		"[0:0::1]": "::1", "127.0.0.1": "127.0.0.1", "my_app": "my_app",
	} {
		if got, err := Parse(pattern); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", pattern, got, err, want)
		}
	}
	for pattern, part := range map[string]string{
		"": "empty", "*.": "empty", "*": "has a *", "a.*.example.com": "has a *", "www*.example.com": "has a *", "example.com:80": "port 80", "[::1]:80": "port 80",
		"bücher.example": "xn--", "https://example.com": "scheme", "example.com/x": "not a host", "a b": "not a host", "*.127.0.0.1": "address", "*.[::1]": "address",
		"a%41": "not a host", "a..": "not a host", ".a": "not a host", "a..b": "not a host", "*..a": "not a host", ".": "not a host", strings.Repeat("a", 254): "not a host", "user@example.com": "not a host",
	} {
		if got, err := Parse(pattern); !errors.Is(err, ErrPattern) || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %q, %v; want an error with %q", pattern, got, err, part)
		}
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	x := table(t, "example.com", "*.example.com")
	for _, host := range []string{"WWW.Example.com:8080", "example.com", "unknown.example.org"} {
		h := []byte(host)
		if n := testing.AllocsPerRun(100, func() { x.Find(h) }); n > 0 {
			t.Errorf("%s: %v allocations", host, n)
		}
	}
}

// FuzzFind: what a pattern of its own is made of is found, and in no other spelling of another name.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"example.com", "[::1]", "a.b", "*.c", "x:80", "[::ffff:1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := Parse(s)
		if err != nil {
			return
		}
		x := new(Table)
		x.Add(name, 1)
		host := strings.Replace(name, "*.", "a.", 1)
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		if _, ok := x.Find([]byte(strings.ToUpper(host) + ":443")); !ok {
			t.Fatalf("%q, as %q, does not find %q", s, name, host)
		}
		if _, ok := x.Find([]byte("z" + strings.TrimPrefix(host, "a."))); ok && !strings.HasPrefix(host, "[") {
			t.Fatalf("%q finds another name", s)
		}
	})
}
