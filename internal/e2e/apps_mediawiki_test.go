//go:build e2e && linux

package e2e

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const mediaWikiPassword = "a secret & more"

// newMediaWiki prepares Debian's MediaWiki with a database, a configuration and a folder of images of its own.
// It returns the folder to serve and what PHP has to find in its environment.
func newMediaWiki(t *testing.T, page *appPage, dir string) (root, env string) {
	t.Helper()
	const installed = "/usr/share/mediawiki"
	program(t, installed+"/index.php", "mediawiki")
	php := program(t, "php", "php-cli")
	root = filepath.Join(dir, "app")
	mkdirForApache(t, filepath.Join(root, "images"))
	entries, err := os.ReadDir(installed)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "LocalSettings.php", "config", "mw-config", "images":
		default:
			if err := os.Symlink(filepath.Join(installed, e.Name()), filepath.Join(root, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	data := filepath.Join(dir, "data")
	mkdirForApache(t, data)
	cmd := exec.Command(php, installed+"/maintenance/install.php", "--dbtype", "sqlite", "--dbpath", data, "--dbname", "wiki",
		"--confpath", dir, "--scriptpath", "", "--server", "http://127.0.0.1", "--pass", mediaWikiPassword, "Wiki behind Holdfast", "Admin")
	cmd.Env = append(os.Environ(), "MW_CONFIG_FILE="+filepath.Join(dir, "none.php"))
	run(t, cmd)
	err = filepath.WalkDir(data, func(file string, d fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chmod(file, 0o777) // the children of php-fpm write there
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(dir, "LocalSettings.php")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, settings, string(text)+fmt.Sprintf(`
$wgServer = 'http://' . $_SERVER['HTTP_HOST'];
$wgEnableUploads = true;
$wgUploadDirectory = '%s/images';
$wgUseImageMagick = false;
`, root)+page.code(t, "php", "$wgArticlePath")+"\n"+page.code(t, "php", "$wgHooks"))
	writeFile(t, filepath.Join(root, "push-authorize.php"), page.code(t, "php", "<?php"))
	return root, "MW_CONFIG_FILE=" + settings
}

// TestAppMediaWiki is MediaWiki with short URLs on php-fpm.
func TestAppMediaWiki(t *testing.T) {
	dir, page := publicTempDir(t), newAppPage(t, "docs/tutorials/mediawiki.md")
	root, env := newMediaWiki(t, page, dir)
	socket := startFPM(t, dir, map[string]string{"memory_limit": "256M"}, env)
	behindBothOnFPM(t, page, socket, root, func(t *testing.T, url string) { testMediaWiki(t, newVisitor(t, url)) }, testMediaWikiPush)
}

// testMediaWikiPush: the login of the wiki opens the private channel, each edit is published, and the logout closes.
func testMediaWikiPush(t *testing.T, h *holdfast) {
	v := newVisitor(t, h.url)
	h.wantShut(t, "members.news")
	v.logInToMediaWiki(t)
	members, changes := holdSSE(t, v, "members.news"), holdSSE(t, v, "public.changes")
	h.publish(t, "members.news", "for members")
	if got := members.receive(t); got != "for members" {
		t.Errorf("received %q", got)
	}
	v.editMediaWiki(t, "Päckchen", "It is on its way")
	if got := changes.receive(t); got != "Päckchen" {
		t.Errorf("received %q", got)
	}
	v.logOutOfMediaWiki(t)
	members.wantEnd(t)
}

func (v *visitor) logInToMediaWiki(t *testing.T) {
	t.Helper()
	const login = "/index.php?title=Special:UserLogin"
	form := v.fields(v.get("/wiki/Special:UserLogin"), "userlogin")
	form.Set("wpName", "Admin")
	form.Set("wpPassword", "wrong")
	v.post(login, form).wantText(t, "Incorrect username or password")
	form.Set("wpPassword", mediaWikiPassword)
	v.get(v.location(v.post(login, form), http.StatusFound)).wantText(t, "Log out")
}

// editMediaWiki saves a page and returns the path that the wiki leads to then.
func (v *visitor) editMediaWiki(t *testing.T, title, text string) (at string) {
	t.Helper()
	edit := "/index.php?action=edit&title=" + url.QueryEscape(title)
	form := v.fields(v.get(edit), "editform")
	form.Set("wpTextbox1", text)
	form.Set("wpSave", "1")
	return v.location(v.post(strings.Replace(edit, "=edit", "=submit", 1), form), http.StatusFound)
}

func (v *visitor) logOutOfMediaWiki(t *testing.T) {
	t.Helper()
	v.post("/wiki/Special:UserLogout", v.fields(v.get("/wiki/Special:UserLogout"), "Special:UserLogout"))
	v.get("/api.php?action=query&format=json&meta=userinfo").wantText(t, `"anon":""`)
}

func testMediaWiki(t *testing.T, v *visitor) {
	step := v.steps(t)
	by := path.Base(t.Name())
	step("the start page", func(t *testing.T) {
		v.get(v.location(v.do(http.MethodGet, "/", nil, nil), http.StatusMovedPermanently)).wantText(t, "MediaWiki has been installed")
	})
	step("styles and scripts", func(t *testing.T) {
		v.get("/load.php?lang=en&modules=site.styles&only=styles&skin=vector")
		v.get("/load.php?lang=en&modules=startup&only=scripts&raw=1&skin=vector").wantText(t, "function")
		v.get("/resources/assets/change-your-logo.svg").wantText(t, "<svg")
	})
	step("log in", v.logInToMediaWiki)
	for title, at := range map[string]string{
		"Washington D.C.": "/wiki/Washington_D.C.",
		".NET Framework":  "/wiki/.NET_Framework",
		"AC/DC":           "/wiki/AC/DC",
		"Zürich":          "/wiki/Z%C3%BCrich",
		"What?":           "/wiki/What%3F",
		"C++":             "/wiki/C%2B%2B",
	} {
		step("edit "+title, func(t *testing.T) {
			if got := v.editMediaWiki(t, title, "The text of "+title+" by "+by); !strings.HasPrefix(got, at) {
				t.Errorf("Location is %s, want %s", got, at)
			}
			v.get(at).wantText(t, "The text of "+title+" by "+by)
		})
	}
	step("a slash that is escaped", func(t *testing.T) {
		v.get("/wiki/AC%2FDC").wantText(t, "The text of AC/DC by "+by)
	})
	for _, at := range []string{"/wiki/What.", "/wiki/.nothing", "/wiki/Z%FCrich", "/wiki/%C7%D1%B1%DB", "/wiki/Caf%E9."} {
		step("no page at "+at, func(t *testing.T) {
			a := v.do(http.MethodGet, at, nil, nil)
			a.want(t, http.StatusNotFound)
			a.wantText(t, "Wiki behind Holdfast") // the app says so
		})
	}
	step("upload an image", func(t *testing.T) {
		name := by + " " + imageName
		form := v.fields(v.get("/wiki/Special:Upload"), "mw-upload-form")
		form.Set("wpDestFile", name)
		form.Set("wpUploadDescription", "By "+by)
		form.Set("wpIgnoreWarning", "1")
		form.Set("wpUpload", "1")
		page := v.location(v.postFile("/wiki/Special:Upload", form, "wpUploadFile", name, false, nil), http.StatusFound)
		_, rest, _ := strings.Cut(v.get(page).body, `class="fullImageLink"`)
		_, rest, _ = strings.Cut(rest, `href="`)
		link, _, _ := strings.Cut(rest, `"`)
		image := v.get(v.at(link))
		if image.body != pixel || image.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%s: %d bytes of %s", link, len(image.body), image.Header.Get("Content-Type"))
		}
	})
	step("the API", func(t *testing.T) {
		v.get("/api.php?action=query&format=json&meta=userinfo").wantText(t, `"name":"Admin"`)
		v.get("/rest.php/v1/page/AC%2FDC").wantText(t, "The text of AC/DC by "+by)
	})
	step("log out", v.logOutOfMediaWiki)
}
