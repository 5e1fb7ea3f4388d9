package proxy

import (
	"errors"
	"io"
	"net/http"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/balance"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/sendbuf"
)

// tunnel passes bytes both ways after the app has switched protocols. While nothing moves it is two
// slots and this struct.
type tunnel struct {
	f    *Front
	legs [2]leg // client, upstream

	server  *balance.Server // counted there
	entry   []byte          // of the access log, begun; nil without one
	started time.Time
	bytes   int64 // for the client
}

// leg is one side's connection and what its kernel would not take yet.
type leg struct {
	c     *park.Conn
	out   *sendbuf.Buffer
	ended bool // it sends no more
	gone  bool // nothing reaches it any more
	shut  bool // the other side's end was passed on to it
}

func (t *tunnel) touch() {
	t.legs[0].c.SetDeadline(t.f.p.o.TunnelTime)
}

func (t *tunnel) Ready(c *park.Conn, ev park.Event) {
	i := 0
	if c == t.legs[1].c {
		i = 1
	}
	if ev&park.Expired != 0 {
		t.close()
		return
	}
	t.legs[i].gone = t.legs[i].gone || ev&park.Broken != 0
	if ev&park.Writable != 0 && t.legs[i].out != nil {
		t.pump(1 - i)
	}
	if ev&park.Readable != 0 && t.legs[i].c != nil {
		t.pump(i)
	}
}

// pump moves bytes from leg i to the other one.
func (t *tunnel) pump(i int) {
	from, to := &t.legs[i], &t.legs[1-i]
	in := t.f.loop.In()
	for turn := 0; ; turn++ {
		switch err := sendbuf.Flush(to.c, &to.out); {
		case err == park.ErrAgain && from.gone && i == 0:
			t.close() // no event tells of the client again, however long the app does not read
			return
		case err == park.ErrAgain:
			return
		case err != nil:
			t.close()
			return
		}
		if from.ended {
			break
		}
		if turn == maxTurns {
			ref := from.c.Ref()
			t.f.loop.Later(func() {
				if c, ok := ref.Conn(); ok && c.Handler() == park.Handler(t) {
					t.pump(i)
				}
			})
			return
		}
		n, err := from.c.Read(in)
		switch {
		case err == park.ErrAgain:
			return
		case errors.Is(err, io.EOF):
			from.ended = true
		case err != nil:
			t.close()
			return
		default:
			t.touch()
			t.bytes += int64(i) * int64(n) // from leg 1, the upstream
			if sendbuf.Send(to.c, &to.out, in[:n], nil) != nil {
				t.close()
				return
			}
		}
	}
	if !to.shut {
		to.shut = true
		to.c.CloseWrite()
	}
	if to.ended && from.ended && from.out == nil && to.out == nil {
		t.close()
	}
}

// close ends both legs.
func (t *tunnel) close() {
	if t.legs[0].c == nil {
		return
	}
	t.f.p.stats.tunnels.Add(-1)
	t.server.Release()
	t.f.p.wake(t.f)
	t.f.p.o.Access.End(t.entry, &accesslog.Outcome{
		Status: 101, Bytes: t.bytes, Now: t.f.loop.Now(), Started: t.started, Upstream: t.server.String(),
		AppTime: t.f.loop.Now().Sub(t.started),
	})
	for i := range t.legs {
		if t.legs[i].out != nil { // what is missing must not look like the end
			t.legs[i].c.Abort()
		} else {
			t.legs[i].c.Close()
		}
		sendbuf.Drop(&t.legs[i].out)
		t.legs[i].c = nil
	}
}

// switchProtocols ends the exchange in a tunnel (RFC 9110 §15.2.2).
func (s *httpSource) switchProtocols(a *http1.Answer, rest []byte) bool {
	if !s.x.upload.body.Done || !a.SwitchesTo(s.upgrade) {
		s.x.fail(502, errExtra)
		return false
	}
	b := a.Append(s.x.f.loop.Out()[:0])
	b = append(b, "Connection: Upgrade\r\n"...)
	for i := range a.Fields {
		if http1.EqualFold(a.Fields[i].Name, "upgrade") {
			b = http1.AppendField(b, a.Fields[i].Name, a.Fields[i].Value)
		}
	}
	b = append(b, "\r\n"...)
	t := &tunnel{f: s.x.f, started: s.x.log.started, bytes: int64(len(rest)), server: s.server}
	s.server = nil
	if s.x.f.p.o.Access != nil {
		t.entry = append(t.entry, s.x.log.line...)
	}
	t.legs[0].c, t.legs[0].out = s.x.client.conn, s.x.client.out
	t.legs[1].c, t.legs[1].out = s.conn, s.out
	s.x.client.out, s.out, s.conn = nil, nil, nil
	early := append([]byte(nil), s.x.client.early...)
	client := s.x.client.conn
	s.x.release()
	client.Hold(t)
	t.legs[1].c.Hold(t)
	t.f.p.stats.tunnels.Add(1)
	t.f.responses.Add(http.StatusSwitchingProtocols)
	if sendbuf.Send(client, &t.legs[0].out, b, rest) != nil || sendbuf.Send(t.legs[1].c, &t.legs[1].out, early, nil) != nil {
		t.close()
		return false
	}
	t.touch()
	t.legs[1].c.SetDeadline(0) // that of a response is not a tunnel's
	for i := range t.legs {    // either may have sent more, and its event is past
		if t.legs[i].c != nil {
			t.pump(i)
		}
	}
	return false
}
