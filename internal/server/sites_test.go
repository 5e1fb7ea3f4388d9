package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/warnings"
)

func TestWarningsOfFolders(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "upload"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "upload", ".htaccess"), []byte("php_flag engine off\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	guarded := t.TempDir()
	if err := os.Mkdir(filepath.Join(guarded, "private"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(guarded, "private", ".htaccess"), []byte("Require all denied\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const rule = "routes: [{match: /private, internal: true}]"
	for _, tt := range []struct{ text, warning, problem string }{
		{"site: {root: " + root + "}", "no_scripts: [/upload]", ""},
		{"site: {root: " + root + ", no_scripts: [/upload]}", "", ""},
		{"site: {root: " + root + ", no_scripts: [/upload], serve_files: [.php]}", "", "serve_files"},
		{"site: {root: " + root + ", no_scripts: [/upload], try_files: [/.env]}", "", "try file"},
		{"site: {root: " + root + ", no_scripts: [/upload], types: [pcx]}", "", "types"},
		{"site: {root: " + root + ", no_scripts: [/upload]}\nroutes: [{match: /blog, upstream: fastcgi://127.0.0.1:9001, site: {root: " + root + "/upload}}]", "no_scripts: [/]", ""},
		{"site: {root: " + guarded + "}", rule, ""},
		{"site: {root: " + guarded + "}\n" + rule, "", ""}, // as the warning says
		{"site: {root: " + guarded + "}\nroutes: [{match: /private, upstream: http://127.0.0.1:8082}]", "", ""},
		{"site: {root: " + guarded + "}\nroutes: [{match: /private, redirect: 'https://example.com'}]", "", ""},
		{"site: {root: " + guarded + "}\nroutes: [{match: /private/x, internal: true}, {match: /priv, internal: true}]", rule, ""},
		{"site: {root: " + root + ", no_scripts: [/upload]}\nroutes: [{match: /assets, root: " + guarded + "}]", "routes: [{match: /assets/private, internal: true}]", ""},
		{"site: {root: " + root + ", no_scripts: [/upload]}\nroutes: [{match: /assets, root: " + guarded + ", internal: true}]", "", ""},
	} {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte("upstream: fastcgi://127.0.0.1:9000\n"+tt.text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(warnings.Sites(c), "\n"); !strings.Contains(got, tt.warning) || (got == "") != (tt.warning == "") {
			t.Errorf("%s: warnings %q; want %q", tt.text, got, tt.warning)
		}
		if err := Check(c); (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%s: %v; want %q", tt.text, err, tt.problem)
		}
	}
}
