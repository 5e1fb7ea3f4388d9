package tlsconn

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/tlsrecord"
)

// handshake is one handshake on a worker. It is the KeyLogWriter of its connection alone: nothing else in crypto/tls
// gives the secrets away (docs/decisions/0021-crypto-tls-makes-the-handshakes.md).
type handshake struct {
	e      *engine
	stream *park.Stream
	wire   *wire
	client netip.AddrPort
	by     time.Time // it has to be over

	// Of the record that is read: crypto/tls must not read past it, as what follows belongs to the session.
	header [tlsrecord.HeaderLen]byte
	have   int // bytes of header
	left   int // bytes of the record after it
	got    int // bytes of all records

	secrets tlsrecord.Secrets
	flight  []byte // written since the secrets are known, with the tickets of the server
	offer   offer
}

// offer is what a client asked for, to name the cause of a failure.
type offer struct {
	known    bool
	name     string
	versions []uint16
	min      uint16 // of the configuration
	noCert   error  // there was no certificate for it
}

// read reads the stream up to the end of the record.
func (h *handshake) read(p []byte) (int, error) {
	inHeader := h.left == 0
	want := h.left
	if inHeader {
		want = tlsrecord.HeaderLen - h.have
	}
	if h.got >= maxReceived && !h.e.client {
		return 0, errTooLong
	}
	h.e.yield() // others compute while this one waits
	n, err := h.await(p[:min(len(p), want)])
	h.e.resume()
	h.got += n
	if !inHeader {
		h.left -= n
		return n, err
	}
	h.have += copy(h.header[h.have:], p[:n])
	if h.have == tlsrecord.HeaderLen {
		h.have = 0
		h.left = int(h.header[3])<<8 | int(h.header[4])
	}
	return n, err
}

// maxReceived is how many bytes the handshake of a client may have: crypto/tls keeps 64 kB and more of each. Those of browsers
// have 2 kB, and a chain of certificates 5 kB.
const maxReceived = 32 << 10

var errTooLong = fmt.Errorf("tls: the handshake of the client has more than %d bytes", maxReceived)

var errStalled = errors.New("tls: the client has stalled in its handshake, and others wait for theirs")

// await reads from the stream, no longer than the others that want to begin allow.
func (h *handshake) await(p []byte) (int, error) {
	since := time.Now()
	by := since
	for {
		if by = by.Add(h.e.patience / 4); by.After(h.by) {
			by = h.by
		}
		_ = h.stream.SetReadDeadline(by) // it does not fail
		n, err := h.stream.Read(p)
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded) || by.Equal(h.by):
			return n, err
		case h.e.tired(by.Sub(since)):
			return 0, errStalled
		}
	}
}

// write sends records.// write sends records. Those after the secrets are known may have the key of the server's data.
func (h *handshake) write(p []byte) (int, error) {
	if h.secrets.Server != nil && !h.e.client {
		h.flight = append(h.flight, p...)
	}
	h.e.yield() // it waits if the peer takes nothing
	defer h.e.resume()
	return h.stream.Write(p)
}

// errKeyLog means that crypto/tls has written another key log than it documents.
var errKeyLog = errors.New("tls: a line of the key log is not understood")

// Write takes a line of the key log (NSS format).
func (h *handshake) Write(line []byte) (int, error) {
	label, rest, _ := bytes.Cut(line, []byte(" "))
	var secret *[]byte
	switch string(label) {
	case "CLIENT_TRAFFIC_SECRET_0":
		secret = &h.secrets.Client
	case "SERVER_TRAFFIC_SECRET_0":
		secret = &h.secrets.Server
	default:
		return len(line), nil
	}
	_, text, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	b := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(b, text); err != nil || len(b) == 0 {
		return 0, errKeyLog
	}
	*secret = b
	return len(line), nil
}

// run makes the handshake and returns the connection, whose layer belongs to g.
func (h *handshake) run(g *group, prepare func(*handshake) *tls.Conn) (*made, error) {
	h.e.resume()
	defer h.e.yield()
	if time.Now().After(h.by) { // its time went by in the queue
		return nil, os.ErrDeadlineExceeded
	}
	c := prepare(h)
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	m := &made{state: c.ConnectionState(), version: tls12}
	if m.state.Version != tls.VersionTLS13 {
		h.wire.hand = nil
		m.layer = &whole{tls: c, wire: h.wire, group: g}
		return m, nil
	}
	x := &conn{group: g}
	m.layer, m.version = x, tls13
	return m, h.leave(x, m.state.CipherSuite)
}

// leave begins a session with the secrets of the handshake.
func (h *handshake) leave(x *conn, suite uint16) (err error) {
	if h.left > 0 || h.have > 0 {
		return errors.New("tls: the handshake has ended within a record")
	}
	h.secrets.Suite = suite
	if h.secrets.Written, err = h.secrets.WrittenIn(h.flight); err != nil {
		return err
	}
	return x.Init(&h.secrets, h.e.client)
}

// cause names why a handshake failed, and adds fields for the log.
func (h *handshake) cause(err error) (reason string, fields []any) {
	if h.offer.known {
		fields = append(fields, "server_name", h.offer.name)
	}
	var op *net.OpError
	var header tls.RecordHeaderError
	var errno syscall.Errno
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errStalled):
		return "busy", fields
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout", append(fields, "limit", h.e.time)
	case errors.Is(err, io.EOF), errors.As(err, &errno):
		return "disconnected", fields
	case errors.As(err, &header):
		return "not_tls", fields
	case errors.As(err, &cert) && h.e.client:
		return "certificate", append(fields, "hint", "see upstream_tls")
	case errors.As(err, &cert):
		return "certificate", append(fields, "hint", "the certificate of the client was refused")
	case h.offer.noCert != nil:
		return "certificate", append(fields, "hint", "no certificate for this name: see tls.certificates")
	case errors.As(err, &op) && op.Op == "remote error":
		return "alert", append(fields, "hint", "the peer has refused: mostly it does not trust the certificate")
	case h.offer.old():
		return "version", append(fields, "hint", "the client is older than tls.min_version allows")
	}
	return "handshake", fields
}

// old reports whether the client offers no version that Holdfast has.
func (o *offer) old() bool {
	return o.known && len(o.versions) > 0 && slices.Max(o.versions) < o.min
}
