package upgrade_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// holder holds a connection once its client has sent something.
type holder func(c *park.Conn)

func (f holder) Ready(c *park.Conn, _ park.Event) {
	if n, _ := c.Read(c.Loop().In()); n > 0 { // the first event may be that it can be written to
		f(c)
	}
}

// holdAll accepts connections that are held at once, as spec says, and hands over what Hold returns.
func (w *world) holdAll(t *testing.T, spec upgrade.Spec) (addr string, errc chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	errc = make(chan error, 10)
	hold := holder(func(c *park.Conn) {
		err := w.keeper.Hold(c, spec)
		if errc <- err; err != nil {
			c.Close()
		}
	})
	err = w.poller.Listen(ln, func(*park.Loop) park.Handler { return hold })
	if err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String(), errc
}

// TestHoldWithoutRequest checks that a connection can be held without a request to the push URL, resumes and has what is
// published.
func TestHoldWithoutRequest(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		first, err := hub.ParseID(w.publish(t, "before", "public.a"))
		if err != nil {
			t.Fatal(err)
		}
		w.publish(t, "missed", "public.a")
		addr, errc := w.holdAll(t, upgrade.Spec{
			Dialect: kind, Channels: []string{"public.a"}, Resume: upgrade.ResumePoint{ID: first, HasID: true}, User: "anna",
			Handshake: []byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"), Fields: "X-From: test\r\n", Close: true,
		})
		c := &client{Client: wiretest.Dial(t, addr), t: t, kind: kind, asked: true}
		c.Send("hello")
		if err := <-errc; err != nil {
			t.Fatal(err)
		}
		if wires[kind].asksAgain {
			resp, body := c.Response(http.MethodGet)
			if !strings.Contains(body, `"missed"`) || resp.Header.Get("X-From") != "test" || !resp.Close {
				t.Errorf("answered %v %s", resp.Header, body)
			}
			return
		}
		resp, err := http.ReadResponse(c.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{false: "test"}[wires[kind].upgrades]; resp.Header.Get("X-From") != want {
			t.Errorf("responded %v", resp.Header)
		}
		w.publish(t, "new", "public.a")
		var got []string
		for len(got) < 2 {
			switch m := c.recv(); {
			case m.Type == "close" || m.Type == "end":
				t.Fatalf("told %+v after %q", m, got)
			case m.Type == "message" && m.Data != "":
				got = append(got, m.Data)
			}
		}
		if got[0] != "missed" || got[1] != "new" {
			t.Errorf("told %q", got)
		}
	})
}

// TestHoldRefuses checks that nothing is held that can't be.
func TestHoldRefuses(t *testing.T) {
	w := start(t)
	for _, tt := range []struct {
		name string
		spec upgrade.Spec
		want error  // nil: any
		text string // of the error
	}{
		{"an unknown dialect", upgrade.Spec{Dialect: "x", Channels: []string{"public.a"}}, upgrade.ErrDialect, `"x"`},
		{"no channel", upgrade.Spec{Dialect: "sse"}, nil, "0 channels"},
		{"a channel without a rule", upgrade.Spec{Dialect: "sse", Channels: []string{"none.x"}}, nil, "no rule for this channel"},
		{"no name of a channel", upgrade.Spec{Dialect: "sse", Channels: []string{"public..x"}}, nil, "empty segment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, errc := w.holdAll(t, tt.spec)
			wiretest.Dial(t, addr).Send("hello")
			err := <-errc
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v; want %v with %q", err, tt.want, tt.text)
			}
			if w.held() != 0 {
				t.Errorf("%d are held", w.held())
			}
		})
	}
	w.keeper.Drain()
	addr, errc := w.holdAll(t, upgrade.Spec{Dialect: "sse", Channels: []string{"public.a"}})
	wiretest.Dial(t, addr).Send("hello")
	if err := <-errc; !errors.Is(err, upgrade.ErrDraining) {
		t.Errorf("%v; want ErrDraining", err)
	}
}
