package succession

import (
	"errors"
	"io"
	"net"
	"time"

	"holdfast/hooks"
	"holdfast/internal/apigate"
	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/cookie"
	"holdfast/internal/hub"
	"holdfast/internal/hubimage"
	"holdfast/internal/plainval"
	"holdfast/internal/presence"
	"holdfast/internal/takeover"
)

// part is a takeover.Part whose state is one piece of bytes. Functions that are nil do nothing.
type part struct {
	name    string
	version uint16
	freeze  func() error
	write   func(b []byte) []byte
	read    func(b []byte) error
	thaw    func(moved bool)
}

var _ takeover.Part = (*part)(nil)

// Name implements takeover.Part.
func (p *part) Name() string { return p.name }

// Version implements takeover.Part.
func (p *part) Version() uint16 { return p.version }

// Freeze implements takeover.Part.
func (p *part) Freeze() error {
	if p.freeze == nil {
		return nil
	}
	return p.freeze()
}

// Export implements takeover.Part.
func (p *part) Export(w io.Writer) error {
	b := p.write(nil)
	defer clear(b)
	_, err := w.Write(b)
	return err
}

// Import implements takeover.Part.
func (p *part) Import(_ uint16, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	defer clear(b)
	return p.read(b)
}

// Thaw implements takeover.Part.
func (p *part) Thaw(moved bool) {
	if p.thaw != nil {
		p.thaw(moved)
	}
}

// How long what is in progress may take before everything waits.
const (
	requestTime = 2 * time.Second // an API request
	postTime    = time.Second     // a POST of events, which is repeated otherwise
)

// parts returns what moves, in the order in which it is held back. What a process does not have is empty, and one that does
// not need what the other has drops it, so that the configurations may differ.
func (s *Succession) parts() []takeover.Part {
	return []takeover.Part{s.o.Held, s.stats.part(), s.apiPart(), s.authPart(), s.presencePart(), s.eventsPart(), hubPart{s}}
}

// apiPart has API requests wait. After the move, the old process passes them on.
func (s *Succession) apiPart() takeover.Part {
	gate := hooks.Gate(s.o.Hooks)
	return &part{
		name: "api", version: hooks.KeysVersion,
		freeze: func() error { return gate.Hold(time.Now().Add(requestTime)) },
		write:  func(b []byte) []byte { return hooks.ExportKeys(s.o.Hooks, b) },
		read:   func(b []byte) error { return hooks.ImportKeys(s.o.Hooks, b) },
		thaw: func(moved bool) {
			if !moved {
				gate.Release(nil)
				return
			}
			gate.Release(s.successor())
		},
	}
}

// apiReply is the version of what encodeAPI writes.
const apiReply = 1

// encodeAPI returns where the API of this process is, and its token, for the old one.
func (s *Succession) encodeAPI() []byte {
	var e plainval.Encoder
	at := s.o.API.Addr()
	e.Uint(apiReply)
	e.String(at.Network())
	e.String(at.String())
	e.String(s.o.Token)
	return e.B
}

// successor returns the API of the process that has taken over. One that does not say where it is has the address of this
// one, and the same token.
func (s *Succession) successor() *apigate.Successor {
	own := s.o.API.Addr()
	network, address := own.Network(), own.String()
	to := new(apigate.Successor)
	d := plainval.NewDecoder(s.reply)
	if len(s.reply) > 0 && d.Uint() == apiReply {
		n, a, token := d.String(), d.String(), d.String()
		if err := d.End(); err != nil {
			s.log.Error("the new process does not say where its API is; requests that have waited go to the old address", "error", err)
		} else {
			network, address, to.Vouch = n, a, apigate.Voucher(token)
		}
	}
	to.Dial = func() (net.Conn, error) { return net.DialTimeout(network, address, requestTime) }
	return to
}

// authPart has what the app has allowed, and the key by which its sessions are told apart.
func (s *Succession) authPart() takeover.Part {
	return &part{
		name: "auth", version: auth.CacheVersion,
		write: func(b []byte) []byte {
			key := cookie.PresentKey()
			return s.o.Auth.Export(append(b, key[:]...))
		},
		read: func(b []byte) error {
			var key cookie.Key
			if len(b) < len(key) {
				return io.ErrUnexpectedEOF
			}
			copy(key[:], b)
			cookie.SetKey(key)
			return s.o.Auth.Import(b[len(key):])
		},
	}
}

func (s *Succession) presencePart() takeover.Part {
	p := &part{name: "presence", version: presence.Version}
	t := s.o.Presence
	p.write, p.read = optional(t != nil, func(b []byte) []byte { return t.Export(b) }, func(b []byte) error { return t.Import(b) })
	if t != nil {
		p.freeze = func() error { t.Hold(); return nil }
		p.thaw = t.Release
	}
	return p
}

func (s *Succession) eventsPart() takeover.Part {
	p := &part{name: "events", version: appcall.EventsVersion}
	e := s.o.Events
	p.write, p.read = optional(e != nil, func(b []byte) []byte { return e.Export(b) }, func(b []byte) error { return e.Import(b) })
	if e != nil {
		p.freeze = func() error { e.Hold(time.Now().Add(postTime)); return nil }
		p.thaw = e.Release
	}
	return p
}

// optional returns write and read for what one of the processes may not have.
func optional(has bool, write func(b []byte) []byte, read func(b []byte) error) (func(b []byte) []byte, func(b []byte) error) {
	return func(b []byte) []byte {
			e := plainval.Encoder{B: b}
			if e.Bool(has); !has {
				return e.B
			}
			return write(e.B)
		}, func(b []byte) error {
			switch {
			case len(b) == 0:
				return io.ErrUnexpectedEOF
			case b[0] == 0 || !has:
				return nil
			}
			return read(b[1:])
		}
}

var errBacklog = errors.New("messages are still being delivered")

// hubPart is the channels with their history.
type hubPart struct{ s *Succession }

// Name implements takeover.Part.
func (hubPart) Name() string { return "hub" }

// Version implements takeover.Part.
func (hubPart) Version() uint16 { return hubimage.Version }

// Freeze implements takeover.Part.
func (p hubPart) Freeze() error {
	p.s.changes.Lock()
	return nil
}

// Export implements takeover.Part.
func (p hubPart) Export(w io.Writer) error {
	s := p.s
	if s.o.Hub.Stats().Backlog > 0 {
		return errBacklog
	}
	if err := s.History.End(s.o.Hub); err != nil {
		return err
	}
	s.image = hub.ImageOf(s.o.Hub)
	return hubimage.Write(w, s.image)
}

// Import implements takeover.Part.
func (p hubPart) Import(version uint16, r io.Reader) (err error) {
	p.s.importer, err = hubimage.Read(r, version, p.s.o.Hub, p.s.History.store())
	return err
}

// Thaw implements takeover.Part.
func (p hubPart) Thaw(moved bool) {
	if !moved {
		p.s.History.Begin(p.s.o.Hub)
	}
	p.s.changes.Unlock()
}

// Change runs f, which changes the hub, on a goroutine that is neither a loop's nor one of the API's. It waits while a
// take-over is in progress.
func (s *Succession) Change(f func()) {
	s.changes.RLock()
	defer s.changes.RUnlock()
	f()
}

// TryChange is Change, but does nothing and returns false instead of waiting.
func (s *Succession) TryChange(f func()) bool {
	if !s.changes.TryRLock() {
		return false
	}
	defer s.changes.RUnlock()
	f()
	return true
}
