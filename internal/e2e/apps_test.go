//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"
)

// pixel is an image, and imageName a name for it that is not ASCII.
const (
	pixel = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89" +
		"\x00\x00\x00\nIDATx\x9cc\x00\x01\x00\x00\x05\x00\x01\r\n-\xb4\x00\x00\x00\x00IEND\xaeB`\x82"
	imageName = "Päckchen für Zoë.png"
)

// appPage is a page about an app, which a test follows.
type appPage struct {
	name     string   // of the page below the root
	config   int      // which of the page's configurations
	hooks    string   // address that the page calls 127.0.0.1:9090
	settings []string // what the page shows and what stands here instead, by turns
}

func newAppPage(t *testing.T, name string) *appPage { return &appPage{name: name, hooks: freeAddr(t)} }

// code returns the block of the page in this language that begins with prefix, with the test's address of the hooks.
func (p *appPage) code(t *testing.T, language, prefix string) string {
	t.Helper()
	return strings.ReplaceAll(pageCode(t, p.name, language, prefix), "127.0.0.1:9090", p.hooks)
}

// start runs Holdfast with the page's configuration. Other settings are a mistake, if the page does not show what they
// replace.
func (p *appPage) start(t *testing.T) *holdfast {
	t.Helper()
	var configs []string
	for _, b := range pageBlocks(t, p.name) {
		if b.language == "yaml" {
			configs = append(configs, b.code)
		}
	}
	if len(configs) <= p.config {
		t.Fatalf("%s shows %d configurations, want more than %d", p.name, len(configs), p.config)
	}
	return startHoldfastAt(t, freeAddr(t), p.hooks, func(listen, hooks string) string {
		config := configs[p.config]
		pairs := append([]string{"127.0.0.1:8080", listen, "127.0.0.1:9090", hooks}, p.settings...)
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(config, pairs[i]) {
				t.Fatalf("the configuration of %s does not have %q", p.name, pairs[i])
			}
			config = strings.Replace(config, pairs[i], pairs[i+1], 1)
		}
		return config + "\n"
	})
}

// behindBoth runs the test behind nginx and behind Holdfast, each in front of the app at addr. Holdfast has the
// configuration of the page. Behind nginx it shows that the test asks for no more than what other proxies do. Behind
// Holdfast alone, push does what the page says of channels.
func behindBoth(t *testing.T, page *appPage, addr string, test func(t *testing.T, url string), push func(t *testing.T, h *holdfast)) {
	t.Helper()
	t.Run("nginx", func(t *testing.T) { test(t, startNginx(t, addr, "client_max_body_size 0;")) })
	page.settings = append(page.settings, "127.0.0.1:8081", addr)
	t.Run("holdfast", func(t *testing.T) { page.run(t, test, push) })
}

func (p *appPage) run(t *testing.T, test func(t *testing.T, url string), push func(t *testing.T, h *holdfast)) {
	h := p.start(t)
	test(t, h.url)
	if !t.Failed() {
		push(t, h)
	}
}

// wantEnd wants the stream to end.
func (c *sseClient) wantEnd(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(c.body); err != nil {
		t.Errorf("the stream goes on with %q: %v", rest, err)
	}
}

// wantShut wants the channel to be closed to a visitor without a login.
func (h *holdfast) wantShut(t *testing.T, channel string) {
	t.Helper()
	newVisitor(t, h.url).do(http.MethodGet, pushPath([]string{channel}), nil, nil).want(t, http.StatusForbidden)
}

// steps returns a function that runs the steps of a visit, which build on one another: the first that
// fails is the last.
func (v *visitor) steps(t *testing.T) func(name string, step func(t *testing.T)) {
	return func(name string, step func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) { v.t = t; step(t) }) {
			t.FailNow()
		}
	}
}

// fields returns the named inputs of the form that has mark in its first tag, and the values that they have,
// but for those that a person has to choose.
func (v *visitor) fields(a answer, mark string) url.Values {
	v.t.Helper()
	form := regexp.MustCompile(`(?s)<form\b[^>]*` + regexp.QuoteMeta(mark) + `[^>]*>.*?</form>`).FindString(a.body)
	if form == "" {
		v.t.Fatalf("%s has no form with %q\n%s", a.Request.URL, mark, a.body)
	}
	fields := make(url.Values)
	for _, input := range regexp.MustCompile(`(?s)<input\b[^>]*>`).FindAllString(form, -1) {
		attribute := func(name string) string {
			m := regexp.MustCompile(`(?s)\s` + name + `=(?:"([^"]*)"|'([^']*)')`).FindStringSubmatch(input)
			if m == nil {
				return ""
			}
			return html.UnescapeString(m[1] + m[2])
		}
		switch attribute("type") {
		case "submit", "checkbox", "radio", "file", "button":
		default:
			if name := attribute("name"); name != "" {
				fields.Set(name, attribute("value"))
			}
		}
	}
	return fields
}

// postFile sends a form of these fields with an image. Its length is known to the app's proxy, or the body
// is chunked.
func (v *visitor) postFile(path string, form url.Values, field, name string, chunked bool, header http.Header) answer {
	v.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name := range form {
		w.WriteField(name, form.Get(name))
	}
	file, err := w.CreateFormFile(field, name)
	if err != nil {
		v.t.Fatal(err)
	}
	io.WriteString(file, pixel)
	w.Close()
	var reader io.Reader = &body
	if chunked {
		reader = io.MultiReader(&body) // of which net/http cannot tell the length
	}
	all := http.Header{"Content-Type": {w.FormDataContentType()}}
	for name, values := range header {
		all[name] = values
	}
	return v.do(http.MethodPost, path, all, reader)
}

// at returns the path and the query of a link to the site itself, and fails the test if it leads elsewhere.
func (v *visitor) at(link string) string {
	v.t.Helper()
	path, _ := strings.CutPrefix(html.UnescapeString(link), v.base)
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		v.t.Fatalf("%q is not a link to %s", link, v.base)
	}
	return path
}

// location wants a redirect to the site itself and returns its path.
func (v *visitor) location(a answer, status int) string {
	v.t.Helper()
	a.want(v.t, status)
	return v.at(a.Header.Get("Location"))
}

// run runs a command to its end and returns what it wrote.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, output)
	}
	return string(output)
}

// behindBothOnFPM is behindBoth for an app on php-fpm in the folder root, whose index.php takes every path
// that is no file.
func behindBothOnFPM(t *testing.T, page *appPage, socket, root string, test func(t *testing.T, url string), push func(t *testing.T, h *holdfast)) {
	t.Helper()
	t.Run("nginx", func(t *testing.T) { test(t, startNginxOnFPM(t, socket, root)) })
	page.settings = append(page.settings, "/run/php/php-fpm.sock", socket, "root: /var/www/"+page.app(), "root: "+root)
	t.Run("holdfast", func(t *testing.T) { page.run(t, test, push) })
}

// app returns the name of the page's app.
func (p *appPage) app() string { return strings.TrimSuffix(path.Base(p.name), ".md") }

// startNginxOnFPM runs an nginx with Debian's settings for PHP.
func startNginxOnFPM(t *testing.T, socket, root string) (url string) {
	t.Helper()
	return startNginxWith(t, fmt.Sprintf(`
		root %[1]s;
		index index.php;
		client_max_body_size 0;
		include /etc/nginx/mime.types;
		location / {
			try_files $uri $uri/ /index.php?$args;
		}
		location ~ \.php(/|$) {
			include /etc/nginx/snippets/fastcgi-php.conf;
			fastcgi_pass unix:%[2]s;
		}`, root, socket))
}
