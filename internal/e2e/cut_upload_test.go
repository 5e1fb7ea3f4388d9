//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestCutUploadDoesNotRunModPHP cuts uploads that are larger than the temporary files may be. Apache with mod_php runs
// the script with a part, in every framing and however the connection ends; behind Holdfast it runs with the whole or
// not at all.
func TestCutUploadDoesNotRunModPHP(t *testing.T) {
	dir := publicTempDir(t)
	root, ran := filepath.Join(dir, "app"), filepath.Join(dir, "runs", "ran")
	mkdirForApache(t, filepath.Dir(ran))
	writeFile(t, filepath.Join(root, "cut.php"), fmt.Sprintf(
		`<?php file_put_contents(%q, $_GET["n"] . " " . strlen($_POST["b"] ?? "") . "\n", FILE_APPEND); echo "ran";`, ran))
	runs := func() string {
		b, _ := os.ReadFile(ran)
		return string(b)
	}
	apache := startApache(t, dir, root, "")
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: http://%s\nhooks: {listen: %s}\nbuffers: {temp_file_size: 128KB}\n", listen, apache, hooks)
	})

	part := "b=" + strings.Repeat("x", 99_998)
	cuts := []string{
		"Content-Length: 200000\r\n\r\n" + part,
		"Content-Length: 200000\r\n\r\n" + part + strings.Repeat("x", 99_999),
		"Content-Length: 100001\r\n\r\n" + part,
		"Transfer-Encoding: chunked\r\n\r\n186a0\r\n" + part + "\r\n",
		"Transfer-Encoding: chunked\r\n\r\n186a0\r\n" + part + "\r\n0\r\n",
		"Transfer-Encoding: chunked\r\n\r\n186a1\r\n" + part,
	}
	request := func(n int) string {
		return fmt.Sprintf("POST /cut.php?n=%d HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n", n)
	}
	cut := func(addr string, n int, framed string, reset bool) {
		t.Helper()
		c := wiretest.Dial(t, addr)
		c.Send(request(n) + framed)
		if reset {
			c.Conn.(*net.TCPConn).SetLinger(0)
			c.Close()
			return
		}
		c.Conn.(*net.TCPConn).CloseWrite()
		c.Rest()
	}
	for i, framed := range cuts {
		cut(h.addr, 2*i, framed, false)
		cut(h.addr, 2*i+1, framed, true)
	}
	c := wiretest.Dial(t, h.addr)
	c.Send(request(100) + "Content-Length: 100000\r\n\r\n" + part)
	if resp, body := c.Response("POST"); resp.StatusCode != 200 || body != "ran" {
		t.Fatalf("the whole upload was answered %d %q", resp.StatusCode, body)
	}
	// What is on its way through the loops has been dealt with before the process counts its connections.
	if got := runs(); got != "100 99998\n" {
		t.Errorf("the script ran %q; want once, with the whole", got)
	}
	if got := h.metric(t, "holdfast_proxy_upstream_connects_total"); got != 1 {
		t.Errorf("Apache had %v connections; want one", got)
	}

	// Apache alone runs it: the test can fail.
	cut(apache, 200, cuts[0], false)
	wiretest.Eventually(t, "Apache has run the script with a part", func() bool { return strings.Contains(runs(), "\n200 ") })
}
