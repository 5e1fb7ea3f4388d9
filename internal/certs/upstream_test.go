package certs

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// TestUpstreamFilesChange: what has changed is used, what is not fit is not, and both are in the log and counted.
func TestUpstreamFilesChange(t *testing.T) {
	dir := t.TempDir()
	written := time.Now()
	file := func(name string, data []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		written = written.Add(time.Second)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
		return path
	}
	later := time.Now().Add(60 * 24 * time.Hour)
	chain, key := issue(t, nil, later, nil, "holdfast.test")
	other, _ := issue(t, nil, later, nil, "other.test")
	f := UpstreamFiles{CA: file("ca.pem", chain), Pair: Pair{file("own.pem", chain), file("own.key", key)}}
	var log wiretest.Log
	x := NewUpstreams(slog.New(slog.NewTextHandler(&log, nil)))
	type used struct {
		roots *x509.CertPool
		cert  *tls.Certificate
	}
	var uses, second []used
	forget, err := x.Add(f, func(r *x509.CertPool, c *tls.Certificate) { uses = append(uses, used{r, c}) })
	if err != nil {
		t.Fatal(err)
	}
	forgetSecond, err := x.Add(f, func(r *x509.CertPool, c *tls.Certificate) { second = append(second, used{r, c}) })
	if err != nil {
		t.Fatal(err)
	}
	first := uses[0]
	step := func(what string, wantUses int, wantLoads, wantFailures int64, wantLog string) {
		t.Helper()
		before := len(log.String())
		x.Reload()
		s := x.Stats()
		if len(uses) != wantUses || len(second) != wantUses || s.Loads != wantLoads || s.Failures != wantFailures {
			t.Fatalf("%s: used %d and %d times, %+v", what, len(uses), len(second), s)
		}
		if got := log.String()[before:]; wantLog == "" && got != "" || !strings.Contains(got, wantLog) {
			t.Errorf("%s: the log has %q, want %q", what, got, wantLog)
		}
	}
	step("nothing has changed", 1, 0, 0, "")
	file("ca.pem", chain)
	step("written again", 1, 0, 0, "")
	file("ca.pem", append(chain, other...))
	step("another CA", 2, 1, 0, "files of upstream_tls loaded; new connections use them")
	if uses[1].roots.Equal(first.roots) || uses[1].cert.Leaf.SerialNumber.Cmp(first.cert.Leaf.SerialNumber) != 0 {
		t.Error("not the new CAs, with the old certificate")
	}
	file("ca.pem", []byte("none"))
	step("no CA", 2, 1, 1, "ca_file: "+f.CA+" has no certificate")
	step("still none", 2, 1, 2, "")
	file("ca.pem", append(chain, other...))
	step("back", 2, 1, 2, "")
	renewed, newKey := issue(t, nil, time.Now().Add(3*24*time.Hour), nil, "renewed.test")
	file("own.pem", renewed)
	step("a certificate without its key", 2, 1, 3, "still using the old ones")
	file("own.key", newKey)
	step("with its key", 3, 2, 3, "certificate for upstreams expires soon and was not replaced")
	if got := uses[2].cert.Leaf.DNSNames; len(got) != 1 || got[0] != "renewed.test" {
		t.Errorf("the certificate is that of %v", got)
	}
	if s := x.Stats(); len(s.Certificates) != 1 || !s.Certificates[0].Expires.Equal(uses[2].cert.Leaf.NotAfter) {
		t.Errorf("%+v", s.Certificates)
	}
	expired, expiredKey := issue(t, nil, time.Now().Add(-time.Hour), nil, "old.test")
	file("own.pem", expired)
	file("own.key", expiredKey)
	step("an expired one", 3, 2, 4, "the certificate has expired")
	if err := os.Remove(f.CA); err != nil {
		t.Fatal(err)
	}
	step("no file", 3, 2, 5, "no such file")
	forget()
	if s := x.Stats(); len(s.Certificates) != 1 {
		t.Errorf("with one use left: %+v", s)
	}
	forgetSecond()
	if s := x.Stats(); len(s.Certificates) != 0 {
		t.Errorf("without a use: %+v", s)
	}
	file("ca.pem", chain)
	step("nobody needs it", 3, 2, 5, "")
}
