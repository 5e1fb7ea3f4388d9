package tlsconn

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"holdfast/internal/park"
)

// handler is a handlerFunc that can be compared, as a server's has to be.
type handler struct{ handlerFunc }

// TestPeek: a look at what the client has sent takes nothing from the reading behind it, and tells the client's end from a record
// without data.
func TestPeek(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s := start(t, Options{}, func(*park.Loop) park.Handler {
			next := new(echo)
			return &handler{func(c *park.Conn, ev park.Event) {
				var b [3]byte
				for range 2 {
					switch n, err := c.Peek(b[:1]); {
					case err == park.ErrAgain:
						return
					case err == io.EOF && c.Stale():
					case err != nil || n != 1 || b[0] != 't' || !c.Stale():
						t.Errorf("%q, %v", b[:n], err)
					}
				}
				if n, err := c.Read(b[:0]); n != 0 {
					t.Errorf("read %d bytes into none, %v", n, err)
				}
				next.Ready(c, ev)
			}}
		})
		c := s.dial(t, clientConfig(version), nil)
		exchange(t, c, "there and back")
		exchange(t, c, "t")
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(c); string(rest) != "end" {
			t.Errorf("at the end %q", rest)
		}
	})
}

// TestPeekAtNothing: a record without data of the client's is nothing to read.
func TestPeekAtNothing(t *testing.T) {
	seen := make(chan error, 1)
	s := start(t, Options{}, func(*park.Loop) park.Handler {
		return &handler{func(c *park.Conn, ev park.Event) {
			if ev&park.HangUp != 0 {
				c.Close()
				return
			}
			_, err := c.Peek(make([]byte, 1))
			select {
			case seen <- err:
			default:
			}
		}}
	})
	raw := s.dialPlain(t)
	c := tls.Client(raw, clientConfig(tls.VersionTLS12))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Write([]byte{23, 3, 3, 0, 60, 0, 0}); err != nil { // the beginning of a record
		t.Fatal(err)
	}
	if err := <-seen; err != park.ErrAgain {
		t.Errorf("%v", err)
	}
}

// TestEndBehindPeek: who has looked at the client's last bytes, and reads them when the event of its end is past, has another
// event for the end.
func TestEndBehindPeek(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		endc := make(chan error, 1)
		s := start(t, Options{}, func(*park.Loop) park.Handler {
			looked, read := false, false
			return &handler{func(c *park.Conn, ev park.Event) {
				b := make([]byte, 3)
				if n, _ := c.Peek(b[:1]); n > 0 && !looked {
					looked = true
					ref, l := c.Ref(), c.Loop()
					l.Later(func() {
						l.Later(func() {
							c, _ := ref.Conn()
							n, err := c.Read(b)
							if read = true; string(b[:n]) != "ab" || err != nil {
								t.Errorf("read %q, %v", b[:n], err)
							}
						})
					})
				} else if read {
					_, err := c.Read(b)
					endc <- err
					c.Close()
				}
			}}
		})
		var wire *together
		client := s.dial(t, clientConfig(version), func(nc net.Conn) net.Conn { wire = &together{Conn: nc}; return wire })
		wire.hold = true
		if _, err := io.WriteString(client, "ab"); err != nil {
			t.Fatal(err)
		}
		wire.hold = false
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := <-endc; err != io.EOF {
			t.Errorf("the end is %v", err)
		}
	})
}
