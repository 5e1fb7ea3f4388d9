package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Files says how an upstream is verified, and what it verifies.
type Files struct {
	Verify    bool
	Name      string // that its certificate must have
	CAFile    string // the certificates that may have signed it; empty: the system's
	Cert, Key string // of Holdfast; empty: none
}

// Load returns the configuration for Client.Upstream. Its errors begin with the name of a key.
func (f *Files) Load() (*tls.Config, error) {
	c := &tls.Config{ServerName: f.Name, InsecureSkipVerify: !f.Verify}
	var err error
	if c.RootCAs, err = Roots(f.CAFile); err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Roots returns the certificates in a PEM file; nil, for those of the system, without one.
func Roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return pool, nil
}
