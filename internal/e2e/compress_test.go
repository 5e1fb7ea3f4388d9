//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompressedFPM: what php-fpm writes at once and in pieces, a file and a stored response come whole out of gzip, zstd and
// curl, none of which accepts a body with something missing or left over. One that the script breaks off is none that is whole.
func TestCompressedFPM(t *testing.T) {
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&text, "line %d of %d\n", i, i*i)
	}
	pieces := "<?php header('Content-Type: text/plain'); foreach (range(0, 8999) as $i) { echo 'line ', $i, ' of ', $i * $i, \"\\n\"; if ($i %% 1000 == 0) { flush(); usleep(7000); } %s }"
	for name, content := range map[string]string{
		"file.txt":   text.String(),
		"whole.php":  "<?php ob_start(); header('Content-Type: text/plain'); readfile('file.txt'); header('Content-Length: ' . ob_get_length());",
		"stored.php": "<?php header('Content-Type: text/plain'); header('ETag: \"v1\"'); readfile('file.txt');",
		"pieces.php": fmt.Sprintf(pieces, ""),
		"cut.php":    fmt.Sprintf(pieces, "if ($i == 5000) posix_kill(getmypid(), 9);"),
	} {
		writeFile(t, filepath.Join(root, name), content)
	}
	socket := startFPM(t, dir, nil)
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nsite: {root: %s}\nhooks: {listen: %s}\ncompress: true\n"+
			"cache:\n  - {match: /stored.php, fresh: 1m, ignore_app: true}\n", listen, socket, root, hooks)
	})
	get := func(path, coding string, args ...string) ([]byte, error) {
		return exec.Command("curl", append([]string{"-sS", "-H", "Accept-Encoding: " + coding, h.url + path}, args...)...).Output()
	}
	for _, path := range []string{"/file.txt", "/whole.php", "/stored.php", "/stored.php", "/pieces.php"} {
		for _, coding := range []string{"gzip", "zstd", "br"} {
			before := h.metric(t, `holdfast_compress_responses_total{encoding="`+coding+`"}`)
			if got, err := get(path, coding, "--compressed"); err != nil || string(got) != text.String() {
				t.Errorf("%s in %s: curl has %d bytes, %v", path, coding, len(got), err)
			}
			if coding != "br" { // which has no program in every system
				body, err := get(path, coding)
				if err != nil {
					t.Errorf("%s in %s: %v", path, coding, err)
				}
				decode := exec.Command(coding, "-dc")
				decode.Stdin = bytes.NewReader(body)
				if got, err := decode.Output(); err != nil || string(got) != text.String() || len(body) > len(got)/2 {
					t.Errorf("%s: %s makes %d bytes of %d, %v", path, coding, len(got), len(body), err)
				}
			}
			if n := h.metric(t, `holdfast_compress_responses_total{encoding="`+coding+`"}`) - before; n < 1 {
				t.Errorf("%s in %s: %d compressed responses", path, coding, n)
			}
		}
	}
	for _, coding := range []string{"gzip", "zstd", "br"} {
		if got, err := get("/cut.php", coding, "--compressed"); err == nil {
			t.Errorf("what was cut, in %s: curl takes %d bytes for the whole", coding, len(got))
		}
	}
}
