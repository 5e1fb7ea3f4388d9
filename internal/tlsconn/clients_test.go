//go:build e2e

package tlsconn

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// program is a client of another TLS library, which sends lines and prints what comes back.
type program struct {
	in  io.WriteCloser
	out wiretest.Log
	cmd *exec.Cmd
}

func runProgram(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(name, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.in.Close()
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	return p
}

// line sends a line, and waits until it has come back.
func (p *program) line(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(p.in, text+"\n"); err != nil {
		t.Fatalf("%v:\n%s", err, p.out.String())
	}
	p.wait(t, text)
}

func (p *program) wait(t *testing.T, text string) {
	t.Helper()
	wiretest.Eventually(t, text+" in:\n"+p.out.String(), func() bool { return strings.Contains(p.out.String(), text) })
}

func caFile(t *testing.T) string {
	name := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: testCert.Certificate[0]})
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestOpenSSL: OpenSSL's client, with every suite, key updates both ways and a half-closed stream.
func TestOpenSSL(t *testing.T) {
	ca := caFile(t)
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		t.Run(suite, func(t *testing.T) {
			s := start(t, Options{}, echoes)
			p := runProgram(t, "openssl", "s_client", "-connect", s.addr, "-tls1_3", "-ciphersuites", suite, "-CAfile", ca,
				"-servername", "app.test", "-verify_return_error", "-verify_hostname", "app.test")
			p.wait(t, "Verify return code: 0")
			p.wait(t, "Cipher is "+suite)
			p.line(t, "one line")
			updates := 0
			for i := range 20 {
				for _, command := range []string{"k", "K"} { // KeyUpdate, and one that requests another
					if _, err := io.WriteString(p.in, command+"\n"); err != nil {
						t.Fatal(err)
					}
					updates++
					wiretest.Eventually(t, "the key update", func() bool { return strings.Count(p.out.String(), "KEYUPDATE") == updates })
					p.line(t, fmt.Sprintf("line %d after %s", i, command))
				}
			}
			if _, err := io.WriteString(p.in, "Q\n"); err != nil {
				t.Fatal(err)
			}
			wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
			if strings.Contains(s.log.String(), "TLS connection failed") {
				t.Errorf("the log has %s", s.log)
			}
		})
	}
}

// TestRenegotiation of TLS 1.2 is refused, and the process goes on.
func TestRenegotiation(t *testing.T) {
	s := start(t, Options{}, echoes)
	p := runProgram(t, "openssl", "s_client", "-connect", s.addr, "-tls1_2", "-CAfile", caFile(t))
	p.line(t, "before")
	if _, err := io.WriteString(p.in, "R\n"); err != nil {
		t.Fatal(err)
	}
	wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
	exchange(t, s.dial(t, clientConfig(0), nil), "still here")
}

// TestGnuTLS: a third implementation, with both versions and its own end of the stream.
func TestGnuTLS(t *testing.T) {
	ca := caFile(t)
	for _, version := range []string{"1.3", "1.2"} {
		t.Run(version, func(t *testing.T) {
			s := start(t, Options{}, echoes)
			_, port, _ := net.SplitHostPort(s.addr)
			p := runProgram(t, "gnutls-cli", "--x509cafile", ca, "--sni-hostname", "app.test", "--verify-hostname", "app.test",
				"--priority", "NORMAL:-VERS-ALL:+VERS-TLS"+version, "-p", port, "127.0.0.1")
			p.wait(t, "Handshake was completed")
			for i := range 20 {
				p.line(t, fmt.Sprintf("line %d", i))
			}
			p.in.Close()
			wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
		})
	}
}

// TestWhatIsOffered: nothing below TLS 1.2, and of 1.2 only suites with forward secrecy and an AEAD.
func TestWhatIsOffered(t *testing.T) {
	s := start(t, Options{}, echoes)
	connect := func(args ...string) (string, bool) {
		cmd := exec.Command("openssl", append([]string{"s_client", "-connect", s.addr}, args...)...)
		cmd.Stdin = bytes.NewReader([]byte("Q\n"))
		b, err := cmd.CombinedOutput()
		return string(b), err == nil && !strings.Contains(string(b), "Cipher is (NONE)")
	}
	for _, version := range []string{"-tls1", "-tls1_1"} {
		if out, ok := connect(version, "-cipher", "ALL:@SECLEVEL=0"); ok {
			t.Errorf("%s is offered:\n%s", version, out)
		}
	}
	list, err := exec.Command("openssl", "ciphers", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").Output()
	if err != nil {
		t.Fatal(err)
	}
	offered := 0
	for _, name := range strings.Split(strings.TrimSpace(string(list)), ":") {
		if strings.HasPrefix(name, "TLS_") { // of 1.3
			continue
		}
		_, ok := connect("-tls1_2", "-cipher", name+":@SECLEVEL=0")
		want := strings.HasPrefix(name, "ECDHE-ECDSA-") && (strings.HasSuffix(name, "-GCM-SHA256") || strings.HasSuffix(name, "-GCM-SHA384") || strings.HasSuffix(name, "CHACHA20-POLY1305")) &&
			!strings.Contains(name, "ARIA")
		if ok != want {
			t.Errorf("%s: offered %v", name, ok)
		}
		if ok {
			offered++
		}
	}
	if offered != 3 {
		t.Errorf("%d suites of TLS 1.2 are offered", offered)
	}
}
