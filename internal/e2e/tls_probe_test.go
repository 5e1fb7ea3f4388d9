//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tlsClient is openssl's client, which connects and closes. It returns what that prints, and whether the handshake was made.
func tlsClient(addr string, args ...string) (out string, ok bool) {
	cmd := exec.Command("openssl", append([]string{"s_client", "-connect", addr}, args...)...)
	cmd.Stdin = strings.NewReader("Q\n")
	b, err := cmd.CombinedOutput()
	return string(b), err == nil && !strings.Contains(string(b), "Cipher is (NONE)")
}

// newNamedCertificate makes a certificate for a name with a key of that kind, and returns the file of both.
func newNamedCertificate(t *testing.T, dir, name string, kind ...string) string {
	t.Helper()
	key, cert, both := filepath.Join(dir, name+".key"), filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".pem")
	run(t, exec.Command("openssl", append([]string{"req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:" + name,
		"-keyout", key, "-out", cert, "-newkey"}, kind...)...))
	joinFiles(t, both, cert, key)
	return both
}

func joinFiles(t *testing.T, to string, files ...string) {
	t.Helper()
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	writeFile(t, to+".new", string(all))
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

// startTLS runs Holdfast with TLS and these lines below tls, and returns it with the address.
func startTLS(t *testing.T, lines string) (h *holdfast, addr string) {
	t.Helper()
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the app") }))
	addr, hooks := freeAddr(t), freeAddr(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, fmt.Sprintf("upstream: %s\nhooks: {listen: %s}\nlisten: [{address: '%s', tls: true}]\ntls: {%s}\n", app, hooks, addr, lines))
	return startHoldfastCommand(t, exec.Command(executable, "-config", file), addr, hooks), addr
}

// TestTLSProbe is what scanners look for, with a certificate of each kind: versions, suites, groups, signatures, protocols,
// compression and renegotiation.
func TestTLSProbe(t *testing.T) {
	dir := t.TempDir()
	ec := newNamedCertificate(t, dir, "ec.test", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	rsa := newNamedCertificate(t, dir, "rsa.test", "rsa:2048")
	certificates := fmt.Sprintf("certificates: [{cert: %[1]s, key: %[1]s}, {cert: %[2]s, key: %[2]s}]", ec, rsa)
	_, addr := startTLS(t, certificates)
	_, newest := startTLS(t, "min_version: '1.3', "+certificates)
	list := run(t, exec.Command("openssl", "ciphers", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"))
	for name, family := range map[string]string{"ec.test": "ECDHE-ECDSA-", "rsa.test": "ECDHE-RSA-"} {
		good := []string{family + "AES128-GCM-SHA256", family + "AES256-GCM-SHA384", family + "CHACHA20-POLY1305"}
		var others []string // with CBC, without forward secrecy or without encryption
		for suite := range strings.SplitSeq(strings.TrimSpace(list), ":") {
			if !strings.HasPrefix(suite, "TLS_") && suite != good[0] && suite != good[1] && suite != good[2] {
				others = append(others, suite)
			}
		}
		for _, want := range []string{"AES128-SHA", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", family + "AES128-SHA256", family + "AES256-CCM"} {
			if found := strings.Contains(":"+strings.Join(others, ":")+":", ":"+want+":"); !found && want != "ECDHE-RSA-AES256-CCM" {
				t.Fatalf("openssl does not offer %s, so the probe proves nothing", want)
			}
		}
		weak := []string{"-cipher", "ALL:@SECLEVEL=0"}
		for _, tt := range []struct {
			what string
			addr string
			args []string
			want string // in what the client prints; empty: no handshake
		}{
			{"TLS 1.0", addr, append([]string{"-tls1"}, weak...), ""},
			{"TLS 1.1", addr, append([]string{"-tls1_1"}, weak...), ""},
			{"TLS 1.2", addr, append([]string{"-tls1_2"}, weak...), "Protocol  : TLSv1.2"},
			{"TLS 1.3", addr, []string{"-tls1_3"}, "New, TLSv1.3, Cipher is TLS_"},
			{"TLS 1.2, where 1.3 is the lowest", newest, append([]string{"-tls1_2"}, weak...), ""},
			{"TLS 1.3, where it is the lowest", newest, []string{"-tls1_3"}, "New, TLSv1.3"},
			{"all other suites", addr, []string{"-tls1_2", "-cipher", strings.Join(others, ":") + ":@SECLEVEL=0"}, ""},
			{"all other suites, and one", addr, []string{"-tls1_2", "-cipher", strings.Join(others, ":") + ":" + good[1] + ":@SECLEVEL=0"}, "Cipher is " + good[1]},
			{"AES-128", addr, []string{"-tls1_2", "-cipher", good[0]}, "Cipher is " + good[0]},
			{"AES-256", addr, []string{"-tls1_2", "-cipher", good[1]}, "Cipher is " + good[1]},
			{"ChaCha20", addr, []string{"-tls1_2", "-cipher", good[2]}, "Cipher is " + good[2]},
			{"compression", addr, append([]string{"-tls1_2", "-comp"}, weak...), "Compression: NONE"},
			{"secure renegotiation", addr, []string{"-tls1_2"}, "Secure Renegotiation IS supported"},
			{"extended master secret", addr, []string{"-tls1_2"}, "Extended master secret: yes"},
			{"a fallback from 1.3", addr, []string{"-tls1_2", "-fallback_scsv"}, ""},
			{"a weak group", addr, append([]string{"-tls1_2", "-groups", "prime192v1"}, weak...), ""},
			{"a weak group in 1.3", addr, []string{"-tls1_3", "-groups", "ffdhe2048"}, ""},
			{"X25519", addr, []string{"-tls1_3", "-groups", "X25519"}, "Server Temp Key: X25519"},
			{"P-384", addr, []string{"-tls1_3", "-groups", "P-384"}, "Server Temp Key: ECDH, secp384r1"},
			{"SHA-1", addr, append([]string{"-tls1_2", "-sigalgs", "RSA+SHA1:ECDSA+SHA1"}, weak...), ""},
			{"SHA-256", addr, []string{"-tls1_2", "-sigalgs", "RSA-PSS+SHA256:ECDSA+SHA256"}, "Peer signing digest: SHA256"},
			{"HTTP/2 alone", addr, []string{"-alpn", "h2"}, ""},
			{"HTTP/2 or 1.1", addr, []string{"-alpn", "h2,http/1.1"}, "ALPN protocol: http/1.1"},
			{"no ALPN", addr, nil, "No ALPN negotiated"},
		} {
			out, ok := tlsClient(tt.addr, append([]string{"-servername", name}, tt.args...)...)
			if ok != (tt.want != "") || !strings.Contains(out, tt.want) {
				t.Errorf("%s, %s: handshake %v, want %q in\n%s", name, tt.what, ok, tt.want, out)
			}
			if !ok && !strings.Contains(out, "alert") {
				t.Errorf("%s, %s: refused without an alert:\n%s", name, tt.what, out)
			}
			if ok && !strings.Contains(out, "subject=CN = "+name) {
				t.Errorf("%s, %s: another certificate:\n%s", name, tt.what, out)
			}
		}
	}
}

// TestOCSP: a certificate that demands an OCSP response has it in handshakes, as openssl's responder signs it, and clients
// that insist are content. One that replaces it has its own soon, without waiting for the next look.
func TestOCSP(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	run(t, exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=CA",
		"-addext", "basicConstraints=critical,CA:TRUE", "-keyout", at("ca.key"), "-out", at("ca.pem")))
	responder := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		in, out := at(fmt.Sprintf("request-%p", r)), at(fmt.Sprintf("response-%p", r))
		if err := os.WriteFile(in, request, 0o600); err != nil {
			t.Error(err)
		}
		if text, err := exec.Command("openssl", "ocsp", "-index", at("index.txt"), "-rsigner", at("ca.pem"), "-rkey", at("ca.key"), "-CA", at("ca.pem"),
			"-reqin", in, "-respout", out, "-nmin", "60").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		response, err := os.ReadFile(out)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		w.Write(response)
	}))
	writeFile(t, at("index.txt"), "")
	writeFile(t, at("ext"), "subjectAltName=DNS:app.test\ntlsfeature=status_request\nauthorityInfoAccess=OCSP;URI:"+responder+"\n")
	index := ""
	issue := func(serial string) {
		t.Helper()
		run(t, exec.Command("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=app.test", "-keyout", at("app.key"), "-out", at("app.csr")))
		run(t, exec.Command("openssl", "x509", "-req", "-in", at("app.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-set_serial", "0x"+serial, "-days", "2",
			"-extfile", at("ext"), "-out", at("app.crt")))
		index += "V\t" + time.Now().Add(48*time.Hour).UTC().Format("060102150405Z") + "\t\t" + serial + "\tunknown\t/CN=" + serial + "\n" // each subject once
		writeFile(t, at("index.txt"), index)
		joinFiles(t, at("app.pem"), at("app.crt"), at("ca.pem"), at("app.key"))
	}
	issue("1001")
	h, addr := startTLS(t, fmt.Sprintf("certificates: [{cert: %[1]s, key: %[1]s}]", at("app.pem")))
	stapled := func(serial string) {
		t.Helper()
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			h.waitUntil(t, func() error {
				out, ok := tlsClient(addr, version, "-servername", "app.test", "-CAfile", at("ca.pem"), "-verify_return_error", "-status")
				for _, want := range []string{"OCSP Response Status: successful", "Cert Status: good", "Serial Number: " + serial} {
					if !ok || !strings.Contains(out, want) {
						return fmt.Errorf("%s: no %q in\n%s", version, want, out)
					}
				}
				return nil
			})
		}
	}
	stapled("1001")
	_, port, _ := net.SplitHostPort(addr)
	out := run(t, exec.Command("curl", "-sS", "--cert-status", "--cacert", at("ca.pem"), "--resolve", "app.test:"+port+":127.0.0.1", "https://app.test:"+port+"/"))
	if out != "the app" {
		t.Errorf("curl has %q", out)
	}
	gnutls := exec.Command("gnutls-cli", "--x509cafile", at("ca.pem"), "--sni-hostname", "app.test", "--verify-hostname", "app.test", "-p", port, "127.0.0.1")
	if text, err := gnutls.CombinedOutput(); err != nil || !strings.Contains(string(text), "Handshake was completed") {
		t.Errorf("gnutls, which insists: %v\n%s", err, text)
	}
	issue("1002")
	if err := h.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	stapled("1002")
}
