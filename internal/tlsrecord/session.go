// Package tlsrecord has the record layer of TLS 1.3 (RFC 8446 §5) for connections whose handshake crypto/tls has made. A
// session that waits is its secrets, keys and sequence numbers, and nothing else. It does no I/O.
package tlsrecord

import (
	"crypto/cipher"
	"errors"
	"io"
)

const (
	HeaderLen = 5
	MaxData   = 1 << 14                     // bytes of data in a record
	MaxRecord = HeaderLen + MaxData + 256   // bytes of a record that is received (§5.2)
	Overhead  = HeaderLen + 1 + tagLen      // bytes of a sent record beside its data
	MaxSealed = MaxData + Overhead + update // bytes that one Seal appends

	update = Overhead + keyUpdateLen // bytes of a sent record with a KeyUpdate

	maxUseless   = 16       // records without data in a row, as in crypto/tls
	maxHandshake = 64 << 10 // bytes of a handshake message, which may be in several records
)

// maxSealed is how many records are sent with one key. With AES-GCM, 2^24.5 are safe (§5.5).
var maxSealed uint64 = 1 << 23

// Types of records, and of handshake messages that may follow a handshake.
const (
	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23

	newSessionTicket = 4
	keyUpdate        = 24
	keyUpdateLen     = 5
)

// ErrSuite means that the cipher suite is none of TLS 1.3.
var ErrSuite = errors.New("tls: no cipher suite of TLS 1.3")

// Session is both directions of a connection. Its methods are not for concurrent use.
type Session struct {
	in, out half
	more    *[2]extra // of in and out; nil for a suite that needs none
	work    *work     // nil while the session waits
}

// work is what a session needs while it is in use. It can be made again from the session at any time, as long as partial
// is empty.
type work struct {
	in, out cipher.AEAD // nil: not made yet
	nonce   [nonceLen]byte
	partial []byte // of a handshake message
}

// Secrets are the traffic secrets after a handshake.
type Secrets struct {
	Suite   uint16
	Client  []byte // of what the client sends
	Server  []byte // of what the server sends
	Written uint64 // records of the application's key that the handshake has sent
}

// String keeps the secrets out of every log.
func (Secrets) String() string { return "tlsrecord.Secrets" }

// GoString is String.
func (x Secrets) GoString() string { return x.String() }

// Init sets s to the state after a handshake.
func (s *Session) Init(x *Secrets, client bool) error {
	for i := range suites {
		if suites[i].id != x.Suite {
			continue
		}
		if len(x.Client) != suites[i].secret || len(x.Server) != suites[i].secret {
			return errors.New("tls: a traffic secret has another length than its suite's hash")
		}
		in, out := x.Client, x.Server
		*s = Session{}
		if client {
			in, out = out, in
			s.in.flags = flagClient
		}
		s.in.suite, s.out.suite = uint8(i), uint8(i)
		if suites[i].secret > mostSecrets || suites[i].key > mostKeys {
			s.more = new([2]extra)
		}
		s.in.setSecret(in, s.inMore())
		s.out.setSecret(out, s.outMore())
		s.out.seq = x.Written
		return nil
	}
	return ErrSuite
}

func (s *Session) inMore() *extra {
	if s.more == nil {
		return nil
	}
	return &s.more[0]
}

func (s *Session) outMore() *extra {
	if s.more == nil {
		return nil
	}
	return &s.more[1]
}

// String keeps the secrets out of every log.
func (*Session) String() string { return "tlsrecord.Session" }

// GoString is String.
func (s *Session) GoString() string { return s.String() }

// Working reports whether s has more than it needs to wait.
func (s *Session) Working() bool { return s.work != nil }

// Rest releases what s does not need to wait.
func (s *Session) Rest() {
	if s.work != nil && len(s.work.partial) == 0 {
		s.work = nil
	}
}

// Wipe erases all secrets.
func (s *Session) Wipe() {
	if s.more != nil {
		*s.more = [2]extra{}
	}
	*s = Session{}
}

func (s *Session) working() *work {
	if s.work == nil {
		s.work = new(work)
	}
	return s.work
}

// Ended reports whether the session has sent close_notify.
func (s *Session) Ended() bool { return s.out.has(flagEnded) }

// RecordLen returns the length of the record that begins with header, at least HeaderLen bytes.
func RecordLen(header []byte) (int, error) {
	n := HeaderLen + int(header[3])<<8 + int(header[4])
	if n > MaxRecord {
		return 0, &Fault{RecordOverflow, "a record is too long"}
	}
	return n, nil
}

// Open decrypts a complete record, in place or, if that has the capacity, to dst[:0], and returns its data. data is
// empty if the record has none. The error is io.EOF after close_notify, a *Fault or a *Received; it is final.
func (s *Session) Open(dst, record []byte) (data []byte, err error) {
	if s.in.has(flagEnded) {
		return nil, io.EOF
	}
	if record[0] != typeData {
		return nil, &Fault{UnexpectedMessage, "a record is not encrypted"}
	}
	w := s.working()
	if w.in == nil {
		w.in = s.in.aead(s.inMore())
	}
	s.in.nonce(&w.nonce)
	body := record[HeaderLen:]
	if len(body) <= tagLen {
		return nil, &Fault{BadRecordMAC, "a record is too short"}
	}
	if cap(dst) < len(body)-tagLen {
		dst = body
	}
	plain, err := w.in.Open(dst[:0], w.nonce[:], body, record[:HeaderLen])
	if err != nil {
		return nil, &Fault{BadRecordMAC, "a record does not decrypt"}
	}
	s.in.seq++
	if len(plain) > MaxData+1 {
		return nil, &Fault{RecordOverflow, "a record has too much data"}
	}
	end := len(plain) - 1
	for end >= 0 && plain[end] == 0 {
		end--
	}
	if end < 0 {
		return nil, &Fault{UnexpectedMessage, "a record has no type"}
	}
	return s.content(plain[end], plain[:end])
}

// content handles what a record has.
func (s *Session) content(kind byte, b []byte) (data []byte, err error) {
	if kind == typeData && len(b) > 0 && len(s.work.partial) == 0 {
		s.in.useless = 0
		return b, nil
	}
	if s.in.useless++; s.in.useless > maxUseless {
		return nil, &Fault{UnexpectedMessage, "too many records without data"}
	}
	switch {
	case len(s.work.partial) > 0 && kind != typeHandshake:
		return nil, &Fault{UnexpectedMessage, "a handshake message is interrupted"}
	case kind == typeData:
		return nil, nil
	case kind == typeHandshake && len(b) > 0:
		return nil, s.handshake(b)
	case kind == typeAlert:
		return nil, s.alert(b)
	}
	return nil, &Fault{UnexpectedMessage, "a record of another type than data, alert and handshake"}
}

func (s *Session) alert(b []byte) error {
	if len(b) != 2 {
		return &Fault{DecodeError, "an alert has another length than 2"}
	}
	switch a := Alert(b[1]); a {
	case CloseNotify:
		s.in.flags |= flagEnded
		return io.EOF
	case UserCanceled: // close_notify follows
		return nil
	default:
		return &Received{a}
	}
}

// handshake handles messages after the handshake: a KeyUpdate or, for a client, tickets, which it does not use. The
// messages may be divided between records, but a key ends with its record.
func (s *Session) handshake(b []byte) error {
	w := s.work
	b = append(w.partial, b...)
	w.partial = nil
	for len(b) >= 4 {
		n := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		switch {
		case b[0] == keyUpdate && n != keyUpdateLen:
			return &Fault{DecodeError, "a KeyUpdate has another length than 1"}
		case b[0] != keyUpdate && (b[0] != newSessionTicket || !s.in.has(flagClient)), n > maxHandshake:
			return &Fault{UnexpectedMessage, "a handshake message that is not for this connection"}
		}
		if len(b) < n {
			break
		}
		if b[0] == keyUpdate {
			if len(b) > n {
				return &Fault{UnexpectedMessage, "a KeyUpdate is not the end of its record"}
			}
			return s.keyUpdate(b[4])
		}
		b = b[n:]
	}
	if len(b) > 0 {
		w.partial = append([]byte(nil), b...)
	}
	return nil
}

func (s *Session) keyUpdate(request byte) error {
	if request > 1 {
		return &Fault{IllegalParameter, "a KeyUpdate with an unknown request"}
	}
	s.in.next(s.inMore())
	s.work.in = nil
	if request == 1 {
		// However many were requested, one answers all: before the next data (§4.6.3).
		s.out.flags |= flagUpdate
	}
	return nil
}

// Seal appends to dst a record with up to MaxData bytes of a and then b, and before it a KeyUpdate if one is due. It
// returns how many bytes it has taken. With a capacity of MaxSealed, it does not allocate.
func (s *Session) Seal(dst, a, b []byte) (_ []byte, n int) {
	if s.out.has(flagUpdate) || s.out.seq >= maxSealed {
		s.out.flags &^= flagUpdate
		dst = s.seal(dst, typeHandshake, []byte{keyUpdate, 0, 0, 1, 0}, nil)
		s.out.next(s.outMore())
		s.work.out = nil
	}
	a = a[:min(len(a), MaxData)]
	b = b[:min(len(b), MaxData-len(a))]
	return s.seal(dst, typeData, a, b), len(a) + len(b)
}

// SealAlert appends a record with an alert to dst. After close_notify and after every other, the session is to send
// nothing else.
func (s *Session) SealAlert(dst []byte, a Alert) []byte {
	const warning, fatal = 1, 2
	level := byte(fatal)
	if a == CloseNotify {
		level = warning
	}
	s.out.flags |= flagEnded
	return s.seal(dst, typeAlert, []byte{level, byte(a)}, nil)
}

func (s *Session) seal(dst []byte, kind byte, a, b []byte) []byte {
	w := s.working()
	if w.out == nil {
		w.out = s.out.aead(s.outMore())
	}
	s.out.nonce(&w.nonce)
	n := len(a) + len(b) + 1 + tagLen
	start := len(dst)
	dst = append(dst, typeData, 3, 3, byte(n>>8), byte(n))
	body := len(dst)
	dst = append(append(append(dst, a...), b...), kind)
	dst = w.out.Seal(dst[:body], w.nonce[:], dst[body:], dst[start:body])
	s.out.seq++
	return dst
}

// WrittenIn returns how many of the records in b, which a server's handshake has written, have the key of its data: its
// tickets. It decrypts them, as nothing else tells.
func (x *Secrets) WrittenIn(b []byte) (n uint64, err error) {
	var s Session
	if err := s.Init(x, true); err != nil { // a client reads what the server writes
		return 0, err
	}
	w := s.working()
	w.in = s.in.aead(s.inMore())
	for len(b) > 0 {
		size := 0
		if len(b) >= HeaderLen {
			size, err = RecordLen(b)
		}
		if err != nil || size == 0 || len(b) < size {
			return 0, errors.New("tls: the handshake has written a part of a record")
		}
		s.in.nonce(&w.nonce)
		if _, err := w.in.Open(nil, w.nonce[:], b[HeaderLen:size], b[:HeaderLen]); err == nil {
			s.in.seq++
		}
		b = b[size:]
	}
	return s.in.seq, nil
}
