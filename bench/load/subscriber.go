package load

import (
	"bytes"
	"fmt"
	"net/netip"
)

// Subscriber holds a connection and reports messages.
type Subscriber struct {
	Request []byte // the head that asks for the hold
	After   []byte // sent once a WebSocket stands; nil: nothing
	// Held is called when the server has answered that it holds: a WebSocket at its 101, a stream at its head, a long
	// poll when the request is written, as there is nothing to see. With After, at the first frame.
	Held func(s *Subscriber)
	// Message is called for each message.
	Message func(s *Subscriber, number uint32)
	// Failed is called when the connection ends, or is refused.
	Failed func(s *Subscriber, err error)
	// Answered is called when a long poll got its answer; what it returns is the next poll.
	Answered func(s *Subscriber) []byte
	JSONPing bool // the server's "{}" is to be answered with "{}"
	Poll     bool // a long poll

	Conn     *Conn
	Response Response
	Index    int // for the caller
	frames   Frames
	markers  Markers
	socket   bool
	isHeld   bool
	line     int // bytes of the line of text at hand, to recognise "{}"
	ping     []byte
}

// Dial connects s and asks for the hold.
func (s *Subscriber) Dial(l *Loop, to netip.AddrPort, options ...Option) error {
	c, err := l.Dial(to, s, options...)
	s.Conn = c
	return err
}

func (s *Subscriber) Opened(c *Conn) {
	s.Conn = c
	c.Send(s.Request)
	if s.Poll {
		s.held()
	}
}

func (s *Subscriber) held() {
	if !s.isHeld {
		s.isHeld = true
		s.Held(s)
	}
}

func (s *Subscriber) Closed(_ *Conn, err error) { s.Failed(s, err) }

func (s *Subscriber) fail(err error) {
	s.Conn.Close()
	s.Failed(s, err)
}

func (s *Subscriber) Data(c *Conn, data []byte) {
	if s.socket {
		s.feedFrames(data)
		return
	}
	begun := s.Response.HeadDone()
	used, done, err := s.Response.Feed(data)
	if err != nil {
		s.fail(err)
		return
	}
	if !s.Response.HeadDone() {
		return
	}
	if status := s.Response.Status; !begun && status != 200 && status != 101 {
		s.fail(fmt.Errorf("load: hold refused with %d", status))
		return
	}
	if s.Response.Status == 101 {
		s.socket = true
		if s.After != nil {
			c.Send(s.After)
		} else {
			s.held()
		}
		s.feedFrames(data[used:])
		return
	}
	s.held()
	// '@' is in no head and no chunk's size, so the whole of data can be looked through.
	s.markers.Feed(data[:used], s.message)
	if done && s.Answered != nil {
		next := s.Answered(s)
		s.Response.Reset()
		if next != nil {
			c.Send(next)
		}
	}
}

func (s *Subscriber) message(number uint32) { s.Message(s, number) }

func (s *Subscriber) feedFrames(data []byte) {
	if err := s.frames.Feed(data, s.piece); err != nil {
		s.fail(err)
	}
}

func (s *Subscriber) piece(op byte, part []byte, end bool) {
	switch op {
	case opText, opBinary, opContinue:
		s.held()
		s.markers.Feed(part, s.message)
		if s.JSONPing {
			s.lines(part, end)
		}
	case opPing:
		s.ping = append(s.ping, part...)
		if end {
			s.Conn.Send(ClientFrame(opPong, s.ping))
			s.ping = nil
		}
	case opClose:
		if end {
			s.fail(fmt.Errorf("load: the server closed the WebSocket"))
		}
	}
}

// lines answers the server's JSON ping, which may be one line among others in a frame. No other line has two bytes.
func (s *Subscriber) lines(part []byte, end bool) {
	for {
		i := bytes.IndexByte(part, '\n')
		if i < 0 {
			break
		}
		s.lineEnd(s.line + i)
		part = part[i+1:]
	}
	s.line += len(part)
	if end {
		s.lineEnd(s.line)
	}
}

func (s *Subscriber) lineEnd(length int) {
	s.line = 0
	if length == 2 {
		s.Conn.Send(ClientFrame(opText, []byte("{}")))
	}
}
