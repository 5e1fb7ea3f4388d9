//go:build e2e && linux

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser is a headless Chromium, driven by the few commands of W3C WebDriver that tests need.
type browser struct {
	t       *testing.T
	session string // its URL at chromedriver
	client  *http.Client
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	return startBrowserLogging(t, "browser")
}

// startBrowserLogging starts a browser that keeps these logs: browser is the console's, performance has what the network
// stack does.
func startBrowserLogging(t *testing.T, logs ...string) *browser {
	t.Helper()
	wanted := map[string]any{}
	for _, name := range logs {
		wanted[name] = "ALL"
	}
	chromium := program(t, "chromium", "chromium")
	driver := program(t, "chromedriver", "chromium-driver")
	home := t.TempDir()

	// With port 0 it takes one of IPv6 and wants the same of IPv4, which may be in use.
	cmd := exec.Command(driver, "--port="+portOf(t, freeAddr(t)))
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home)
	p := start(t, "chromedriver", cmd)
	port := p.waitFor(t, regexp.MustCompile(`started successfully on port (\d+)`))[1]
	b := &browser{t: t, session: "http://127.0.0.1:" + port, client: &http.Client{
		Transport: new(http.Transport), // not by way of a proxy
		Timeout:   2 * patience,
	}}
	t.Cleanup(b.client.CloseIdleConnections)

	args := []string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-breakpad", "--hide-scrollbars",
		"--user-data-dir=" + filepath.Join(home, "profile"),
		"--host-resolver-rules=MAP rebound.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", // nothing leaves this machine
	}
	var session struct {
		SessionID string `json:"sessionId"`
	}
	b.command(http.MethodPost, "/session", map[string]any{"capabilities": map[string]any{
		"alwaysMatch": map[string]any{
			"goog:chromeOptions": map[string]any{"binary": chromium, "args": args},
			"goog:loggingPrefs":  wanted,
		},
	}}, &session)
	b.session += "/session/" + session.SessionID
	t.Cleanup(func() { b.command(http.MethodDelete, "", nil, nil) })
	return b
}

// command sends one command and stores the value of the answer in into, if that is not nil.
func (b *browser) command(method, path string, body, into any) {
	b.t.Helper()
	var encoded []byte
	if method == http.MethodPost {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			b.t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, b.session+path, bytes.NewReader(encoded))
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatalf("browser: %v", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatalf("browser: %v", err)
	}
	if res.StatusCode != http.StatusOK {
		b.t.Fatalf("browser: %s %s: %s", method, path, data)
	}
	if into == nil {
		return
	}
	value := struct {
		Value any `json:"value"`
	}{into}
	if err := json.Unmarshal(data, &value); err != nil {
		b.t.Fatalf("browser: %v in %s", err, data)
	}
}

// resize makes the page width × height pixels, as a phone or a desktop shows it.
func (b *browser) resize(width, height int, phone bool) {
	b.t.Helper()
	b.command(http.MethodPost, "/goog/cdp/execute", map[string]any{
		"cmd": "Emulation.setDeviceMetricsOverride",
		"params": map[string]any{
			"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone,
		},
	}, nil)
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.command(http.MethodPost, "/url", map[string]any{"url": url}, nil)
}

// eval runs the body of a JavaScript function and stores what it returns in into.
func (b *browser) eval(script string, into any) {
	b.t.Helper()
	b.command(http.MethodPost, "/execute/sync", map[string]any{"script": script, "args": []any{}}, into)
}

// waitFor polls until the JavaScript expression is true.
func (b *browser) waitFor(what, expression string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var ok bool
		b.eval("return Boolean("+expression+")", &ok)
		if ok {
			return
		}
		if time.Now().After(deadline) {
			var text string
			b.eval("return document.body.innerText", &text)
			b.t.Fatalf("%s: not after %v; the page shows\n%s", what, patience, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// click clicks the element as a person would: it has to be visible and uncovered.
func (b *browser) click(selector string) {
	b.t.Helper()
	var element map[string]string
	b.command(http.MethodPost, "/element", map[string]any{"using": "css selector", "value": selector}, &element)
	for _, id := range element {
		b.command(http.MethodPost, fmt.Sprintf("/element/%s/click", id), map[string]any{}, nil)
	}
}

// fill types text into an input as a person would, or chooses the file of this name.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	var element map[string]string
	b.command(http.MethodPost, "/element", map[string]any{"using": "css selector", "value": selector}, &element)
	for _, id := range element {
		b.command(http.MethodPost, fmt.Sprintf("/element/%s/value", id), map[string]any{"text": text}, nil)
	}
}

// wantQuiet wants no error in the console, such as that of a script or of a request that failed, but for a
// missing icon of the site, which browsers request by themselves, and what would come from elsewhere.
func (b *browser) wantQuiet(t *testing.T) {
	t.Helper()
	var entries []struct{ Level, Message string }
	b.command(http.MethodPost, "/se/log", map[string]any{"type": "browser"}, &entries)
	for _, e := range entries {
		if e.Level == "SEVERE" && !strings.Contains(e.Message, "/favicon.ico") && !strings.Contains(e.Message, "ERR_NAME_NOT_RESOLVED") {
			t.Errorf("in the browser's console: %s", e.Message)
		}
	}
}

// number returns the number that the element shows.
func (b *browser) number(selector string) int {
	b.t.Helper()
	var text string
	b.eval(fmt.Sprintf("return document.querySelector(%q).textContent.trim()", selector), &text)
	var n int
	if _, err := fmt.Sscan(text, &n); err != nil {
		b.t.Fatalf("%s shows %q, not a number", selector, text)
	}
	return n
}

// screenshot saves a picture of what is visible.
func (b *browser) screenshot(file string) {
	b.t.Helper()
	var encoded string
	b.command(http.MethodGet, "/screenshot", nil, &encoded)
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outDir(b.t), file), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
