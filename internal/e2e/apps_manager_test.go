//go:build e2e && linux

package e2e

import (
	"archive/zip"
	"bytes"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// newWAR returns a webapp with one page that says hello, and some data that makes it large.
func newWAR(t *testing.T) []byte {
	t.Helper()
	var war bytes.Buffer
	z := zip.NewWriter(&war)
	for name, content := range map[string]string{"index.jsp": "Hello <%= 6 * 7 %>", imageName: pixel, "data.bin": string(make([]byte, 3_000_000))} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return war.Bytes()
}

// TestAppTomcatManager deploys webapps by Tomcat's manager.
func TestAppTomcatManager(t *testing.T) {
	const root = "/usr/share/tomcat10-admin/manager"
	program(t, root+"/index.jsp", "tomcat10-admin")
	addr := startTomcatWith(t,
		`<tomcat-users><user username="admin" password="a secret &amp; more" roles="manager-gui"/>`+
			`<user username="script" password="another secret" roles="manager-script"/></tomcat-users>`,
		fmt.Sprintf(`<Context path="/manager" docBase=%q privileged="true" />`, root))
	page := newAppPage(t, "docs/how-to/tomcat-manager.md")
	behindBoth(t, page, addr, func(t *testing.T, url string) {
		testTomcatManagerPages(t, newVisitor(t, url))
		testTomcatManagerScript(t, newVisitor(t, url))
	}, func(t *testing.T, h *holdfast) {
		c := holdSSE(t, newVisitor(t, h.url), "public.deploys")
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "shop.war"), string(newWAR(t)))
		cmd := exec.Command("sh", "-ec", strings.ReplaceAll(page.code(t, "sh", "curl -u"), "127.0.0.1:8080", h.addr))
		cmd.Dir = dir
		if out := run(t, cmd); !strings.Contains(out, "OK - Deployed") {
			t.Errorf("the commands print %s", out)
		}
		if got := c.receive(t); got != "/shop" {
			t.Errorf("received %q", got)
		}
		newVisitor(t, h.url).get("/shop/").wantText(t, "Hello 42")
	})
}

func basic(user, password string) http.Header {
	req := http.Request{Header: make(http.Header)}
	req.SetBasicAuth(user, password)
	return req.Header
}

func testTomcatManagerPages(t *testing.T, v *visitor) {
	step := v.steps(t)
	login := basic("admin", "a secret & more")
	var page answer
	step("a stranger has to log in", func(t *testing.T) {
		for _, header := range []http.Header{nil, basic("admin", "wrong")} {
			a := v.do(http.MethodGet, "/manager/html", header, nil)
			a.want(t, http.StatusUnauthorized)
			if got := a.Header.Get("Www-Authenticate"); got != `Basic realm="Tomcat Manager Application"` {
				t.Errorf("WWW-Authenticate is %q", got)
			}
		}
	})
	step("log in", func(t *testing.T) {
		page = v.do(http.MethodGet, "/manager/html", login, nil)
		page.want(t, http.StatusOK)
		page.wantText(t, "Tomcat Web Application Manager")
	})
	submit := func(t *testing.T, form string, header http.Header, body io.Reader) {
		t.Helper()
		m := regexp.MustCompile(`<form[^>]* action="([^"]*` + form + `[^"]*)"`).FindStringSubmatch(strings.ReplaceAll(page.body, "&#47;", "/"))
		if m == nil {
			t.Fatalf("no form %s in the page\n%s", form, page.body)
		}
		header.Set("Authorization", login.Get("Authorization"))
		page = v.do(http.MethodPost, v.at(html.UnescapeString(m[1])), header, body)
		page.want(t, http.StatusOK)
		page.wantText(t, "<pre>OK")
	}
	step("upload a webapp", func(t *testing.T) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		file, err := w.CreateFormFile("deployWar", "päckchen.war")
		if err != nil {
			t.Fatal(err)
		}
		file.Write(newWAR(t))
		w.Close()
		submit(t, "/manager/html/upload", http.Header{"Content-Type": {w.FormDataContentType()}}, &body)
		v.get("/p%C3%A4ckchen/").wantText(t, "Hello 42")
		if a := v.get("/p%C3%A4ckchen/P%C3%A4ckchen%20f%C3%BCr%20Zo%C3%AB.png"); a.body != pixel {
			t.Errorf("%d other bytes", len(a.body))
		}
	})
	step("undeploy it", func(t *testing.T) {
		submit(t, `/manager/html/undeploy\?path=/p%C3%A4ckchen`, make(http.Header), nil)
		v.do(http.MethodGet, "/p%C3%A4ckchen/", nil, nil).want(t, http.StatusNotFound)
	})
}

// testTomcatManagerScript deploys as build tools do, by PUT.
func testTomcatManagerScript(t *testing.T, v *visitor) {
	step := v.steps(t)
	login := basic("script", "another secret")
	for name, body := range map[string]func() io.Reader{
		"of known length": func() io.Reader { return bytes.NewReader(newWAR(t)) },
		"in chunks":       func() io.Reader { return io.MultiReader(bytes.NewReader(newWAR(t))) },
	} {
		step("deploy a webapp "+name, func(t *testing.T) {
			a := v.do(http.MethodPut, "/manager/text/deploy?path=/parcels&update=true", login, body())
			a.want(t, http.StatusOK)
			a.wantText(t, "OK - Deployed application at context path [/parcels]")
			v.get("/parcels/").wantText(t, "Hello 42")
			a = v.do(http.MethodGet, "/manager/text/undeploy?path=/parcels", login, nil)
			a.wantText(t, "OK - Undeployed application at context path [/parcels]")
		})
	}
}
