package deny

import (
	"errors"
	"strings"
	"testing"
)

func list(t testing.TB, patterns ...string) *List {
	t.Helper()
	l, err := New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDenies(t *testing.T) {
	l := list(t, "*.sql", "composer.json", "/data/**", "/config", "/a/*/x?.txt", "/lib/**/test/**", "/Private/")
	for path, want := range map[string]bool{
		"/": false, "/index.php": false, "*": false,
		"/dump.sql": true, "/x/DUMP.SQL": true, "/dump.sql/x": true, "/dump.sqlite": false, "/sql": false, "/.sql": true,
		"/composer.json": true, "/vendor/composer.json": true, "/composer.jsonx": false,
		"/data": true, "/data/": true, "/data/x/y": true, "/database": false, "/x/data": false, "/DATA/x": true,
		"/config": true, "/config/": true, "/config/x": false, "/config.php": false,
		"/a/b/x1.txt": true, "/a/b/c/x1.txt": false, "/a/b/x12.txt": false, "/a/x1.txt": false,
		"/lib/test": true, "/lib/a/b/test/c": true, "/lib/a/tests": false, "/private/x": true, "/private": true,
		// in other spellings
		"/%64ata/x": true, "//data/x": true, "/x/../data/y": true, "/x/%2e%2e/data": true, "/x/..%2fdata/y": true, "/data%2fx": true, "/./data": true,
		"/dump.sql;a=b": true, "/dump%2esql": true, "/dump.sq%6c": true, "/dump.sq%256c": true, "/%c0%afdata/x": true, "/data%5cx": true, "/dump.sql.": true, "/dump.sql%20": true,
		"/../data/x": true, "/a/../../data/x": true, "/%2e%2e/%2e%2e/data": true, "/data/x%01": true, "/data/%7f": true, "/data%2f%0a": true,
		"/dump.sql%0a": true, "/dump.sql%09": true, "/dump.sql%2500.jpg": true, "/dump.sql%00.jpg": true,
		"/../x": false, "/x%01": false, "/data/../../x": false, "/a%00/data": false,
		"/data/../x": false, "/caf%c3%a9": false,
	} {
		if got := l.Denies([]byte(path)); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if new(List).Denies([]byte("/a")) || (*List)(nil).Denies([]byte("/a")) {
		t.Error("an empty list denies")
	}
	for _, path := range []string{"/", "/a", "/a/b.php"} {
		if !list(t, "/**").Denies([]byte(path)) {
			t.Errorf("/** does not deny %s", path)
		}
	}
	if only := list(t, "/"); !only.Denies([]byte("/")) || only.Denies([]byte("/a")) {
		t.Error("/ is not / alone")
	}
}

func TestCheck(t *testing.T) {
	for _, p := range []string{"", "a/b", "*", "**", "/a/../b", "/a//b", "/a**", "/a%20b", `a\b`, "a\n", "/./a"} {
		if err := Check(p); !errors.Is(err, ErrPattern) {
			t.Errorf("%q: %v", p, err)
		}
	}
	if l, err := New([]string{"ok", "a/b"}); l != nil || err == nil {
		t.Error("a bad pattern is taken")
	}
}

func TestDeniesDoesNotAllocate(t *testing.T) {
	l, path := list(t, "*.sql", "/data/**"), []byte("/wp-content/plugins/a/b.css")
	if n := testing.AllocsPerRun(100, func() { l.Denies(path) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzGlob: a slow matcher agrees, and neither takes long.
func FuzzGlob(f *testing.F) {
	f.Add("*.sql", "a.sql")
	f.Add("a*b?c*", "aXbYcZ")
	f.Add("****a", strings.Repeat("b", 50))
	f.Fuzz(func(t *testing.T, p, name string) {
		if len(p) > 12 || len(name) > 40 {
			return
		}
		if got, want := glob(p, []byte(name)), slow(p, name); got != want {
			t.Fatalf("%q, %q: %v, want %v", p, name, got, want)
		}
	})
}

func slow(p, name string) bool {
	switch {
	case p == "":
		return name == ""
	case p[0] == '*':
		return slow(p[1:], name) || name != "" && slow(p, name[1:])
	}
	return name != "" && (p[0] == '?' || p[0] == name[0]) && slow(p[1:], name[1:])
}
