// Package cookie finds cookies in requests, and hashes those by which an app tells its sessions apart.
//
// Names are compared in two ways. [Is] is for what a client is let in by: which sessions a connection depends on. A name that
// only some apps would read as the wanted one is none there, as it could fill the list of a client's sessions. [MayBe] is for
// whose an answer is: what any app might read as the wanted name counts, or one user's answer could reach another.
package cookie

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync/atomic"

	"holdfast/internal/http1"
)

// Is reports whether a cookie's name is the wanted one, of which a trailing asterisk stands for any ending.
func Is(wanted string, name []byte) bool {
	if prefix, ok := strings.CutSuffix(wanted, "*"); ok {
		return bytes.HasPrefix(name, []byte(prefix))
	}
	return string(name) == wanted
}

// MayBe reports whether an app may read a cookie's name as the wanted one, of which a trailing asterisk stands for any ending.
// Letters may be of either case, as in ASP.NET; PHP makes an underscore of a dot, a space, a plus and a bracket; and old
// versions of it decode names, so that a percent sign may stand for anything.
func MayBe(wanted string, name []byte) bool {
	if bytes.IndexByte(name, '%') >= 0 {
		return true
	}
	prefix, any := strings.CutSuffix(wanted, "*")
	if len(name) < len(prefix) || len(name) > len(prefix) && !any {
		return false
	}
	for i := range len(prefix) {
		if fold(name[i]) != fold(prefix[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c | 0x20
	case c == '.' || c == ' ' || c == '+' || c == '[':
		return '_'
	}
	return c
}

// IsField reports whether a field is one of cookies, and was not dropped.
func IsField(f *http1.Field) bool {
	return !f.Drop && len(f.Name) == 6 && http1.EqualFold(f.Name, "cookie")
}

// IsPlain reports whether a line of Cookie is read in the same way by every app: nothing in it is quoted, and no comma is a
// separator for one and part of a value for another.
func IsPlain(line []byte) bool { return !bytes.ContainsAny(line, "\",") }

// Cookies walks over the cookies of a request, as whoever may see a cookie in it: besides the semicolon a comma separates
// them, as some containers had it, and quotes hold nothing together. So a value may be longer for the app than here; see
// IsPlain.
type Cookies struct {
	Fields []http1.Field // of the request, that were not walked over yet
	line   []byte
}

// Next returns another cookie; ok is false at the end.
func (c *Cookies) Next() (name, value []byte, ok bool) {
	for {
		for len(c.line) == 0 {
			if len(c.Fields) == 0 {
				return nil, nil, false
			}
			if IsField(&c.Fields[0]) {
				c.line = c.Fields[0].Value
			}
			c.Fields = c.Fields[1:]
		}
		pair := c.line
		if i := bytes.IndexAny(c.line, ";,"); i >= 0 {
			pair, c.line = c.line[:i], c.line[i+1:]
		} else {
			c.line = nil
		}
		name, value, _ := bytes.Cut(pair, []byte("="))
		if name, value = http1.TrimOWS(name), http1.TrimOWS(value); len(name) > 0 {
			return name, value, true
		}
	}
}

// Key is the secret of the hashes.
type Key [16]byte

// key is this process's: hashes mean nothing elsewhere, and nobody can choose values with the same one.
var key atomic.Pointer[Key]

func init() {
	k := new(Key)
	_, _ = rand.Read(k[:]) // it does not fail
	key.Store(k)
}

// PresentKey returns the key of this process.
func PresentKey() Key { return *key.Load() }

// SetKey has this process continue with the hashes of another one. Call it before Credential.
func SetKey(k Key) { key.Store(&k) }

// Credential returns what stands for a session: a hash of a cookie's name, however it is spelled, and its value. It is 0 if
// there is no value.
func Credential(wanted string, name, value []byte) uint64 {
	if value = bytes.Trim(http1.TrimOWS(value), `"`); len(value) == 0 {
		return 0
	}
	var room [256]byte
	b := append(room[:0], key.Load()[:]...)
	if bytes.IndexByte(name, '%') >= 0 { // what it is read as is not known
		for i := range len(wanted) {
			b = append(b, fold(wanted[i]))
		}
	} else {
		for _, c := range name {
			b = append(b, fold(c))
		}
	}
	b = append(append(b, 0), value...)
	sum := sha256.Sum256(b)
	return max(binary.LittleEndian.Uint64(sum[:]), 1)
}
