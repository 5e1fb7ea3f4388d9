package tlsrecord

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// maxSecret is the length of SHA-384, and maxKey that of the longest key.
const (
	maxSecret   = 48
	mostSecrets = 32
	maxKey      = 32
	mostKeys    = 16
	nonceLen    = 12
	tagLen      = 16
)

// suite is a cipher suite of TLS 1.3 (RFC 8446 §B.4).
type suite struct {
	id     uint16
	key    int
	secret int
	hash   func() hash.Hash
	aead   func(key []byte) (cipher.AEAD, error)
}

// suites has all of them that crypto/tls negotiates. A half has an index of it.
var suites = [...]suite{
	{0x1301, 16, sha256.Size, sha256.New, newGCM},
	{0x1302, 32, sha512.Size384, sha512.New384, newGCM},
	{0x1303, chacha20poly1305.KeySize, sha256.Size, sha256.New, chacha20poly1305.New},
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
func (s *suite) expandLabel(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := string([]byte{byte(n >> 8), byte(n), byte(len(label))}) + label + "\x00"
	out, err := hkdf.Expand(s.hash, secret, info, n)
	if err != nil {
		panic("tlsrecord: " + err.Error()) // n is far below the limit
	}
	return out
}

// half is one direction of a session: 72 bytes. It has room for TLS_AES_128_GCM_SHA256, which most connections have; what
// the other suites need beyond it is in extra.
type half struct {
	seq     uint64 // of the next record
	secret  [mostSecrets]byte
	key     [mostKeys]byte
	iv      [nonceLen]byte
	suite   uint8
	flags   uint8
	useless uint8 // records without data since the last one with
}

// extra is the rest of a half's secret and key.
type extra struct {
	secret [maxSecret - mostSecrets]byte
	key    [maxKey - mostKeys]byte
}

const (
	flagClient uint8 = 1 << iota // the session is the client's
	flagEnded                    // close_notify was sent, or received
	flagUpdate                   // a KeyUpdate must precede the next data
)

func (h *half) has(flag uint8) bool { return h.flags&flag != 0 }

// setSecret sets the secret, and key and iv for it, and begins to count at zero. x is nil for a suite that needs none.
func (h *half) setSecret(secret []byte, x *extra) {
	s := &suites[h.suite]
	key := s.expandLabel(secret, "key", s.key)
	if n, m := copy(h.secret[:], secret), copy(h.key[:], key); n < len(secret) || m < len(key) {
		copy(x.secret[:], secret[n:])
		copy(x.key[:], key[m:])
	}
	copy(h.iv[:], s.expandLabel(secret, "iv", nonceLen))
	h.seq = 0
}

// next replaces the secret by the one that follows it (RFC 8446 §7.2).
func (h *half) next(x *extra) {
	s := &suites[h.suite]
	h.setSecret(s.expandLabel(h.fullSecret(x), "traffic upd", s.secret), x)
}

// fullSecret returns a copy of the secret.
func (h *half) fullSecret(x *extra) []byte {
	secret := append(make([]byte, 0, maxSecret), h.secret[:]...)
	if x != nil {
		secret = append(secret, x.secret[:]...)
	}
	return secret[:suites[h.suite].secret]
}

func (h *half) aead(x *extra) cipher.AEAD {
	s := &suites[h.suite]
	key := append(make([]byte, 0, maxKey), h.key[:]...)
	if x != nil {
		key = append(key, x.key[:]...)
	}
	a, err := s.aead(key[:s.key])
	if err != nil {
		panic("tlsrecord: " + err.Error()) // the length is right
	}
	return a
}

// nonce writes the nonce of the next record (RFC 8446 §5.3).
func (h *half) nonce(n *[nonceLen]byte) {
	*n = h.iv
	for i := range 8 {
		n[nonceLen-1-i] ^= byte(h.seq >> (8 * i))
	}
}
