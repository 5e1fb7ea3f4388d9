package acmeclient

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"

	"golang.org/x/crypto/acme"
)

// ChallengePath is what the paths of HTTP-01 begin with (RFC 8555 §8.3).
const ChallengePath = "/.well-known/acme-challenge/"

// Response returns the body for a request to a path; nil: the path is of no challenge in progress. Any goroutine may call
// it; for other paths it costs a comparison.
func (m *Manager) Response(path []byte) []byte {
	if !bytes.HasPrefix(path, []byte(ChallengePath)) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	response := m.responses[string(path)]
	if response != nil {
		m.answered.Add(1)
	}
	return response
}

// Certificate returns the certificate for a handshake that is a challenge of TLS-ALPN-01 (RFC 8737 §3), or nil for any
// other handshake. challenge tells the two apart: without a certificate the challenge is not ours.
func (m *Manager) Certificate(hello *tls.ClientHelloInfo) (cert *tls.Certificate, challenge bool) {
	if !slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) {
		return nil, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	cert = m.challenges[strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))]
	if cert != nil {
		m.answered.Add(1)
	}
	return cert, true
}
