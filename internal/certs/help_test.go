package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// authority signs the certificates of tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var ca = sync.OnceValue(func() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-10000 * time.Hour), NotAfter: time.Now().Add(100000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &authority{cert, key}
})

var serial = big.NewInt(100)

// issue returns a certificate for names and its key, as PEM. change may change the template; a key of nil is a new one.
func issue(t *testing.T, key crypto.Signer, ends time.Time, change func(*x509.Certificate), names ...string) (chain, private []byte) {
	t.Helper()
	var err error
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	serial = new(big.Int).Add(serial, big.NewInt(1))
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: names, NotBefore: ends.Add(-90 * 24 * time.Hour), NotAfter: ends, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca().cert, key.Public(), ca().key)
	if err != nil {
		t.Fatal(err)
	}
	chain = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca().cert.Raw})...)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func newRSA(t *testing.T) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// soon is when certificates of tests end that are not about their end.
var soon = time.Now().Add(60 * 24 * time.Hour)

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// put writes a pair for names.
func put(t *testing.T, p Pair, names ...string) {
	t.Helper()
	chain, key := issue(t, nil, soon, nil, names...)
	write(t, p.Cert, chain)
	write(t, p.Key, key)
}

func pairOf(dir, name string) Pair {
	return Pair{filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")}
}

func open(t *testing.T, o Options) (*Store, *wiretest.Log) {
	t.Helper()
	log := new(wiretest.Log)
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

// served returns the serial number of the certificate that a client gets.
func served(t *testing.T, s *Store, name string) string {
	t.Helper()
	cert, err := s.Certificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf.SerialNumber.String()
}

// serialIn returns the serial number of the certificate in a file.
func serialIn(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert.SerialNumber.String()
}

func withStaple(responder string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		value, err := asn1.Marshal([]int{statusRequest})
		if err != nil {
			panic(err)
		}
		c.ExtraExtensions = []pkix.Extension{{Id: tlsFeature, Value: value}}
		c.OCSPServer = []string{responder}
	}
}

func count(log *wiretest.Log, text string) int {
	return bytes.Count([]byte(log.String()), []byte(text))
}
