//go:build e2e && linux

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFPMCutUpload: php-fpm runs a script with whatever part of a body has come, so with the settings as they ship it
// gets no part of an upload that is cut, and chunked ones whole.
func TestFPMCutUpload(t *testing.T) {
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	mkdirForApache(t, root)
	runs := filepath.Join(dir, "tmp", "runs")
	writeFile(t, filepath.Join(root, "cut.php"), `<?php $n = strlen(file_get_contents('php://input'));
file_put_contents('`+runs+`', $_SERVER['REQUEST_URI'].' '.$n."\n", FILE_APPEND); echo $n;`)
	socket := startFPM(t, dir, nil)
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nsite: {root: %s}\nhooks: {listen: %s}\n", listen, socket, root, hooks)
	})
	big := "a=" + strings.Repeat("x", 200_000)
	chunks := fmt.Sprintf("%x\r\n%s\r\n", len(big), big)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(30 * time.Second))
		return c
	}
	form := "Host: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for name, sent := range map[string]string{
		"length":  form + "Content-Length: 200002\r\n\r\n" + big[:100_006],
		"chunks":  form + "Transfer-Encoding: chunked\r\n\r\n" + chunks,
		"upgrade": form + "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 200002\r\n\r\n" + big[:100_006],
		"small":   form + "Content-Length: 11\r\n\r\na=b",
	} {
		for _, reset := range []bool{false, true} {
			c := dial()
			io.WriteString(c, "POST /cut.php?"+name+" HTTP/1.1\r\n"+sent)
			if reset {
				c.(*net.TCPConn).SetLinger(0)
			} else {
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			}
			c.Close()
		}
	}
	c := dial()
	defer c.Close()
	io.WriteString(c, "PUT /cut.php?whole HTTP/1.1\r\n"+form+"Transfer-Encoding: chunked\r\n\r\n"+chunks+"0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(body) != "200002" {
		t.Errorf("a whole PUT in chunks: %d %q, %v", resp.StatusCode, body, err)
	}
	if got, err := os.ReadFile(runs); err != nil || string(got) != "/cut.php?whole 200002\n" {
		t.Errorf("the script ran with %q, %v", got, err)
	}
}
