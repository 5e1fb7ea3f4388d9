package wiretest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"sync"
	"time"
)

// Secure reports whether clients of Dial use TLS: the variable HOLDFAST_TEST_TLS has its version, 1.2 or 1.3.
func Secure() bool { return os.Getenv("HOLDFAST_TEST_TLS") != "" }

// Certificate returns one for app.test that signs itself, the same each time, and a pool that has it.
var Certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"app.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
})

// secured is c with TLS, if clients use it.
func secured(c net.Conn) net.Conn {
	if !Secure() {
		return c
	}
	_, pool := Certificate()
	config := &tls.Config{RootCAs: pool, ServerName: "app.test", MinVersion: tls.VersionTLS12}
	if os.Getenv("HOLDFAST_TEST_TLS") == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	return tls.Client(c, config)
}
