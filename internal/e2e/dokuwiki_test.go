//go:build e2e && linux

package e2e

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// newDokuWiki prepares Debian's DokuWiki, which stays where it is installed, with a configuration, one
// user and data of its own, below dir. It returns the PHP settings that it needs.
func newDokuWiki(t *testing.T, user, password string) (dir string, settings map[string]string) {
	t.Helper()
	program(t, "/usr/share/dokuwiki/doku.php", "dokuwiki")
	dir = publicTempDir(t)
	data, conf := filepath.Join(dir, "data"), filepath.Join(dir, "conf")
	for _, name := range []string{
		"attic", "cache", "index", "locks", "log", "media", "media_attic", "media_meta", "meta", "pages", "tmp",
	} {
		mkdirForApache(t, filepath.Join(data, name))
	}
	for _, name := range []string{"plugins.php", "plugins.required.php"} {
		content, err := os.ReadFile(filepath.Join("/etc/dokuwiki", name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(conf, name), string(content))
	}
	writeFile(t, filepath.Join(conf, "local.php"), fmt.Sprintf(`<?php
$conf['title'] = 'Wiki behind Holdfast';
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['updatecheck'] = 0;
$conf['savedir'] = '%s';
`, data))
	writeFile(t, filepath.Join(conf, "acl.auth.php"), "# <?php exit()?>\n*\t@ALL\t1\n*\t@user\t8\n")
	writeFile(t, filepath.Join(conf, "users.auth.php"), fmt.Sprintf("# <?php exit()?>\n%s:%x:Test User:test@localhost:admin,user\n",
		user, md5.Sum([]byte(password))))
	prepend := filepath.Join(dir, "prepend.php") // runs before the package's own choice of a folder
	writeFile(t, prepend, fmt.Sprintf("<?php define('DOKU_CONF', '%s/');\n", conf))

	return dir, map[string]string{
		"auto_prepend_file": prepend, "upload_max_filesize": "64M", "post_max_size": "64M", "memory_limit": "256M",
	}
}

const (
	wikiUser     = "admin"
	wikiPassword = "a secret & more"
	wikiRoot     = "/usr/share/dokuwiki"
)

// TestDokuWiki is DokuWiki on Apache and mod_php.
func TestDokuWiki(t *testing.T) {
	dir, settings := newDokuWiki(t, wikiUser, wikiPassword)
	var directives strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&directives, "php_admin_value %s %s\n", name, value)
	}
	testDokuWiki(t, startHoldfast(t, "http://"+startApache(t, dir, wikiRoot, directives.String()), ""))
}

// TestDokuWikiOnFPM is the same on php-fpm, with no web server but Holdfast.
func TestDokuWikiOnFPM(t *testing.T) {
	dir, settings := newDokuWiki(t, wikiUser, wikiPassword)
	socket := startFPM(t, dir, settings)
	testDokuWiki(t, startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`
listen: %s
upstream: fastcgi+unix:%s
site: {root: %s, index: [doku.php], follow_links: true}
upstream_pool: {max_conns: 3}
hooks: {listen: %s}
`, listen, socket, wikiRoot, hooks)
	}))
}

// hiddenFields returns the hidden fields of the form with this id.
func hiddenFields(t *testing.T, a answer, form string) url.Values {
	t.Helper()
	_, rest, ok := strings.Cut(a.body, fmt.Sprintf(`<form id="%s"`, form))
	if !ok {
		t.Fatalf("no form %s in the page\n%s", form, a.body)
	}
	rest, _, _ = strings.Cut(rest, "</form>")
	fields := make(url.Values)
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(rest, -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	return fields
}

// testDokuWiki works with DokuWiki as a person would. The steps build on one another.
func testDokuWiki(t *testing.T, h *holdfast) {
	v := newVisitor(t, h.url)
	inOrder := func(name string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) { v.t = t; f(t) }) {
			t.FailNow()
		}
	}

	const page = "/doku.php?id=parcels:e2e"
	inOrder("a stranger may not edit", func(t *testing.T) {
		v.get(page+"&do=edit").wantText(t, "permission")
	})
	inOrder("log in", func(t *testing.T) {
		form := hiddenFields(t, v.get("/doku.php?id=start&do=login"), "dw__login")
		form.Set("u", wikiUser)
		form.Set("p", "wrong")
		v.post("/doku.php?id=start", form).wantText(t, "username or password was wrong")
		form = hiddenFields(t, v.get("/doku.php?id=start&do=login"), "dw__login")
		form.Set("u", wikiUser)
		form.Set("p", wikiPassword)
		a := v.post("/doku.php?id=start", form)
		a.want(t, http.StatusFound)
		if location := a.Header.Get("Location"); !strings.HasPrefix(location, h.url+"/doku.php?id=start") {
			t.Errorf("Location is %q, want a page of %s", location, h.url)
		}
		v.get("/doku.php?id=start").wantText(t, "Logged in as", "Test User")
	})
	inOrder("edit a page", func(t *testing.T) {
		form := hiddenFields(t, v.get(page+"&do=edit"), "dw__editform")
		form.Set("wikitext", "====== Parcels ======\n\nThe parcel is **on its way** to Zoë.\n"+strings.Repeat("  * a stop\n", 2000))
		form.Set("summary", "written by a test")
		form.Set("do[save]", "1")
		a := v.post(page, form)
		a.want(t, http.StatusFound)
		v.get(page).wantText(t, `id="parcels">Parcels</h1>`, "The parcel is <strong>on its way</strong> to Zoë.", "a stop", "</html>")
		v.get(page+"&do=revisions").wantText(t, "written by a test")
	})

	upload := make([]byte, 20_000_000)
	random := rand.NewChaCha8([32]byte{'e', '2', 'e'})
	random.Read(upload)
	hash := sha256.Sum256(upload)
	const media = "/lib/exe/fetch.php?media=parcels:upload.zip"
	inOrder("upload a file of 20 MB", func(t *testing.T) {
		form := hiddenFields(t, v.get(page+"&do=edit"), "dw__editform")
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for name, value := range map[string]string{
			"call": "mediaupload", "ns": "parcels", "mediaid": "upload.zip", "sectok": form.Get("sectok"),
		} {
			w.WriteField(name, value)
		}
		file, err := w.CreateFormFile("qqfile", "upload.zip")
		if err != nil {
			t.Fatal(err)
		}
		file.Write(upload)
		w.Close()
		a := v.do(http.MethodPost, "/lib/exe/ajax.php", http.Header{"Content-Type": {w.FormDataContentType()}}, &body)
		a.want(t, http.StatusOK)
		var result struct {
			Success bool
			Error   string
		}
		if err := json.Unmarshal([]byte(a.body), &result); err != nil || !result.Success {
			t.Fatalf("upload: %v in %q", err, a.body)
		}
	})
	inOrder("fetch it back", func(t *testing.T) {
		a := v.get(media)
		if len(a.body) != len(upload) || sha256.Sum256([]byte(a.body)) != hash {
			t.Errorf("got %d bytes with another hash", len(a.body))
		}
	})
	inOrder("fetch a part of it", func(t *testing.T) {
		a := v.do(http.MethodGet, media, http.Header{"Range": {"bytes=1000000-1999999"}}, nil)
		a.want(t, http.StatusPartialContent)
		if a.body != string(upload[1_000_000:2_000_000]) {
			t.Errorf("got %d other bytes", len(a.body))
		}
		if got := a.Header.Get("Content-Range"); got != "bytes 1000000-1999999/20000000" {
			t.Errorf("Content-Range is %q", got)
		}
	})
	inOrder("a static file, whole, in part and unchanged", func(t *testing.T) {
		const path = "/lib/scripts/fileuploader.js"
		want, err := os.ReadFile(filepath.Join("/usr/share/dokuwiki", path))
		if err != nil {
			t.Fatal(err)
		}
		whole := v.get(path)
		if whole.body != string(want) {
			t.Errorf("got %d bytes, want the %d of the file", len(whole.body), len(want))
		}
		part := v.do(http.MethodGet, path, http.Header{"Range": {"bytes=-100"}}, nil)
		part.want(t, http.StatusPartialContent)
		if part.body != string(want[len(want)-100:]) {
			t.Errorf("the last 100 bytes are %q", part.body)
		}
		header := http.Header{"If-None-Match": {whole.Header.Get("Etag")}}
		v.do(http.MethodGet, path, header, nil).want(t, http.StatusNotModified)
	})
	inOrder("scripts and styles that the app puts together", func(t *testing.T) {
		v.get("/lib/exe/css.php?t=dokuwiki").wantText(t, "{")
		v.get("/lib/exe/js.php?t=dokuwiki").wantText(t, "function")
	})
	inOrder("log out", func(t *testing.T) {
		m := regexp.MustCompile(`href="([^"]*do=logout[^"]*)"`).FindStringSubmatch(v.get(page).body)
		if m == nil {
			t.Fatal("the page has no link to log out")
		}
		v.do(http.MethodGet, html.UnescapeString(m[1]), nil, nil).want(t, http.StatusFound)
		if a := v.get("/doku.php?id=start"); strings.Contains(a.body, "Logged in as") {
			t.Error("still logged in")
		}
	})
}
