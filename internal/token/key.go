package token

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	minSecret = 32   // bytes: as many as HMAC-SHA256 makes (RFC 7518 §3.2)
	minRSA    = 2048 // bits (RFC 7518 §3.3)
)

// ErrKey is wrapped by every error of a key. None quotes the key.
var ErrKey = errors.New("invalid key")

// key verifies tokens, with one algorithm, which a token can't choose.
type key struct {
	algorithm string
	key       any
}

// secretKey is for HS256.
func secretKey(secret string) (key, error) {
	if len(secret) < minSecret {
		return key{}, fmt.Errorf("%w: a secret has at least %d bytes", ErrKey, minSecret)
	}
	if strings.Contains(secret, "-----BEGIN") { // everybody may have it, and could sign with it
		return key{}, fmt.Errorf("%w: a key in PEM is no secret", ErrKey)
	}
	return key{jwt.SigningMethodHS256.Alg(), []byte(secret)}, nil
}

// newKey returns the key of a secret or a public key, of which there must be one.
func newKey(secret string, public []byte) (key, error) {
	switch {
	case secret != "" && public != nil:
		return key{}, fmt.Errorf("%w: there are two", ErrKey)
	case public == nil:
		return secretKey(secret)
	}
	return publicKey(public)
}

// publicKey reads the one public key of a PEM file.
func publicKey(text []byte) (key, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return key{}, fmt.Errorf("%w: not a PEM file", ErrKey)
	}
	if another, _ := pem.Decode(rest); another != nil {
		return key{}, fmt.Errorf("%w: the file has several; want one", ErrKey)
	}
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY":
		return key{}, fmt.Errorf("%w: it is a private key, which belongs to the app alone; want its public key", ErrKey)
	default:
		return key{}, fmt.Errorf("%w: want a PUBLIC KEY in PEM", ErrKey)
	}
	if err != nil {
		return key{}, fmt.Errorf("%w: it cannot be read as a public key", ErrKey)
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < minRSA {
			return key{}, fmt.Errorf("%w: RSA of %d bits; want at least %d", ErrKey, n, minRSA)
		}
		return key{jwt.SigningMethodRS256.Alg(), public}, nil
	case ed25519.PublicKey:
		return key{jwt.SigningMethodEdDSA.Alg(), public}, nil
	}
	return key{}, fmt.Errorf("%w: want RSA or Ed25519", ErrKey)
}
