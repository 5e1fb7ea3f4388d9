package listening

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// opened is a set and its poller.
type opened struct {
	Set
	t      *testing.T
	poller *park.Poller
}

func newOpened(t *testing.T) *opened {
	t.Helper()
	p, err := park.New(park.Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() { defer close(donec); _ = p.Serve() }()
	x := &opened{t: t, poller: p}
	t.Cleanup(func() { p.Shutdown(); <-donec; x.Clean() })
	return x
}

func (x *opened) prepare(text string) (*Plan, error) {
	x.t.Helper()
	c, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		x.t.Fatal(err)
	}
	return x.Prepare(c)
}

// use puts a configuration to use, with a handler that sends what and closes.
func (x *opened) use(text, what string) (changed bool) {
	x.t.Helper()
	p, err := x.prepare(text)
	if err != nil {
		x.t.Fatal(err)
	}
	if err := p.Open(x.poller); err != nil {
		x.t.Fatal(err)
	}
	say := func(what string) func(*park.Loop) park.Handler {
		return func(*park.Loop) park.Handler { return saying(what) }
	}
	return p.Use(say(what), say(what+" secure"))
}

// saying is a handler that sends a text and closes.
type saying string

// Ready implements park.Handler.
func (s saying) Ready(c *park.Conn, _ park.Event) {
	mark := ""
	if park.Marked(c) {
		mark = " marked"
	}
	_, _ = c.Write([]byte(string(s) + mark))
	c.Close()
}

func (x *opened) hear(addr net.Addr) string {
	x.t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return "nobody"
	}
	all, _ := wiretest.NewClient(x.t, c).Rest()
	return all
}

const pairs = "\ntls: {certificates: [{cert: /a.pem, key: /a.key}]}\ntrusted_proxies: [10.0.0.0/8]"

// TestUse: each listener gives its connections to the handler that its entry says, and one that stays keeps its address.
func TestUse(t *testing.T) {
	x := newOpened(t)
	if !x.use("listen: ['127.0.0.1:0', '127.0.0.1:0', '127.0.0.2:0']", "one") {
		t.Error("nothing has changed at first")
	}
	first := x.Addrs()
	for _, a := range first {
		if got := x.hear(a); got != "one" {
			t.Errorf("%v says %q", a, got)
		}
	}
	if !x.use("listen: [{address: '127.0.0.2:0', tls: true}, {address: '127.0.0.1:0', redirect_https: true}]"+pairs, "two") {
		t.Error("a listener that is gone is no change")
	}
	second := x.Addrs()
	if len(second) != 2 || second[0] != first[2] || second[1] != first[0] {
		t.Fatalf("%v after %v", second, first)
	}
	for a, want := range map[net.Addr]string{first[2]: "two secure", first[0]: "two marked", first[1]: "nobody"} {
		if got := x.hear(a); got != want {
			t.Errorf("%v says %q, want %q", a, got, want)
		}
	}
	if x.use("listen: ['127.0.0.1:0', '127.0.0.2:0']", "three") {
		t.Error("other settings are other listeners")
	}
	if got := x.hear(first[2]) + x.hear(first[0]); got != "threethree" {
		t.Error(got)
	}
}

// TestPrepareAcceptsNothing: connections to a new listener wait until the plan is used, or end with it.
func TestPrepareAcceptsNothing(t *testing.T) {
	x := newOpened(t)
	x.use("listen: '127.0.0.1:0'", "old")
	for _, used := range []bool{false, true} {
		p, err := x.prepare("listen: ['127.0.0.2:0', '127.0.0.1:0']")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Open(x.poller); err != nil {
			t.Fatal(err)
		}
		c := wiretest.Dial(t, p.First.String())
		if n := x.poller.Stats().Accepted; n != 0 {
			t.Errorf("%d are accepted", n)
		}
		want := ""
		if used {
			p.Use(func(*park.Loop) park.Handler { return saying("new") }, nil)
			want = "new"
		} else {
			p.Cancel()
		}
		if all, _ := c.Rest(); all != want {
			t.Errorf("used %t: %q", used, all)
		}
		p.Cancel() // after Use, nothing
	}
	if got := x.hear(x.Addrs()[0]); got != "new" {
		t.Errorf("after Cancel: %q", got)
	}
}

// TestNames: the order is that of the configuration, with the socket for Holdfast's own requests first, however it came about.
func TestNames(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	x := newOpened(t)
	asks := "\npush: {authorize_path: /auth}"
	x.use("listen: ['127.0.0.1:0', '127.0.0.2:0']"+asks, "")
	if own, names := x.Names(); own != 0 || strings.Join(names, ", ") != "tcp4 127.0.0.1:0, tcp4 127.0.0.2:0" {
		t.Errorf("%d, %v", own, names)
	}
	x.use("listen: ['127.0.0.3:0', {address: '127.0.0.1:0', tls: true}, '127.0.0.2:0']"+asks+pairs, "")
	own, names := x.Names()
	if own != 1 || strings.Join(names, ", ") != "tcp4 127.0.0.3:0, tcp4 127.0.0.1:0, tcp4 127.0.0.2:0" {
		t.Errorf("%d, %v", own, names)
	}
	if fds := x.poller.ListenerDescriptors(); len(fds) != 0 { // not on other systems
		for i, a := range x.Addrs() {
			if got := portOf(t, fds[own+i]); !strings.HasSuffix(a.String(), got) {
				t.Errorf("listener %d has the port %s, want %v", i, got, a)
			}
		}
	}
}

// TestListenKeepsFiles: only a socket that nobody listens on is replaced.
func TestListenKeepsFiles(t *testing.T) {
	dir := t.TempDir()
	file, socket, link := filepath.Join(dir, "file"), filepath.Join(dir, "socket"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if _, err := new(Set).Listen("listen", "unix", path); err == nil || !strings.Contains(err.Error(), "listen: "+path+" is not a socket") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if b, err := os.ReadFile(link); string(b) != "precious" {
		t.Errorf("the file: %q, %v", b, err)
	}
	gone, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	gone.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = gone.Close()
	ln, err := new(Set).Listen("listen", "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // it has accepted nothing
	if _, err := new(Set).Listen("hooks.listen", "unix", socket); err == nil || !strings.HasPrefix(err.Error(), "hooks.listen: ") {
		t.Errorf("a socket in use: %v", err)
	}
}

// TestErrors: the errors that are told apart are those of this system's sockets.
func TestErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if _, err := net.Listen("tcp", address); !errors.Is(err, errAddrInUse) {
		t.Errorf("an address in use: %v", err)
	}
	_ = ln.Close()
	if _, err := net.Dial("tcp", address); !errors.Is(err, errConnRefused) {
		t.Errorf("an address without a listener: %v", err)
	}
}

// TestInherit: a listener of the process before is taken instead of opened, and its error is one of the key.
func TestInherit(t *testing.T) {
	before, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close() //nolint:errcheck // it has accepted nothing
	address := before.Addr().String()
	x := Set{Inherit: func(name string) (net.Listener, error) {
		switch name {
		case Name("tcp", address):
			return before, nil
		case Name("tcp", "bad"):
			return nil, os.ErrPermission
		}
		return nil, nil
	}}
	if ln, err := x.Listen("listen", "tcp", address); ln != before || err != nil {
		t.Errorf("%v, %v", ln, err)
	}
	if _, err := x.Listen("listen", "tcp", "bad"); err == nil || !strings.HasPrefix(err.Error(), "listen: ") {
		t.Error(err)
	}
	other, err := x.Listen("listen", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // the same
	if other == before {
		t.Error("another address has the same listener")
	}
}
