package site

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// ask says what a GET is answered with, in a word: "file" and the content, "script" with its name and
// path info, "to" a location, or a status.
func ask(t testing.TB, s *Site, path string) string {
	t.Helper()
	path, query, _ := strings.Cut(path, "?")
	a, err := s.Serve(&Request{Method: "GET", Path: path, Query: query})
	if err != nil {
		return "error: " + err.Error()
	}
	defer a.File.Close()
	switch {
	case a.Script != nil:
		return strings.TrimRight("script "+a.Script.Name+" "+a.Script.PathInfo, " ")
	case a.Status == 200:
		return "file " + body(t, &a)
	case a.Status == 301:
		return "to " + strings.TrimSuffix(strings.TrimPrefix(string(a.Head), "Location: "), "\r\n")
	}
	return fmt.Sprint(a.Status)
}

func TestPaths(t *testing.T) {
	s := newSite(t, Options{Root: newTree(t, hostile), NoScripts: []string{"/upload/"}})
	tests := []struct{ path, want string }{
		{"/style.css", "file public css"},
		{"/a%20b/%C3%A9.txt", "file public utf-8"},
		{"/%252e.txt", "file public percent"},
		{"/noext", "file public noext"},
		{"/nothing", "404"},
		{"/style.css/", "404"},
		{"/style.css/x", "404"},

		// Scripts and what follows them.
		{"/wiki.php", "script /wiki.php"},
		{"/wiki.php?a=b", "script /wiki.php"},
		{"/wiki.php/", "script /wiki.php /"},
		{"/wiki.php/a/b.php/c", "script /wiki.php /a/b.php/c"},
		{"/wiki.php/a%20b/", "script /wiki.php /a b/"},
		{"/wiki.php/.hidden/Inc.", "script /wiki.php /.hidden/Inc."},
		{"/w%69ki%2ephp/a", "script /wiki.php /a"},
		{"/wiki.php//a", "script /wiki.php /a"},
		{"/wiki.php/../style.css", "file public css"},
		{"/wiki.php/a/../../sub/page.php/b", "script /sub/page.php /b"},
		{"/nothing.php", "404"},
		{"/nothing.php/wiki.php", "404"},
		{"/folder.php/inner.php/x", "script /folder.php/inner.php /x"},
		{"/folder.php/inner.txt", "file public inner"},
		{"/sub/wiki.php", "404"},

		// An upload is not run, whatever follows it.
		{"/upload/x.jpg", "file public jpg"},
		{"/upload/x.jpg/y.php", "404"},
		{"/upload/x.jpg/.php", "404"},
		{"/upload/x.jpg%00.php", "400"},
		{"/upload/x.jpg%0a.php", "400"},
		{"/upload/x.jpg%0Ay.php", "400"},
		{"/upload/evil.php", "404"},
		{"/upload/evil.php/x", "404"},
		{"/upload/./evil.php", "404"},
		{"/sub/../upload/evil.php", "404"},
		{"//upload//evil.php", "404"},
		{"/upload/deep/evil.php", "404"},
		{"/Upload/evil.php", "404"},
		{"/upload/", "404"}, // its index.php is not run
		{"/upload", "404"},
		{"/links/upload.php", "404"},
		{"/links/jpg.php", "404"},
		{"/links/css.php", "404"},
		{"/links/css.php/x", "404"},
		{"/links/hook.php", "404"},
		{"/upload/wiki.php", "404"},

		// Source is not shown.
		{"/config.php.bak", "404"},
		{"/config.php~", "404"},
		{"/config.PHP", "404"},
		{"/config.phtml", "404"},
		{"/config.php.2", "404"},
		{"/config.php_old", "404"},
		{"/lib.inc", "404"},
		{"/photo.php.jpg", "404"},
		{"/wiki.php.", "404"},
		{"/wiki.php%20", "404"},
		{"/wiki.php%20/", "404"},
		{"/wiki.php::$DATA", "404"},
		{"/links/source.txt", "404"},
		{"/links/css.php.bak", "404"},

		// Nor what begins with a dot.
		{"/.htaccess", "404"},
		{"/%2ehtaccess", "404"},
		{"/.git/config", "404"},
		{"/.git/", "404"},
		{"/sub/.env", "404"},
		{"/x/../.git/config", "404"},
		{"/.well-known/acme/token", "file public token"},
		{"/.well-known/.secret", "404"},
		{"/.well-known/../.htaccess", "404"},
		{"/sub/.well-known/x", "404"},
		{"/links/dot.txt", "404"},
		{"/links/git/config", "404"},
		{"/dot.", "404"},
		{"/space%20", "404"},
		{"/style.css.", "404"},
		{"/...", "404"},

		// What has no single meaning.
		{"", "400"},
		{"*", "400"},
		{"style.css", "400"},
		{"/..", "400"},
		{"/../style.css", "400"},
		{"/sub/../../root/style.css", "400"},
		{"/%2e%2e/style.css", "400"},
		{"/.%2e/out.txt", "400"},
		{"/sub%2fx.html", "400"},
		{"/sub%2Fx.html", "400"},
		{"/sub%5cx.html", "400"},
		{"/sub\\x.html", "400"},
		{"/..%5c..%5cout.txt", "400"},
		{"/style.css%00", "400"},
		{"/style.css%7f", "400"},
		{"/%c0%af..%c0%afout.txt", "400"},
		{"/%c0%ae%c0%ae/out.txt", "400"},
		{"/%e9.txt", "404"},
		{"/%", "400"},
		{"/%4", "400"},
		{"/%zz", "400"},
		{"/%u002e", "400"},
		{"/%252e%252e/style.css", "404"}, // decoded once
		{"/..;/style.css", "404"},        // a parameter to Tomcat, a name here
		{"/style.css;x", "404"},

		// Forms of the same path.
		{"//style.css", "file public css"},
		{"/./style.css", "file public css"},
		{"/sub/../style.css", "file public css"},
		{"/nowhere/%2e%2e/style.css", "file public css"},
		{"/" + strings.Repeat("a", 300), "404"},

		// Folders.
		{"/", "script /index.php"},
		{"/.", "script /index.php"},
		{"/sub/..", "script /index.php"},
		{"/docs/", "file public docs"},
		{"/docs", "to /docs/"},
		{"/docs?a=b&c", "to /docs/?a=b&c"},
		{"//docs", "to /docs/"},
		{"/docs/.", "file public docs"},
		{"/app", "to /app/"},
		{"/app/", "script /app/index.php"},
		{"/empty/", "404"},
		{"/empty", "404"},
		{"/folder.php", "404"},

		// Links.
		{"/links/file.txt", "file public x"},
		{"/links/chain.txt", "file public x"},
		{"/links/dir/x.html", "file public x"},
		{"/links/dir/page.php/i", "script /links/dir/page.php /i"},
		{"/links/page.php", "script /links/page.php"},
		{"/links/up", "file public css"},
		{"/links/absolute.txt", "file public css"},
		{"/links/absolute/docs/", "file public docs"},
		{"/links/absolute/docs", "to /links/absolute/docs/"},
		{"/links/absolute/.htaccess", "404"},
		{"/links/absolute/upload/evil.php", "404"},
		{"/links/out.txt", "404"},
		{"/links/out/out.txt", "404"},
		{"/links/abs-out.txt", "404"},
		{"/links/beside/x.txt", "404"},
		{"/links/out.php", "404"},
		{"/links/back.txt", "404"},
		{"/links/loop", "404"},
		{"/links/nowhere", "404"},
		{"/links/follow/x.txt", "404"},
	}
	for _, test := range tests {
		if got := ask(t, s, test.path); got != test.want {
			t.Errorf("%s: %s, want %s", test.path, got, test.want)
		}
	}
}

func TestFollow(t *testing.T) {
	s := newSite(t, Options{Root: newTree(t, hostile), NoScripts: []string{"/upload"}, Follow: true})
	tests := []struct{ path, want string }{
		{"/links/out.txt", "file SECRET outside"},
		{"/links/abs-out.txt", "file SECRET outside"},
		{"/links/out/out.txt", "file SECRET outside"},
		{"/links/beside/x.txt", "file SECRET outside"},
		{"/links/back.txt", "file public css"},
		{"/links/out.php", "script /links/out.php"},
		{"/links/follow/x.txt", "file public elsewhere"},
		{"/links/follow", "404"},
		{"/links/follow/", "404"},
		{"/links/out/root/.htaccess", "404"},
		{"/links/out/root/upload/evil.php", "404"},
		{"/links/out/root/wiki.php.", "404"},
		{"/links/source.txt", "404"},
		{"/links/loop", "404"},
		{"/links/nowhere", "404"},
		{"/../out.txt", "400"},
	}
	for _, test := range tests {
		if got := ask(t, s, test.path); got != test.want {
			t.Errorf("%s: %s, want %s", test.path, got, test.want)
		}
	}
}

func TestTryFiles(t *testing.T) {
	s := newSite(t, Options{Root: newTree(t, hostile), NoScripts: []string{"/upload"}, TryFiles: []string{"/none.html", "/index.php"}})
	tests := []struct{ path, want string }{
		{"/pretty/url", "script /index.php"},
		{"/pretty/url/", "script /index.php"},
		{"/nothing.php/x", "script /index.php"},
		{"/upload/x.jpg/y.php", "script /index.php"},
		{"/empty/", "script /index.php"},
		{"/style.css", "file public css"},
		{"/docs", "to /docs/"},
		{"/upload/evil.php", "404"},
		{"/.htaccess", "404"},
		{"/.not-there", "script /index.php"},
		{"/config.php.bak", "404"},
		{"/../x", "400"},
	}
	for _, test := range tests {
		if got := ask(t, s, test.path); got != test.want {
			t.Errorf("%s: %s, want %s", test.path, got, test.want)
		}
	}
}

// TestPathsAreBytes has names in EUC-KR, Shift_JIS and Latin-1, which are files, scripts' PATH_INFO, or the app's.
func TestPathsAreBytes(t *testing.T) {
	root := newTree(t, hostile)
	for _, name := range []string{"line\nend.txt", "\xc7\xd1\xb1\xdb.hwp", "caf\xe9.pdf", "\xc0\xaf\xc0\xda.jpg", "\x83\x5c\x95\x5c.txt", "\xc0\xcc/x.css", "\xe9.php"} {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("bytes"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	bare := newSite(t, Options{Root: root, NoScripts: []string{"/upload"}})
	front := newSite(t, Options{Root: root, NoScripts: []string{"/upload"}, TryFiles: []string{"/index.php"}})
	const app = "script /index.php"
	tests := []struct{ path, bare, front string }{
		{"/%C7%D1%B1%DB.hwp", "file bytes", "file bytes"},
		{"/\xc7\xd1\xb1\xdb.hwp", "file bytes", "file bytes"},
		{"/caf%E9.pdf", "file bytes", "file bytes"},
		{"/%C0%AF%C0%DA.jpg", "file bytes", "file bytes"}, // its first syllable is an overlong slash in UTF-8
		{"/%83%5C%95%5C.txt", "file bytes", "file bytes"}, // each character ends in a backslash
		{"/%83\\%95\\.txt", "file bytes", "file bytes"},
		{"/%C0%CC/x.css", "file bytes", "file bytes"},
		{"/%E9.php/%C7%D1", "script /\xe9.php /\xc7\xd1", "script /\xe9.php /\xc7\xd1"},
		{"/index.php/%C7%D1%B1%DB", app + " /\xc7\xd1\xb1\xdb", app + " /\xc7\xd1\xb1\xdb"},
		{"/index.php/App%5CModel", app + ` /App\Model`, app + ` /App\Model`},
		{"/index.php/AC%2FDC", app + " /AC/DC", app + " /AC/DC"},

		{"/wiki/Washington_D.C.", "404", app},
		{"/wiki/.NET_Framework", "404", app},
		{"/search/what.", "404", app},
		{"/search/a%20", "404", app},
		{"/.", app, app},
		{"/wiki/...", "404", app},
		{"/wiki/Caf%E9", "404", app},
		{"/%C0%CC%BF%EB", "404", app},
		{"/%C0%20propos", "404", app},
		{"/wiki/AC%2FDC", "400", app},
		{"/wiki/a%2f", "400", app},
		{"/wp-json/wp/v2/plugins/akismet%2Fakismet", "400", app},
		{"/App%5CModel", "400", app},
		{"/.not-there/x.php", "404", app},
		{"/wiki.php.", "404", app},

		// What exists keeps its rules, and what leads to it is no name of the app's.
		{"/.htaccess", "404", "404"}, {"/.git/config", "404", "404"}, {"/.git/nothing", "404", "404"}, {"/.git", "404", "404"},
		{"/sub/.env", "404", "404"}, {"/dot.", "404", "404"}, {"/space%20", "404", "404"}, {"/upload/evil.php", "404", "404"},
		{"/config.php.bak", "404", "404"}, {"/links/dot.txt", "404", "404"}, {"/.git/hook.php/x", "404", "404"},
		{"/upload%2fevil.php", "400", app}, {"/upload%5cevil.php", "400", app}, {"/sub%2fpage.php/x", "400", app},
		{"/index.php/a%2f..%2f..%2fupload/evil.php", "400", "400"}, {"/a%5c..%5cx", "400", "400"}, {"/a%2f.%2fx", "400", "400"},
		{"/..%2fout.txt", "400", "400"}, {"/%c0%ae%c0%ae/out.txt", "400", "400"}, {"/a%c0%af..%c0%afx", "400", "400"},
		{"/a%e0%80%af%e0%80%ae.%c1%9cx", "400", "400"}, {"/index.php/%c0%ae.", "400", "400"}, {"/x%00", "400", "400"}, {"/x%0a", "400", app}, {"/wiki/a%0D%0A", "400", app}, {"/a%09b/c", "400", app}, {"/x%7F", "400", app},
		{"/upload/evil.php%0a", "400", app}, {"/upload/x.jpg%0a.php", "400", app}, {"/style.css%0a", "400", app}, {"/index.php%0a", "400", app}, {"/docs%0a/", "400", app},
		{"/index.php/%7f", "400", "400"}, {"/index.php/a/b%0Ac/d", "400", "400"}, {"/line%0Aend.txt", "400", app}, {"/..%0a/x", "400", app}, {"/%0a..%2f..", "400", "400"},
		{"/index.php/x%0d", "400", "400"}, {"/100%", "400", "400"}, {"/../x", "400", "400"},
	}
	for _, test := range tests {
		if got := ask(t, bare, test.path); got != test.bare {
			t.Errorf("%q: %q, want %q", test.path, got, test.bare)
		}
		if got := ask(t, front, test.path); got != test.front {
			t.Errorf("%q with try files: %q, want %q", test.path, got, test.front)
		}
	}
}

// TestReasons: what the site refuses though it is there is told in the log, with what to set; what is not there is not.
func TestReasons(t *testing.T) {
	s := newSite(t, Options{Root: newTree(t, hostile), NoScripts: []string{"/upload"}})
	for path, want := range map[string]string{
		"/links/out.txt": "follow_links", "/links/out/out.txt": "follow_links", "/links/out.php": "follow_links", "/upload/evil.php": "no_scripts",
		"/.git/config": "begins with a dot", "/dot.": "begins with a dot", "/config.php.bak": "source of a program", "/lib.inc": "serve_files",
		"/sub%2fx.html": "try_files", "/x%0a": "control byte", "/index.php/x%0a": "PATH_INFO", "/x%00": "in two ways", "/nothing": "", "/.not-there": "", "/links/nowhere": "", "/style.css": "",
	} {
		a, err := s.Serve(&Request{Method: "GET", Path: path})
		if err != nil || !strings.Contains(a.Reason, want) || (a.Reason == "") != (want == "") {
			t.Errorf("%s: %d %q, %v; want %q", path, a.Status, a.Reason, err, want)
		}
		a.File.Close()
	}
}

func TestIndex(t *testing.T) {
	root := newTree(t, hostile)
	tests := []struct {
		index []string
		path  string
		want  string
	}{
		{[]string{"index.html", "index.php"}, "/", "file public root"},
		{[]string{"wiki.php"}, "/", "script /wiki.php"},
		{[]string{"readme.txt"}, "/empty/", "file public readme"},
		{[]string{}, "/", "404"},
		{[]string{"sub", "index.html"}, "/", "file public root"},
		{[]string{"config.php.bak"}, "/", "404"},
	}
	for _, test := range tests {
		if got := ask(t, newSite(t, Options{Root: root, Index: test.index}), test.path); got != test.want {
			t.Errorf("%v: %s: %s, want %s", test.index, test.path, got, test.want)
		}
	}
}

func TestNoScriptsAnywhere(t *testing.T) {
	s := newSite(t, Options{Root: newTree(t, hostile), NoScripts: []string{"/"}})
	for path, want := range map[string]string{"/": "file public root", "/wiki.php": "404", "/sub/page.php/x": "404", "/style.css": "file public css"} {
		if got := ask(t, s, path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestScriptAsTheResponderSeesIt(t *testing.T) {
	root := newTree(t, hostile)
	for script, want := range map[string]Script{
		"":      {Root: root, Filename: root + "/sub/page.php", Name: "/sub/page.php", PathInfo: "/x"},
		"/app":  {Root: "/app", Filename: "/app/sub/page.php", Name: "/sub/page.php", PathInfo: "/x"},
		"/app/": {Root: "/app", Filename: "/app/sub/page.php", Name: "/sub/page.php", PathInfo: "/x"},
		"/":     {Root: "/", Filename: "/sub/page.php", Name: "/sub/page.php", PathInfo: "/x"},
	} {
		a, err := newSite(t, Options{Root: root, ScriptRoot: script}).Serve(&Request{Method: "POST", Path: "/sub/page.php/x"})
		if err != nil || a.Script == nil || *a.Script != want {
			t.Errorf("%q: %+v, %v, want %+v", script, a.Script, err, want)
		}
	}
}

// TestRootIsALink sets the root to another folder, as deployments do.
func TestRootIsALink(t *testing.T) {
	root := newTree(t, map[string]string{"one/a.txt": "public 1", "two/a.txt": "public 2", "two/abs.txt": "-> {out}/root/current/a.txt",
		"two/real.txt": "-> {out}/root/two/a.txt", "current": "-> one"})
	current := filepath.Join(root, "current")
	s := newSite(t, Options{Root: current})
	if got := ask(t, s, "/a.txt"); got != "file public 1" {
		t.Error(got)
	}
	if err := os.Remove(current); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Serve(&Request{Method: "GET", Path: "/a.txt"}); !errors.Is(err, ErrRoot) {
		t.Errorf("without a root: %v", err)
	}
	if err := os.Symlink("two", current); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/a.txt", "/abs.txt", "/real.txt"} {
		if got := ask(t, s, path); got != "file public 2" {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// TestScriptOfARelease: a script is named by where the root leads at that moment, which is how PHP's opcache knows it.
func TestScriptOfARelease(t *testing.T) {
	root := newTree(t, map[string]string{"releases/1/index.php": "<?php", "releases/2/index.php": "<?php", "current": "-> releases/1", "abs": "-> {out}/root/current"})
	current := filepath.Join(root, "current")
	run := func(o Options) Script {
		t.Helper()
		a, err := newSite(t, o).Serve(&Request{Method: "GET", Path: "/index.php/x"})
		if err != nil || a.Script == nil {
			t.Fatalf("%+v, %v", a, err)
		}
		return *a.Script
	}
	for _, release := range []string{"1", "2"} {
		link := filepath.Join(root, "next")
		if err := errors.Join(os.Symlink("releases/"+release, link), os.Rename(link, current)); err != nil {
			t.Fatal(err)
		}
		folder := root + "/releases/" + release
		for _, o := range []Options{{Root: current}, {Root: filepath.Join(root, "abs")}, {Root: folder}} {
			if got, want := run(o), (Script{Root: folder, Filename: folder + "/index.php", Name: "/index.php", PathInfo: "/x"}); got != want {
				t.Errorf("%s: %+v, want %+v", o.Root, got, want)
			}
		}
		if got, want := run(Options{Root: current, ScriptRoot: "/app/current"}), (Script{Root: "/app/current", Filename: "/app/current/index.php", Name: "/index.php", PathInfo: "/x"}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	s := newSite(t, Options{Root: current})
	for range 2 { // one site sees each switch at once
		for _, release := range []string{"1", "2"} {
			link := filepath.Join(root, "next")
			if err := errors.Join(os.Symlink("releases/"+release, link), os.Rename(link, current)); err != nil {
				t.Fatal(err)
			}
			if a, err := s.Serve(&Request{Method: "GET", Path: "/"}); err != nil || a.Script == nil || a.Script.Root != root+"/releases/"+release {
				t.Errorf("%s: %+v, %v", release, a.Script, err)
			}
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for _, o := range []Options{
		{}, {Root: "www"}, {Root: "/srv", ScriptRoot: "srv"}, {Root: "/srv", Index: []string{"a/b"}}, {Root: "/srv", Index: []string{""}},
		{Root: "/srv", Index: []string{".htaccess"}}, {Root: "/srv", Index: []string{".."}}, {Root: "/srv", NoScripts: []string{"upload"}},
		{Root: "/srv", NoScripts: []string{""}}, {Root: "/srv", NoScripts: []string{"/../x"}}, {Root: "/srv", TryFiles: []string{"index.php"}},
		{Root: "/srv", TryFiles: []string{"/"}}, {Root: "/srv", TryFiles: []string{"/.env"}}, {Root: "/srv", TryFiles: []string{"/x/"}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestLinkThatKeepsChanging looks for a moment between the check of a link and the opening of the file.
func TestLinkThatKeepsChanging(t *testing.T) {
	root := newTree(t, hostile)
	s := newSite(t, Options{Root: root, NoScripts: []string{"/upload"}})
	stopc, donec := make(chan struct{}), make(chan error, 1)
	go exchange(root, stopc, donec)
	seen := map[string]int{}
	for range 20000 {
		for _, path := range []string{"/moving.txt", "/moving/x.txt"} {
			got := ask(t, s, path)
			if strings.Contains(got, "SECRET") {
				t.Fatalf("%s: %s", path, got)
			}
			seen[got]++
		}
		if seen["404"] > 100 && len(seen) > 1 && seen["file public css"] > 100 {
			break
		}
	}
	close(stopc)
	if err := <-donec; err != nil {
		t.Fatal(err)
	}
	t.Log(seen)
	if seen["file public css"] == 0 || seen["404"] == 0 {
		t.Errorf("both sides were not seen: %v", seen)
	}
}

// exchange makes moving.txt and moving something else all the time.
func exchange(root string, stopc chan struct{}, donec chan error) {
	targets := [][2]string{{"moving.txt", "style.css"}, {"moving.txt", "../out.txt"}, {"moving.txt", "wiki.php"}, {"moving", "empty"},
		{"moving.txt", ".htaccess"}, {"moving", "../root-beside"}}
	for i := 0; ; i++ {
		select {
		case <-stopc:
			donec <- nil
			return
		default:
		}
		next := filepath.Join(root, "next")
		target := targets[i%len(targets)]
		if err := os.Symlink(target[1], next); err != nil {
			donec <- err
			return
		}
		if err := os.Rename(next, filepath.Join(root, target[0])); err != nil {
			donec <- err
			return
		}
		runtime.Gosched()
	}
}

// FuzzResolve asks for any path. What is opened must be one of the files that may be, and what is run
// one of the scripts that may be.
func FuzzResolve(f *testing.F) {
	root := newTree(f, hostile)
	sites := []*Site{
		newSite(f, Options{Root: root, NoScripts: []string{"/upload"}}),
		newSite(f, Options{Root: root, NoScripts: []string{"/upload"}, TryFiles: []string{"/index.php"}, Index: []string{"index.html", "evil.php", "page.php"}}),
	}
	for _, path := range []string{
		"/", "/style.css", "/wiki.php/a", "/upload/evil.php", "/upload/x.jpg/y.php", "/%2e%2e/out.txt", "/links/out/out.txt", "/links/absolute/.git/config",
		"/links/dir/page.php", "/config.php~", "/%2ehtaccess", "/.well-known/acme/token", "/a%20b/%c3%a9.txt", "//docs", "/folder.php/inner.php/",
		"/links/absolute/links/absolute/upload/evil.php", "/space%20", "/links/beside/x.txt",
	} {
		f.Add(path)
	}
	scripts := []string{"/index.php", "/wiki.php", "/sub/page.php", "/app/index.php", "/folder.php/inner.php"} // by their real names
	f.Fuzz(func(t *testing.T, path string) {
		for _, s := range sites {
			a, err := s.Serve(&Request{Method: "GET", Path: path})
			if err != nil {
				t.Fatalf("%q: %v", path, err)
			}
			switch {
			case a.Script != nil:
				checkScript(t, root, a.Script, scripts)
			case a.File != nil:
				content := body(t, &a)
				a.File.Close()
				if a.Status != 200 || !strings.HasPrefix(content, "public ") || content == "public elsewhere" {
					t.Fatalf("%q: %d, %q", path, a.Status, content)
				}
			case a.Status == 301:
				to := strings.TrimSuffix(strings.TrimPrefix(string(a.Head), "Location: "), "\r\n")
				if to[0] != '/' || to[len(to)-1] != '/' || len(to) < 2 || to[1] == '/' || to[1] == '\\' || strings.ContainsAny(to, "\r\n \\") {
					t.Fatalf("%q: to %q", path, to)
				}
			case a.Status != 400 && a.Status != 404:
				t.Fatalf("%q: %d", path, a.Status)
			}
		}
	})
}

func checkScript(t *testing.T, root string, s *Script, allowed []string) {
	t.Helper()
	real, err := filepath.EvalSymlinks(s.Filename)
	if err != nil || s.Filename != root+s.Name || s.PathInfo != "" && s.PathInfo[0] != '/' || strings.ContainsAny(s.Name, "\x00\r\n\\") || strings.ContainsAny(s.PathInfo, "\x00\r\n") {
		t.Fatalf("%+v: %v", s, err)
	}
	name, ok := strings.CutPrefix(real, root)
	if !ok || !slices.Contains(allowed, name) {
		t.Fatalf("%+v runs %s", s, real)
	}
}
