package tlsrecord

import "errors"

// State is a session in parts, to continue in another process. It has secrets: Wipe it after use.
type State struct {
	Suite   uint16
	Client  bool      // the session is the client's
	In, Out Direction // what is received, and what is sent
	Update  bool      // a KeyUpdate must precede the next data
	Useless uint8     // records without data since the last one with
	Partial []byte    // of a handshake message that is being received
}

// Direction is one direction of a session.
type Direction struct {
	Secret   []byte
	Sequence uint64 // of the next record
}

// String keeps the secrets out of every log.
func (State) String() string { return "tlsrecord.State" }

// GoString is String.
func (x State) GoString() string { return x.String() }

// String keeps the secret out of every log.
func (Direction) String() string { return "tlsrecord.Direction" }

// GoString is String.
func (x Direction) GoString() string { return x.String() }

// Wipe erases the secrets.
func (x *State) Wipe() {
	clear(x.In.Secret)
	clear(x.Out.Secret)
	clear(x.Partial)
}

// State returns the state of a session that has not ended in any direction; otherwise false. It shares nothing with s.
func (s *Session) State() (*State, bool) {
	if s.in.has(flagEnded) || s.out.has(flagEnded) {
		return nil, false
	}
	x := &State{
		Suite: suites[s.in.suite].id, Client: s.in.has(flagClient), Update: s.out.has(flagUpdate), Useless: s.in.useless,
		In:  Direction{s.in.fullSecret(s.inMore()), s.in.seq},
		Out: Direction{s.out.fullSecret(s.outMore()), s.out.seq},
	}
	if s.work != nil {
		x.Partial = append([]byte(nil), s.work.partial...)
	}
	return x, true
}

// maxSequence is far above what one key is used for.
const maxSequence = 1 << 62

// Restore sets s to a state that State has returned.
func (s *Session) Restore(x *State) error {
	if x.In.Sequence > maxSequence || x.Out.Sequence > maxSequence || x.Useless > maxUseless || len(x.Partial) > maxHandshake {
		return errors.New("tls: the state of a session has a number out of its range")
	}
	secrets := Secrets{Suite: x.Suite, Client: x.In.Secret, Server: x.Out.Secret}
	if x.Client {
		secrets.Client, secrets.Server = x.Out.Secret, x.In.Secret
	}
	if err := s.Init(&secrets, x.Client); err != nil {
		return err
	}
	s.in.seq, s.out.seq, s.in.useless = x.In.Sequence, x.Out.Sequence, x.Useless
	if x.Update {
		s.out.flags |= flagUpdate
	}
	if len(x.Partial) > 0 {
		s.working().partial = append([]byte(nil), x.Partial...)
	}
	return nil
}
