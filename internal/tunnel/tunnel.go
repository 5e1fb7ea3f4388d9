// Package tunnel forwards bytes both ways between a client and an app that have switched protocols.
package tunnel

import (
	"errors"
	"io"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/sendbuf"
)

// maxTurns is how often one leg is read before others have their turn.
const maxTurns = 16

// Owner is notified when a tunnel has ended, with the number of bytes for the client.
type Owner interface{ TunnelEnded(bytes int64) }

// tunnel has both connections. While idle, it costs two slots and this struct.
type tunnel struct {
	loop  *park.Loop
	owner Owner
	idle  time.Duration // after which a tunnel without traffic ends; 0: never
	legs  [2]Leg        // client, app
	bytes int64         // for the client
}

// Leg is the connection of one side, and bytes that the kernel has not accepted for it yet.
type Leg struct {
	Conn *park.Conn
	Out  *sendbuf.Buffer

	ended bool // it sends no more
	gone  bool // nothing reaches it any more
	shut  bool // the other side's end was passed on to it
}

// Start makes a tunnel of two connections of a loop. head is sent to the client first. rest is what the app has already
// sent in the new protocol, and early what the client has.
func Start(loop *park.Loop, owner Owner, idle time.Duration, client, app Leg, head, rest, early []byte) {
	t := &tunnel{loop: loop, owner: owner, idle: idle, bytes: int64(len(rest))}
	t.legs = [2]Leg{client, app}
	client.Conn.Hold(t)
	app.Conn.Hold(t)
	if sendbuf.Send(client.Conn, &t.legs[0].Out, head, rest) != nil || sendbuf.Send(app.Conn, &t.legs[1].Out, early, nil) != nil {
		t.close()
		return
	}
	t.touch()
	app.Conn.SetDeadline(0) // that of a response is not a tunnel's
	for i := range t.legs { // either may have sent more, and its event is past
		if t.legs[i].Conn != nil {
			t.pump(i)
		}
	}
}

func (t *tunnel) touch() {
	t.legs[0].Conn.SetDeadline(t.idle)
}

// Ready implements park.Handler.
func (t *tunnel) Ready(c *park.Conn, ev park.Event) {
	whole := false
	defer func() {
		if !whole { // it has panicked: the other leg must not stay
			t.close()
		}
	}()
	t.ready(c, ev)
	whole = true
}

func (t *tunnel) ready(c *park.Conn, ev park.Event) {
	i := 0
	if c == t.legs[1].Conn {
		i = 1
	}
	if ev&park.Expired != 0 {
		t.close()
		return
	}
	t.legs[i].gone = t.legs[i].gone || ev&park.Broken != 0
	if ev&park.Writable != 0 && t.legs[i].Out != nil {
		t.pump(1 - i)
	}
	if ev&park.Readable != 0 && t.legs[i].Conn != nil {
		t.pump(i)
	}
}

// pump moves bytes from leg i to the other one.
func (t *tunnel) pump(i int) {
	from, to := &t.legs[i], &t.legs[1-i]
	in := t.loop.In()
	for turn := 0; ; turn++ {
		switch err := sendbuf.Flush(to.Conn, &to.Out); {
		case err == park.ErrAgain && from.gone && i == 0:
			t.close() // no other event comes for the client, even if the app reads nothing for long
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
			ref := from.Conn.Ref()
			t.loop.Later(func() {
				if c, ok := ref.Conn(); ok && c.Handler() == park.Handler(t) {
					t.pump(i)
				}
			})
			return
		}
		n, err := from.Conn.Read(in)
		switch {
		case err == park.ErrAgain:
			return
		case errors.Is(err, io.EOF):
			from.ended = true
		case err != nil:
			from.gone = true
			t.close()
			return
		default:
			t.touch()
			t.bytes += int64(i) * int64(n) // from leg 1, the upstream
			if sendbuf.Send(to.Conn, &to.Out, in[:n], nil) != nil {
				t.close()
				return
			}
		}
	}
	if !to.shut {
		to.shut = true
		to.Conn.CloseWrite()
	}
	if to.ended && from.ended && from.Out == nil && to.Out == nil {
		t.close()
	}
}

// close ends both legs.
func (t *tunnel) close() {
	if t.legs[0].Conn == nil {
		return
	}
	for i := range t.legs {
		// What is missing must not look like the end; nor must a client's reset, whatever the app has taken.
		if t.legs[i].Out != nil || i == 1 && t.legs[0].gone {
			t.legs[i].Conn.Abort()
		} else {
			t.legs[i].Conn.Close()
		}
		sendbuf.Drop(&t.legs[i].Out)
		t.legs[i].Conn = nil
	}
	t.owner.TunnelEnded(t.bytes)
}
