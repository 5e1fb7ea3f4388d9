package upgrade

import (
	"errors"
	"fmt"

	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/subscribe"
)

// Spec says how to hold a connection, and ResumePoint where its messages begin.
type (
	Spec        = subscribe.Spec
	ResumePoint = subscribe.ResumePoint
)

// Errors of Hold.
var (
	ErrDialect  = errors.New("upgrade: no such dialect")
	ErrDraining = errors.New("upgrade: shutting down")
)

// Hold holds c, and sends the beginning of the response and the messages that the client has missed. It runs on c's
// loop. The caller has decided that the client may subscribe. After an error, the caller still owns c, and nothing was
// sent.
func (k *Keeper) Hold(c *park.Conn, s Spec) error {
	f := k.forms.byName(s.Dialect)
	if f == nil {
		return fmt.Errorf("%w: %q", ErrDialect, s.Dialect)
	}
	if k.draining.Load() {
		return ErrDraining
	}
	if len(s.Channels) == 0 || len(s.Channels) > k.live().MaxChannels {
		return fmt.Errorf("upgrade: %d channels; want 1 to %d", len(s.Channels), k.live().MaxChannels)
	}
	for _, name := range s.Channels {
		if err := k.requests().Check(name, request.AddrText(c.RemoteAddr())); err != nil {
			return fmt.Errorf("upgrade: channel %.300q: %w", name, err)
		}
	}
	k.findNewest(&s)
	k.hold(c, f, &s)
	return nil
}

// findNewest fills in Spec.Newest. It may take long: a pattern can match every channel with history.
func (k *Keeper) findNewest(s *Spec) {
	if n := s.Resume.Newest; n > 0 {
		s.Newest = k.o.Hub.Newest(s.Channels, n)
	}
}

func (k *Keeper) hold(c *park.Conn, f *form, s *Spec) {
	x := &held{k: k, form: f}
	step(x, func() { x.begin(c, s) })
}
