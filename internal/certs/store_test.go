package certs

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestFind: a name of its own, the wildcard above it, and the first certificate for all others.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	first, second, wild, rsa := pairOf(dir, "first"), pairOf(dir, "second"), pairOf(dir, "wild"), pairOf(dir, "rsa")
	put(t, first, "first.test", "www.First.test")
	put(t, second, "second.test", "a.wild.test")
	put(t, wild, "*.wild.test", "wild.test")
	chain, key := issue(t, newRSA(t), soon, nil, "second.test")
	write(t, rsa.Cert, chain)
	write(t, rsa.Key, key)
	s, _ := open(t, Options{Pairs: []Pair{first, second, wild, rsa}})
	for name, want := range map[string]Pair{
		"first.test": first, "WWW.first.TEST": first, "second.test": second, "second.test.": second,
		"wild.test": wild, "b.wild.test": wild, "a.wild.test": second, "a.b.wild.test": first,
		"": first, "other.test": first, ".wild.test": first, "127.0.0.1": first, strings.Repeat("a.", 500): first,
	} {
		if got := served(t, s, name); got != serialIn(t, want.Cert) {
			t.Errorf("%q gets certificate %s, want that of %s", name, got, want.Cert)
		}
	}
	old := &tls.ClientHelloInfo{ // a client of TLS 1.2 without elliptic curves for signatures
		ServerName: "second.test", SupportedVersions: []uint16{tls.VersionTLS12}, SupportedCurves: []tls.CurveID{tls.CurveP256}, SupportedPoints: []uint8{0},
		CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, SignatureSchemes: []tls.SignatureScheme{tls.PKCS1WithSHA256},
	}
	if cert, err := s.Certificate(old); err != nil || cert.Leaf.SerialNumber.String() != serialIn(t, rsa.Cert) {
		t.Errorf("a client of RSA gets %v, %v", cert.Leaf.SerialNumber, err)
	}
}

// TestLongestWins: certbot's second directory for a name has the certificate that it renews.
func TestLongestWins(t *testing.T) {
	dir := t.TempDir()
	for name, ends := range map[string]time.Duration{"a": time.Hour, "a-0001": 1000 * time.Hour, "a-0002": 500 * time.Hour} {
		chain, key := issue(t, nil, time.Now().Add(ends), nil, "a.test", "a.test")
		write(t, filepath.Join(dir, name, "fullchain.pem"), chain)
		write(t, filepath.Join(dir, name, "privkey.pem"), key)
	}
	s, _ := open(t, Options{Folder: dir})
	for _, name := range []string{"a.test", ""} {
		if got, want := served(t, s, name), serialIn(t, filepath.Join(dir, "a-0001", "fullchain.pem")); got != want {
			t.Errorf("%q gets %s, want %s", name, got, want)
		}
	}
}

// TestValidWins: of the certificates for a name, one that has expired, or is not valid yet, is not served while another is:
// of another kind of key, or for the wildcard above it.
func TestValidWins(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	ended, later := now.Add(-time.Hour), now.Add(100*24*time.Hour)
	notYet := func(c *x509.Certificate) { c.NotBefore = now.Add(24 * time.Hour) }
	var pairs []Pair
	add := func(name string, key crypto.Signer, ends time.Time, change func(*x509.Certificate), names ...string) string {
		p := pairOf(dir, name)
		chain, private := issue(t, key, ends, change, names...)
		write(t, p.Cert, chain)
		write(t, p.Key, private)
		pairs = append(pairs, p)
		return serialIn(t, p.Cert)
	}
	add("ended", nil, ended, nil, "kind.test", "x.wild.test")
	rsa := add("rsa", newRSA(t), soon, nil, "kind.test")
	wild := add("wild", nil, soon, nil, "*.wild.test")
	add("next", nil, later, notYet, "next.test")
	current := add("current", nil, soon, nil, "next.test")
	last := add("last", nil, ended, nil, "all.test")
	add("rsa-ended", newRSA(t), ended, nil, "all.test")
	s, _ := open(t, Options{Pairs: pairs})
	for name, want := range map[string]string{"kind.test": rsa, "x.wild.test": wild, "next.test": current, "all.test": last} {
		if got := served(t, s, name); got != want {
			t.Errorf("%s gets %s, want %s", name, got, want)
		}
	}
}

// TestReplace: a new pair is used, and one that is not fit leaves the old one in use, with one line in the log.
func TestReplace(t *testing.T) {
	p := pairOf(t.TempDir(), "a")
	put(t, p, "a.test")
	s, log := open(t, Options{Pairs: []Pair{p}})
	before := served(t, s, "a.test")
	old, key := issue(t, nil, time.Now().Add(-time.Hour), nil, "a.test")
	other, _ := issue(t, nil, soon, nil, "a.test")
	for _, tt := range []struct {
		name   string
		damage func()
		reason string
	}{
		{"certificate of another key", func() { write(t, p.Cert, other) }, "does not match"},
		{"half a file", func() { write(t, p.Cert, other[:100]) }, "failed to find"},
		{"no certificate", func() { os.Remove(p.Cert) }, "no such file"},
		{"expired", func() { write(t, p.Cert, old); write(t, p.Key, key) }, "has expired"},
		{"no key", func() { os.Remove(p.Key) }, "no such file"},
		{"key with a password", func() {
			write(t, p.Key, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n"))
		}, "has a password"},
		{"a directory", func() { os.Remove(p.Key); os.Mkdir(p.Key, 0o700) }, "is a directory"},
		{"a huge file", func() { os.Remove(p.Key); write(t, p.Key, make([]byte, maxFile+1)) }, "larger than"},
	} {
		failures, lines := s.Stats().Failures, count(log, "still serving the old one")
		tt.damage()
		s.Reload()
		s.Reload()
		if got := served(t, s, "a.test"); got != before {
			t.Errorf("%s: certificate %s is served", tt.name, got)
		}
		if n := s.Stats().Failures; n != failures+2 {
			t.Errorf("%s: %d failures are counted", tt.name, n-failures)
		}
		if n := count(log, "still serving the old one"); n != lines+1 || !strings.Contains(log.String(), tt.reason) {
			t.Errorf("%s: %d lines, want one with %q in\n%s", tt.name, n-lines, tt.reason, log)
		}
	}
	put(t, p, "a.test", "b.test")
	s.Reload()
	if got := served(t, s, "b.test"); got != serialIn(t, p.Cert) || got == before {
		t.Errorf("certificate %s is served after it was mended", got)
	}
	loads := s.Stats().Loads
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(p.Cert, now, now); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if n := s.Stats().Loads; n != loads {
		t.Errorf("a touched file counts as a load")
	}
}

// TestSameTime: a file that takes another's place is seen, even if it is as old and as long.
func TestSameTime(t *testing.T) {
	p := pairOf(t.TempDir(), "a")
	key := newRSA(t) // its signatures have one length
	at := time.Now().Add(-time.Hour)
	for range 3 {
		chain, private := issue(t, key, soon, nil, "a.test")
		write(t, p.Key, private)
		write(t, p.Cert, chain)
		for _, name := range []string{p.Cert, p.Key} {
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
		if s, _ := open(t, Options{Pairs: []Pair{p}}); s != nil {
			first := served(t, s, "")
			chain, _ := issue(t, key, soon, nil, "a.test")
			write(t, p.Cert, chain)
			os.Chtimes(p.Cert, at, at)
			s.Reload()
			if got := served(t, s, ""); got == first {
				t.Errorf("the file that was replaced is not seen")
			}
		}
	}
}

// TestFolder: pairs appear and disappear; a directory that can't be read takes nothing away.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "live")
	in := func(name string) Pair {
		return Pair{filepath.Join(dir, name, "fullchain.pem"), filepath.Join(dir, name, "privkey.pem")}
	}
	put(t, in("b"), "b.test")
	write(t, filepath.Join(dir, "README"), []byte("This directory contains your keys"))
	os.Mkdir(filepath.Join(dir, "empty"), 0o700)
	s, log := open(t, Options{Folder: dir})
	if got := served(t, s, "a.test"); got != serialIn(t, in("b").Cert) {
		t.Errorf("%s is served", got)
	}
	put(t, in("a"), "a.test")
	s.Reload()
	if got := served(t, s, "a.test"); got != serialIn(t, in("a").Cert) {
		t.Errorf("%s is served for a new name", got)
	}
	if strings.Contains(log.String(), "not loaded") {
		t.Errorf("log:\n%s", log)
	}
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	s.Reload()
	if n := len(s.Stats().Certificates); n != 2 || count(log, "directory of certificates not read") != 1 {
		t.Errorf("%d certificates without the directory, log:\n%s", n, log)
	}
	if err := os.Rename(dir+"2", dir); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if x := s.Stats(); len(x.Certificates) != 1 || x.Certificates[0].Names[0] != "a.test" || count(log, "certificate removed") != 1 {
		t.Errorf("%+v, log:\n%s", x, log)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	p, q := pairOf(dir, "a"), pairOf(dir, "b")
	put(t, p, "a.test")
	put(t, q, "b.test")
	for _, o := range []Options{
		{Pairs: []Pair{{p.Cert, q.Key}}}, {Pairs: []Pair{p, {p.Cert, dir + "/none"}}}, {Folder: dir + "/none"}, {Folder: p.Cert},
	} {
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	s, _ := open(t, Options{Folder: dir})
	if _, err := s.Certificate(&tls.ClientHelloInfo{}); !errors.Is(err, ErrNone) || !s.Empty() {
		t.Errorf("without a certificate: %v", err)
	}
	s.Add(p)
	s.Add(p)
	if got := served(t, s, "x"); got != serialIn(t, p.Cert) || len(s.Stats().Certificates) != 1 || s.Empty() {
		t.Errorf("%s is served", got)
	}
}

// TestServe looks once a minute, and warns once a day of an end that comes.
func TestServe(t *testing.T) {
	p := pairOf(t.TempDir(), "a")
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		renew := func(ends time.Duration) {
			chain, key := issue(t, nil, start.Add(ends), nil, "a.test")
			write(t, p.Cert, chain)
			write(t, p.Key, key)
		}
		renew(16 * 24 * time.Hour)
		s, log := open(t, Options{Pairs: []Pair{p}})
		ctx, cancel := context.WithCancel(t.Context())
		donec := make(chan struct{})
		go func() {
			s.Serve(ctx)
			close(donec)
		}()
		time.Sleep(47 * time.Hour)
		if log := log.String(); strings.Contains(log, "expires soon") {
			t.Errorf("log:\n%s", log)
		}
		time.Sleep(5*24*time.Hour + time.Hour)
		if n := count(log, "expires soon"); n != 5 && n != 6 {
			t.Errorf("%d warnings in five days:\n%s", n, log)
		}
		time.Sleep(10 * 24 * time.Hour)
		if n := count(log, "has expired"); n < 1 {
			t.Errorf("no line of the end:\n%s", log)
		}
		before := served(t, s, "a.test")
		renew(100 * 24 * time.Hour)
		time.Sleep(Look + time.Second)
		if got := served(t, s, "a.test"); got == before {
			t.Error("the new certificate is not served after a minute")
		}
		cancel()
		<-donec
	})
}

func TestCheck(t *testing.T) {
	p := pairOf(t.TempDir(), "a")
	now := time.Now()
	for _, tt := range []struct {
		ends   time.Time
		mode   os.FileMode
		change func(*x509.Certificate)
		want   string
	}{
		{soon, 0o600, nil, ""},
		{soon, 0o640, nil, ""},
		{soon, 0o644, nil, "mode 0644"},
		{soon, 0o660, nil, "mode 0660"},
		{now.Add(-time.Hour), 0o600, nil, "has expired"},
		{now.Add(73 * time.Hour), 0o600, nil, "expires in 3 days"},
		{now.Add(100 * 24 * time.Hour), 0o600, nil, "is valid from"},
		{soon, 0o600, func(c *x509.Certificate) { c.DNSNames = nil }, "names no host"},
	} {
		chain, key := issue(t, nil, tt.ends, tt.change, "a.test")
		write(t, p.Cert, chain)
		write(t, p.Key, key)
		if err := os.Chmod(p.Key, tt.mode); err != nil {
			t.Fatal(err)
		}
		cert, err := Load(p)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(Check(p, cert, now), "\n")
		if got != "" && tt.want == "" || !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
