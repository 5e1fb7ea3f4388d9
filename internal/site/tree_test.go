package site

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// modified is when every file of a tree was.
var modified = time.Date(2024, 2, 29, 12, 34, 56, 789, time.UTC)

// newTree makes a folder "out" with a folder "root" in it and returns root. A name is below root, or
// beside it with "../". What a value says: "-> x" a link to x, {out} being the folder; otherwise the
// content of a file.
func newTree(t testing.TB, files map[string]string) string {
	t.Helper()
	out, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(out, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(strings.ReplaceAll(to, "{out}", out), name)
		} else if err = os.WriteFile(name, []byte(content), 0o644); err == nil {
			err = os.Chtimes(name, modified, modified)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func newSite(t testing.TB, o Options) *Site {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hostile has one of everything that must be found, and one of everything that must not.
var hostile = map[string]string{
	"index.php":                     "SECRET <?php",
	"index.html":                    "public root",
	"style.css":                     "public css",
	"a b/é.txt":                     "public utf-8",
	"%2e.txt":                       "public percent",
	"noext":                         "public noext",
	"wiki.php":                      "SECRET <?php",
	"sub/page.php":                  "SECRET <?php",
	"sub/x.html":                    "public x",
	"docs/index.html":               "public docs",
	"app/index.php":                 "SECRET <?php",
	"empty/readme.txt":              "public readme",
	"folder.php/inner.php":          "SECRET <?php",
	"folder.php/inner.txt":          "public inner",
	"upload/x.jpg":                  "public jpg",
	"upload/evil.php":               "SECRET <?php",
	"upload/index.php":              "SECRET <?php",
	"upload/deep/evil.php":          "SECRET <?php",
	".htaccess":                     "SECRET dot",
	".git/config":                   "SECRET dot",
	"sub/.env":                      "SECRET dot",
	".well-known/acme/token":        "public token",
	"sub/.well-known/x":             "SECRET dot",
	".well-known/.secret":           "SECRET dot",
	"config.php.bak":                "SECRET source",
	"config.php~":                   "SECRET source",
	"config.PHP":                    "SECRET source",
	"config.phtml":                  "SECRET source",
	"config.php.2":                  "SECRET source",
	"config.php_old":                "SECRET source",
	"lib.inc":                       "SECRET source",
	"photo.php.jpg":                 "SECRET source",
	"dot.":                          "SECRET trailing dot",
	"space ":                        "SECRET trailing space",
	"links/file.txt":                "-> ../sub/x.html",
	"links/chain.txt":               "-> file.txt",
	"links/dir":                     "-> ../sub",
	"links/up":                      "-> dir/../style.css", // dir is a link: its ".." is the root
	"links/absolute.txt":            "-> {out}/root/style.css",
	"links/absolute":                "-> {out}/root",
	"links/out.txt":                 "-> ../../out.txt",
	"links/out":                     "-> ../..",
	"links/abs-out.txt":             "-> {out}/out.txt",
	"links/beside":                  "-> {out}/root-beside",
	"links/out.php":                 "-> ../../out.php",
	"links/back.txt":                "-> ../../root/style.css",
	"links/dot.txt":                 "-> ../.htaccess",
	"links/git":                     "-> ../.git",
	"links/source.txt":              "-> ../wiki.php",
	"links/page.php":                "-> ../sub/page.php",
	"links/jpg.php":                 "-> ../upload/x.jpg",
	".git/hook.php":                 "SECRET dot",
	"links/hook.php":                "-> ../.git/hook.php",
	"links/css.php":                 "-> ../style.css",
	"links/css.php.bak":             "-> ../style.css",
	"upload/wiki.php":               "-> ../wiki.php",
	"links/upload.php":              "-> ../upload/evil.php",
	"links/loop":                    "-> loop",
	"links/nowhere":                 "-> nothing",
	"../out.txt":                    "SECRET outside",
	"../out.php":                    "SECRET outside",
	"../root-beside/x.txt":          "SECRET outside",
	"../.hidden-above/follow/x.txt": "public elsewhere",
	"links/follow":                  "-> {out}/.hidden-above/follow",
}

// body reads what an answer sends.
func body(t testing.TB, a *Answer) string {
	t.Helper()
	if a.File == nil {
		return ""
	}
	b, err := io.ReadAll(io.NewSectionReader(a.File, a.Offset, a.Length))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
