//go:build e2e && linux

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// portsOf replaces the addresses that pages show by those of h and its app.
func portsOf(h *holdfast, app string) *strings.Replacer {
	return strings.NewReplacer("127.0.0.1:8080", h.addr, "127.0.0.1:9090", strings.TrimPrefix(h.hooks, "http://"),
		"127.0.0.1:8081", strings.TrimPrefix(app, "http://"))
}

// oddUsers are names that have to be escaped in a channel.
var oddUsers = []string{"anna", "anna@example.com", "Zoë Müller", "a+b*c~d/e%f"}

// receiveHello wants publish to reach a subscriber of public.news with hello.
func receiveHello(t *testing.T, h *holdfast, publish func()) {
	t.Helper()
	c := holdSSE(t, newVisitor(t, h.url), "public.news")
	publish()
	if got := c.receive(t); got != "hello" {
		t.Errorf("received %q, want hello", got)
	}
}

// TestPagesPHP runs the PHP of the pages. The function that publishes says so when Holdfast refuses.
func TestPagesPHP(t *testing.T) {
	php := program(t, "php", "php-cli")
	app := startApp(t, http.HandlerFunc(answerAsPages))
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: %s\nhooks: {listen: %s}\npush: {jwt: {key: 0123456789abcdef0123456789abcdef, cookie: push_token}}\n"+
			"channels: [{match: 'public.**', access: public, history: {messages: 10, age: 1m}}, {match: 'user.{user}', access: token}, {match: 'orders.*', access: token}]\n", listen, app, hooks)
	})
	evaluate := func(t *testing.T, code string, flags ...string) string {
		t.Helper()
		return strings.TrimSpace(run(t, exec.Command(php, append(flags, "-r", portsOf(h, app).Replace(code))...)))
	}
	t.Run("publish", func(t *testing.T) {
		function := pageCode(t, "docs/tutorials/php.md", "php", "function push")
		receiveHello(t, h, func() {
			if out := evaluate(t, function+"\nvar_dump(push('public.news', 'hello'));"); out != "bool(true)" {
				t.Errorf("push: %s", out)
			}
		})
		out := evaluate(t, function+"\nvar_dump(push('no.rule', 'x'));", "-d", "log_errors=1", "-d", "error_log=")
		if !strings.Contains(out, "bool(false)") || !strings.Contains(out, "push to no.rule: HTTP/1.1 400") {
			t.Errorf("push without a rule: %s", out)
		}
	})
	t.Run("position", func(t *testing.T) {
		function := pageCode(t, "docs/tutorials/php.md", "php", "function position")
		h.wantPosition(t, func() string { return evaluate(t, function+"\necho position('public.news');") })
		if out := evaluate(t, strings.Replace(function, "127.0.0.1:9090", freeAddr(t), 1)+"\nvar_dump(position('public.news'));"); out != `string(0) ""` {
			t.Errorf("without Holdfast the position is %s", out)
		}
	})
	t.Run("authorize", func(t *testing.T) {
		code := pageCode(t, "docs/tutorials/php.md", "php", "<?php\nsession_start")
		shipped, err := os.ReadFile(filepath.Join(repository, "examples/php/authorize.php"))
		if err != nil || strings.TrimSpace(regexp.MustCompile(`(?m)^//.*\n`).ReplaceAllString(string(shipped), "")) != code {
			t.Errorf("examples/php/authorize.php (%v), which other tests run, is not what the page shows:\n%s", err, shipped)
		}
	})
	t.Run("user names", func(t *testing.T) {
		code := pageCode(t, "docs/concepts/channels-and-rules.md", "php", "$channel")
		for _, user := range oddUsers {
			got := strings.TrimSpace(run(t, exec.Command(php, "-r", "$user = $argv[1];"+code+"echo $channel;", "--", user)))
			h.wantUserChannel(t, user, got)
		}
	})
	t.Run("token", func(t *testing.T) {
		code := pageCode(t, "docs/how-to/jwt.md", "php", "$enc")
		token := evaluate(t, "$key = '0123456789abcdef0123456789abcdef'; $_SESSION = ['user' => 'anna'];"+
			strings.Replace(code, "setcookie('push_token', $token,", "$set = array('push_token', $token,", 1)+"echo $set[1];")
		for channel, status := range map[string]int{"orders.42": http.StatusOK, "user.anna": http.StatusForbidden, "orders.43": http.StatusForbidden} {
			v := newVisitor(t, h.url)
			v.do(http.MethodGet, "/_push?wait=0&channel="+channel, http.Header{"Cookie": {"push_token=" + token}}, nil).want(t, status)
		}
	})
}

// wantUserChannel wants channel to be open to the user with this name, by a token.
func (h *holdfast) wantUserChannel(t *testing.T, user, channel string) {
	t.Helper()
	token := signToken(t, "0123456789abcdef0123456789abcdef", map[string]any{"sub": user, "exp": time.Now().Add(time.Hour).Unix()})
	a := newVisitor(t, h.url).do(http.MethodGet, pushPath([]string{channel})+"&wait=0", http.Header{"Authorization": {"Bearer " + token}}, nil)
	if a.StatusCode != http.StatusOK {
		t.Errorf("%q may not subscribe to %q: %d %s", user, channel, a.StatusCode, a.body)
	}
}

// wantPosition wants a client that resumes after the position to receive what was published since, and nothing before.
func (h *holdfast) wantPosition(t *testing.T, position func() string) {
	t.Helper()
	h.publish(t, "public.news", "before")
	id := position()
	h.publish(t, "public.news", "after")
	a := newVisitor(t, h.url).get(pushPath([]string{"public.news"}) + "&wait=0&last_id=" + url.QueryEscape(id))
	if a.wantText(t, `"after"`); strings.Contains(a.body, `"before"`) {
		t.Errorf("after %q came %s", id, a.body)
	}
}

// TestPagesJava runs the Java of the pages on Tomcat.
func TestPagesJava(t *testing.T) {
	app := startApp(t, http.HandlerFunc(answerAsPages))
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: %s\nhooks: {listen: %s}\npush: {jwt: {key: 0123456789abcdef0123456789abcdef}}\n"+
			"channels: [{match: 'public.**', access: public, history: {messages: 10, age: 1m}}, {match: 'user.{user}', access: token}]\n", listen, app, hooks)
	})
	dir := t.TempDir()
	const imports = `<%@ page contentType="text/plain; charset=UTF-8" import="java.io.*, java.net.*, java.net.http.*, java.nio.charset.*, java.time.*, java.util.*, java.security.*, javax.crypto.*, javax.crypto.spec.*" %>`
	writeFile(t, filepath.Join(dir, "push.jsp"), imports+"<%! "+portsOf(h, app).Replace(pageCode(t, "docs/tutorials/tomcat.md", "java", "static final"))+
		` %><% try { push(request.getParameter("channel"), "hello"); out.print("done"); } catch (IOException e) { out.print(e.getMessage()); } %>`)
	writeFile(t, filepath.Join(dir, "position.jsp"), imports+"<%! static final HttpClient client = HttpClient.newHttpClient();\n"+
		portsOf(h, app).Replace(pageCode(t, "docs/tutorials/tomcat.md", "java", "static String position"))+` %><% out.print(position("public.news")); %>`)
	writeFile(t, filepath.Join(dir, "channel.jsp"), imports+`<% String user = request.getParameter("user"); `+
		pageCode(t, "docs/concepts/channels-and-rules.md", "java", "String channel")+` out.print(channel); %>`)
	writeFile(t, filepath.Join(dir, "check.jsp"), imports+`<% byte[] key = "0123456789abcdef".getBytes(), body = "{}".getBytes(); String header = request.getHeader("Holdfast-Signature"); `+
		pageCode(t, "docs/reference/webhooks.md", "java", "String[] part")+` out.print(valid); %>`)
	v := newVisitor(t, "http://"+startTomcat(t, map[string]string{"": dir}))

	receiveHello(t, h, func() { v.get("/push.jsp?channel=public.news").wantText(t, "done") })
	h.wantPosition(t, func() string { return strings.TrimSpace(v.get("/position.jsp").body) })
	v.get("/push.jsp?channel=no.rule").wantText(t, "push to no.rule: ", "no rule for this channel")
	for _, user := range oddUsers {
		h.wantUserChannel(t, user, strings.TrimSpace(v.get("/channel.jsp?"+url.Values{"user": {user}}.Encode()).body))
	}
	now := time.Now().Unix()
	for header, want := range map[string]string{
		signEvents("0123456789abcdef", now, "{}"):     "true",
		signEvents("0123456789abcdef", now-400, "{}"): "false",
		signEvents("another key here", now, "{}"):     "false",
		signEvents("0123456789abcdef", now, "{} "):    "false",
	} {
		a := v.do(http.MethodGet, "/check.jsp", http.Header{"Holdfast-Signature": {header}}, nil)
		if strings.TrimSpace(a.body) != want {
			t.Errorf("the check of %s is %s, want %s", header, a.body, want)
		}
	}
}

// signEvents returns the signature of a webhook.
func signEvents(key string, at int64, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%d.%s", at, body)
	return fmt.Sprintf("t=%d,v1=%x", at, mac.Sum(nil))
}

// signToken returns a token with these claims, for the key of push.jwt.
func signToken(t *testing.T, key string, claims map[string]any) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(claims)).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestCommandsPage compares the list of commands with what the program says of itself.
func TestCommandsPage(t *testing.T) {
	out, err := exec.Command(executable, "help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	list := pageBlocks(t, "docs/reference/cli.md")[0].code
	for line := range strings.Lines(list) {
		command := strings.Trim(strings.Fields(line)[1], "[]")
		if !regexp.MustCompile(`(?m)^\s+(holdfast )?\[?` + command + `\b`).Match(out) {
			t.Errorf("the program does not know %q:\n%s", command, out)
		}
	}
}
