package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"time"
)

// The peers with TLS on their listener: the same settings as without, and a certificate with a P-256 key.

func holdfastTLS() *Peer {
	p := holdfast()
	p.Name, p.Kinds = "holdfast tls", []string{Secure, SecurePush}
	p.start = func(s *Server, o Options, backend netip.AddrPort) error {
		cert, key, err := s.certificate()
		if err != nil {
			return err
		}
		listen := fmt.Sprintf("[{address: %q, tls: true}]\ntls: {certificates: [{cert: %s, key: %s}]}", s.Addr, cert, key)
		return s.holdfast(o, listen, backend)
	}
	return p
}

func nginxTLS() *Peer {
	return &Peer{
		Name:  "nginx tls",
		Kinds: []string{Secure},
		start: func(s *Server, o Options, backend netip.AddrPort) error {
			return s.nginxTLS(o, "", "", backend, "")
		},
		version: nginx().version,
	}
}

func nchanTLS() *Peer {
	p := nchan()
	p.Name, p.Kinds = "nchan tls", []string{SecurePush}
	p.start = func(s *Server, o Options, backend netip.AddrPort) error {
		return s.nginxTLS(o, nchanModule, "nchan_max_reserved_memory 1G;", backend, nchanLocations)
	}
	return p
}

func (s *Server) nginxTLS(o Options, module, memory string, backend netip.AddrPort, locations string) error {
	cert, key, err := s.certificate()
	if err != nil {
		return err
	}
	return s.nginx(o, module, fmt.Sprintf(`
	%s
	client_max_body_size 0;
	upstream app { %s }
	ssl_certificate %s;
	ssl_certificate_key %s;
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_session_cache shared:tls:10m;
	server {
		listen %s ssl backlog=4096;
		%s
		%s
	}`, memory, nginxApp(backend), cert, key, s.Addr, nginxLocation, locations))
}

func haproxyTLS() *Peer {
	p := haproxy()
	p.Name, p.Kinds = "haproxy tls", []string{Secure}
	p.start = func(s *Server, o Options, backend netip.AddrPort) error {
		cert, _, err := s.certificate()
		if err != nil {
			return err
		}
		return s.haproxy(o, fmt.Sprintf("%s ssl crt %s alpn http/1.1", s.Addr, cert), backend)
	}
	return p
}

// certificate writes a certificate for 127.0.0.1 and its key. The first file has both, as HAProxy wants them.
func (s *Server) certificate() (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"app.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
	if key, err = s.write("key.pem", keyPEM); err != nil {
		return "", "", err
	}
	cert, err = s.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))+keyPEM)
	return cert, key, err
}
