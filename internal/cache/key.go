package cache

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
)

// Key stands for everything of a request that its answer depends on: 128 bits of a SHA-256 with a secret of the process.
// Nobody outside can find two requests with the same key, nor guess one.
type Key [16]byte

// KeyRoom is how long what is hashed is at most, but for long requests.
const KeyRoom = 1024

// Hasher makes keys and tags. Those of different hashers have nothing in common.
type Hasher struct {
	secret [sha256.Size]byte
	seed   maphash.Seed
}

// NewHasher returns a hasher with a random secret.
func NewHasher() *Hasher {
	h := &Hasher{seed: maphash.MakeSeed()}
	_, _ = rand.Read(h.secret[:]) // it does not fail
	return h
}

// Start begins what is to be hashed, in b. With room for KeyRoom bytes there it is hashed without an allocation.
func (h *Hasher) Start(b []byte) []byte { return append(b, h.secret[:]...) }

// AppendPart adds a part: what it is and how long, so that no two lists of parts are the same bytes.
func AppendPart(b []byte, kind byte, v []byte) []byte {
	b = binary.AppendUvarint(append(b, kind), uint64(len(v)))
	return append(b, v...)
}

// Sum returns the key of what was started and added.
func Sum(b []byte) (k Key) {
	all := sha256.Sum256(b)
	copy(k[:], all[:])
	return k
}

// Tag is what entries are invalidated by: a hash of a URL, a group and so on. Two of them with the same hash would be
// dropped together, which is not wrong.
type Tag uint64

// The kinds of tags.
const (
	tagURL byte = iota
	tagGroup
	tagSession
	tagChannel
	tagRule
	tagSeen
)

// tag returns the tag of a kind and two texts.
func (h *Hasher) tag(kind byte, a, b string) Tag {
	var m maphash.Hash
	m.SetSeed(h.seed)
	_ = m.WriteByte(kind)
	_, _ = m.WriteString(a)
	_ = m.WriteByte(0)
	_, _ = m.WriteString(b)
	return Tag(m.Sum64())
}

// SessionTag returns the tag of a session, by what stands for it: cookie.Credential.
func (h *Hasher) SessionTag(credential uint64) Tag { return h.tagOf(tagSession, credential) }

// SeenTag returns the tag of what is noted of a session besides its answers, which is not invalidated with them.
func (h *Hasher) SeenTag(session Tag) Tag { return h.tagOf(tagSeen, uint64(session)) }

func (h *Hasher) tagOf(kind byte, n uint64) Tag {
	var m maphash.Hash
	m.SetSeed(h.seed)
	b := [9]byte{kind}
	binary.BigEndian.PutUint64(b[1:], n)
	_, _ = m.Write(b[:])
	return Tag(m.Sum64())
}
