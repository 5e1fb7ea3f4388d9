//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestFPMPushHeaders runs the PHP of docs/how-to/response-headers.md, and scripts that go wrong, on php-fpm. Subscribers receive
// each message, nothing else, and the visitor who caused it sees no header of that.
func TestFPMPushHeaders(t *testing.T) {
	const page = "docs/how-to/response-headers.md"
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, code := range map[string]string{
		"changed.php": pageCode(t, page, "php", "header('Push-Channel: parcel.42');") + "\necho 'moved';",
		"data.php":    pageCode(t, page, "php", "header('Push-Channel: parcel.42');\nheader('Push-Data") + "\necho 'moved';",
		"text.php":    "header('Push-Channel: parcel.42'); header('Push-Data: ' . urlencode($_REQUEST['text'])); header('Push-Event: note');",
		"body.php":    pageCode(t, page, "php", "header('Content-Type"),
		"large.php":   "header('Push-Channel: parcel.42'); header('Push-Body: 1'); for ($i = 0; $i < 1000; $i++) { echo str_repeat('x', 100); flush(); }",
		"half.php":    "header('Push-Channel: parcel.42'); header('Push-Body: 1'); header('Content-Length: 100'); echo 'half';",
		"fatal.php":   "header('Push-Channel: parcel.42'); header('Push-Body: 1'); no_such_function();",
		"zipped.php":  "ini_set('zlib.output_compression', '1'); header('Push-Channel: parcel.42'); header('Push-Body: 1'); echo str_repeat('zip', 1000);",
		"typed.php":   "header('Push-Channel: parcel.' . $_REQUEST['id']); echo 'moved';",
		"state.php":   "header('Push-Channel: parcel.42; fresh=60'); echo 'sent';",
	} {
		writeFile(t, filepath.Join(root, name), "<?php\n"+code)
	}
	socket := startFPM(t, dir, map[string]string{"display_errors": "0"})
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`
listen: %s
upstream: fastcgi+unix:%s
site: {root: %s}
hooks: {listen: %s}
push: {headers: true}
channels: [{match: "parcel.*", access: public, history: {messages: 10, age: 1m}}]
`, listen, socket, root, hooks)
	})
	client, v := holdSSE(t, newVisitor(t, h.url), "parcel.42"), newVisitor(t, h.url)
	for _, c := range []struct {
		get      bool
		path     string
		form     url.Values
		status   int
		body     string // its beginning
		received string // empty: nothing
		failed   string
		left     string // of Push-Channel
	}{
		{false, "/changed.php", nil, 200, "moved", `{"subscribers":1}`, "", ""},
		{false, "/data.php", nil, 200, "moved", `{"state":"sent"}`, "", ""},
		{true, "/data.php", nil, 200, "moved", `{"state":"sent"}`, "", ""},
		{false, "/text.php", url.Values{"text": {"50% für \"Anna\" + Bert & 日本\t~"}}, 200, "", "50% für \"Anna\" + Bert & 日本\t~", "", ""},
		{false, "/body.php", nil, 200, `{"state":"sent"}`, `{"state":"sent"}`, "", ""},
		{true, "/changed.php", nil, 200, "moved", "", "", "parcel.42"},
		{true, "/state.php", nil, 200, "sent", "", "", "parcel.42; fresh=60"},
		{false, "/large.php", nil, 200, "xxx", "", "too_large", ""},
		{false, "/fatal.php", nil, 500, "", "", "status", ""},
		{false, "/zipped.php", nil, 200, "\x1f\x8b", "", "encoding", ""},
		{false, "/typed.php", url.Values{"id": {"42"}}, 200, "moved", `{"subscribers":1}`, "", ""},
		{false, "/typed.php", url.Values{"id": {"42\r\nPush-Data: forged"}}, 200, "moved", "", "", ""}, // PHP sends no such header
		{false, "/typed.php", url.Values{"id": {"42 x"}}, 200, "moved", "", "refused", ""},
		{false, "/typed.php", url.Values{"id": {"42,user.7"}}, 200, "moved", "", "refused", ""},
	} {
		failures := func() (n int) {
			if c.failed != "" {
				n = h.metric(t, `holdfast_push_headers_failed_total\{reason="`+c.failed+`"\}`)
			}
			return n
		}
		before := failures()
		var a answer
		switch {
		case c.get:
			a = v.get(c.path)
		case c.path == "/zipped.php":
			a = v.do("POST", c.path, http.Header{"Accept-Encoding": {"gzip"}}, nil)
		default:
			a = v.post(c.path, c.form)
		}
		if a.StatusCode != c.status || !strings.HasPrefix(a.body, c.body) {
			t.Errorf("%s: %d %.100q", c.path, a.StatusCode, a.body)
		}
		if a.Header.Get("Push-Channel") != c.left || a.Header.Get("Push-Data")+a.Header.Get("Push-Body")+a.Header.Get("Push-Event") != "" {
			t.Errorf("%s: the visitor sees %v", c.path, a.Header)
		}
		if c.failed != "" && failures() != before+1 {
			t.Errorf("%s: %s is not counted", c.path, c.failed)
		}
		if c.received != "" {
			if got := client.receive(t); got != c.received {
				t.Errorf("%s: received %q, want %q", c.path, got, c.received)
			}
		}
	}
	raw := wiretest.Dial(t, h.addr)
	raw.Send("POST /half.php HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	raw.Rest()
	h.publish(t, "parcel.42", "last")
	if got := client.receive(t); got != "last" {
		t.Errorf("received %q after all, which nothing has published", got)
	}
	if n := h.metric(t, `holdfast_push_headers_failed_total\{reason="incomplete"\}`); n != 1 {
		t.Errorf("%d responses that broke off are counted", n)
	}
}

// TestTomcatPushHeaders: a servlet publishes with the one line of Java of docs/how-to/response-headers.md. Tomcat refuses headers
// of more than 8 kB in all by itself, and then nothing is published.
func TestTomcatPushHeaders(t *testing.T) {
	dir := publicTempDir(t)
	writeFile(t, filepath.Join(dir, "index.jsp"), `<%@ page import="java.net.URLEncoder, java.nio.charset.StandardCharsets" %><%
		String text = request.getParameter("text");
		int times = Integer.parseInt(request.getParameter("times"));
		response.setHeader("Push-Channel", "parcel.42");
		response.setHeader("Push-Data", URLEncoder.encode(text.repeat(times), StandardCharsets.UTF_8)); %>moved`)
	upstream := startTomcat(t, map[string]string{"": dir})
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: http://%s\nhooks: {listen: %s}\npush: {headers: true}\n"+
			"channels: [{match: 'parcel.*', access: public}]\n", listen, upstream, hooks)
	})
	client, v := holdSSE(t, newVisitor(t, h.url), "parcel.42"), newVisitor(t, h.url)
	send := func(text string, times, status int) {
		t.Helper()
		a := v.post("/index.jsp", url.Values{"text": {text}, "times": {fmt.Sprint(times)}})
		if a.StatusCode != status || a.Header.Get("Push-Channel")+a.Header.Get("Push-Data") != "" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	}
	const text = "50% \"a\" + b*~'é' & "
	send(text, 1, 200)
	if got := client.receive(t); got != text {
		t.Errorf("received %q, want %q", got, text)
	}
	send("x", 7000, 200)
	if got := client.receive(t); got != strings.Repeat("x", 7000) {
		t.Errorf("received %d bytes", len(got))
	}
	send("x", 9000, 500)
	send("last", 1, 200)
	if got := client.receive(t); got != "last" {
		t.Errorf("received %.100q", got)
	}
}
