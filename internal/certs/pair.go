package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Pair is a certificate with its issuers, and its private key, as PEM files. Both can be one file.
type Pair struct{ Cert, Key string }

// maxFile is far beyond any chain.
const maxFile = 1 << 20

// ErrExpired is what a certificate that is no longer valid is refused with.
var ErrExpired = errors.New("the certificate has expired")

// Load reads a pair. The error names the file.
func Load(p Pair) (*tls.Certificate, error) {
	chain, err := readFile(p.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readFile(p.Key)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %s", p.Cert, p.Key, explain(err, key))
	}
	return &cert, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s: is larger than %d bytes, so it is no certificate", name, maxFile)
	}
	return b, err
}

// explain returns the text of an error of tls.X509KeyPair, with what is likely the cause.
func explain(err error, key []byte) string {
	text := strings.TrimPrefix(err.Error(), "tls: ")
	switch {
	case bytes.Contains(key, []byte("ENCRYPTED")):
		return "the private key has a password; want one without, as \"openssl pkey\" writes it"
	case strings.Contains(text, "does not match"):
		return text + ": the certificate of the server has to be the first in its file"
	}
	return text
}

// Check returns what is likely not meant in a pair that can be loaded, in a sentence each.
func Check(p Pair, cert *tls.Certificate, now time.Time) (list []string) {
	leaf := cert.Leaf
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		list = append(list, fmt.Sprintf("%s has expired, on %s", p.Cert, day(leaf.NotAfter)))
	case left < ExpiresSoon:
		list = append(list, fmt.Sprintf("%s expires in %d days, on %s", p.Cert, int(left/(24*time.Hour)), day(leaf.NotAfter)))
	}
	if now.Before(leaf.NotBefore) {
		list = append(list, fmt.Sprintf("%s is valid from %s on only", p.Cert, day(leaf.NotBefore)))
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		list = append(list, p.Cert+" names no host in its subject alternative names: clients refuse it")
	}
	if len(cert.Certificate) == 1 && !bytes.Equal(leaf.RawIssuer, leaf.RawSubject) && len(leaf.IssuingCertificateURL) > 0 {
		list = append(list, p.Cert+" has no intermediate certificate behind that of the server: many clients refuse it")
	}
	if info, err := os.Stat(p.Key); err == nil && info.Mode().Perm()&0o027 != 0 {
		list = append(list, fmt.Sprintf("%s has mode %04o, so that other users can read or replace the key; want 0600, or 0640 with a group of its own", p.Key, info.Mode().Perm()))
	}
	return list
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// ExpiresSoon is how long before its end a certificate is warned of.
const ExpiresSoon = 14 * 24 * time.Hour

// stamp tells one state of a pair's files from another. A file that is replaced has another number, even if its time is
// an older one.
type stamp struct{ cert, key fileState }

type fileState struct {
	size int64
	time time.Time
	file os.FileInfo
}

func (a fileState) same(b fileState) bool {
	return a.size == b.size && a.time.Equal(b.time) && (a.file == nil) == (b.file == nil) && (a.file == nil || os.SameFile(a.file, b.file))
}

func (a stamp) same(b stamp) bool { return a.cert.same(b.cert) && a.key.same(b.key) }

// stampOf is taken before the files are read: a change meanwhile is then seen at the next look.
func stampOf(p Pair) stamp { return stamp{stateOf(p.Cert), stateOf(p.Key)} }

func stateOf(name string) (s fileState) {
	if info, err := os.Stat(name); err == nil {
		s = fileState{info.Size(), info.ModTime(), info}
	}
	return s
}

// namesOf returns the host names of a certificate, in lower case.
func namesOf(leaf *x509.Certificate) (names []string) {
	for _, n := range leaf.DNSNames {
		names = append(names, strings.ToLower(strings.TrimSuffix(n, ".")))
	}
	return names
}
