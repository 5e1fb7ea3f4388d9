package succession

import (
	"errors"

	"holdfast/internal/hub"
	"holdfast/internal/plainval"
	"holdfast/internal/request"
)

// Publisher publishes what a response of the app says.
type Publisher interface {
	Publish(d hub.Draft) (hub.Receipt, error)
	Changed(channels []string, event string) (dropped int, r hub.Receipt, err error)
}

// Names of notes, by which the old process tells what it learns after the move. One whose data change gets another name.
const (
	publishNote  = "publish"
	changedNote  = "changed"
	responseNote = "response"
	clearNote    = "clear"
)

var (
	errUntold      = errors.New("another process has taken over, and is not reached")
	errUnknownNote = errors.New("this version does not know it: the old process has a newer one")
)

// Clear has the process that has taken over, if one has, drop the app's responses that it stores: a request that is not its
// own may have changed them.
func (s *Succession) Clear() {
	if !s.Gone() {
		return
	}
	if err := s.tell(clearNote, nil); err != nil {
		s.log.Error("a stored response may be old, as a change came after the take-over", "error", err)
	}
}

// tell sends a note to the process that has taken over.
func (s *Succession) tell(name string, data []byte) error {
	if !s.passer.Load().Tell(name, data) {
		s.stats.lose(name)
		return errUntold
	}
	return nil
}

// Publishing returns what publishes by p, or, after the move, in the process that has taken over.
func (s *Succession) Publishing(p Publisher) Publisher { return publishing{p, s} }

type publishing struct {
	Publisher
	s *Succession
}

// Publish implements Publisher. Without an error from another process, the receipt is empty.
func (p publishing) Publish(d hub.Draft) (r hub.Receipt, err error) {
	if !p.s.Gone() {
		return p.Publisher.Publish(d)
	}
	return r, p.s.tell(publishNote, encodeDraft(d))
}

// Changed implements Publisher.
func (p publishing) Changed(channels []string, event string) (dropped int, r hub.Receipt, err error) {
	if !p.s.Gone() {
		return p.Publisher.Changed(channels, event)
	}
	return 0, r, p.s.tell(changedNote, encodeChange(channels, event))
}

// Sessions returns what learns of the app's responses as x does, or, after the move, in the process that has taken over.
func (s *Succession) Sessions(x request.Sessions) request.Sessions { return sessions{x, s} }

type sessions struct {
	request.Sessions
	s *Succession
}

// OnResponse implements request.Sessions.
func (x sessions) OnResponse(credentials []uint64, path []byte, cookies [][]byte) {
	if !x.s.Gone() {
		x.Sessions.OnResponse(credentials, path, cookies)
		return
	}
	if err := x.s.tell(responseNote, encodeResponse(credentials, path, cookies)); err != nil {
		x.s.log.Error("a logout may have been missed, as a response came after the take-over", "error", err)
	}
}

func encodeDraft(d hub.Draft) []byte {
	var e plainval.Encoder
	e.Strings(d.Channels)
	e.String(d.Event)
	e.Bytes(d.Data)
	e.Bool(d.JSON)
	return e.B
}

func encodeChange(channels []string, event string) []byte {
	var e plainval.Encoder
	e.Strings(channels)
	e.String(event)
	return e.B
}

func encodeResponse(credentials []uint64, path []byte, cookies [][]byte) []byte {
	var e plainval.Encoder
	e.Uint(uint64(len(credentials)))
	for _, c := range credentials {
		e.Uint(c)
	}
	e.Bytes(path)
	e.Uint(uint64(len(cookies)))
	for _, c := range cookies {
		e.Bytes(c)
	}
	return e.B
}

// note takes what the old process has told.
func (s *Succession) note(name string, data []byte) {
	d := plainval.NewDecoder(data)
	var err error
	switch name {
	case publishNote:
		draft := hub.Draft{Channels: d.Strings(), Event: d.String(), Data: append([]byte{}, d.Bytes()...), JSON: d.Bool()}
		if err = d.End(); err == nil {
			_, err = s.o.Publish.Publish(draft)
		}
	case changedNote:
		channels, event := d.Strings(), d.String()
		if err = d.End(); err == nil {
			_, _, err = s.o.Publish.Changed(channels, event)
		}
	case responseNote:
		var credentials []uint64
		for range d.Count() {
			credentials = append(credentials, d.Uint())
		}
		path := d.Bytes()
		var cookies [][]byte
		for range d.Count() {
			cookies = append(cookies, d.Bytes())
		}
		if err = d.End(); err == nil {
			s.o.Sessions.OnResponse(credentials, path, cookies)
		}
	case clearNote:
		if s.o.Clear != nil {
			s.o.Clear()
		}
	default:
		s.stats.lose(lostUnknown)
		s.log.Error("what a response says that came after the take-over is lost", "what", name, "error", errUnknownNote)
		return
	}
	if err != nil {
		s.stats.lose(name)
		s.log.Error("what a response says that came after the take-over is lost", "what", name, "error", err)
	}
}
