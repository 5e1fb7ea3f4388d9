package succession

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"holdfast/internal/apigate"
	"holdfast/internal/histfile"
	"holdfast/internal/hub"
	"holdfast/internal/metric"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// logged returns a logger, and what it has written.
func logged() (*slog.Logger, *bytes.Buffer) {
	b := new(bytes.Buffer)
	return slog.New(slog.NewTextHandler(b, nil)), b
}

// TestRefused: where no process is started, the error says why, the log has it, and it counts.
func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(s *Succession)
		want   error
	}{
		"a command that can't":  {func(s *Succession) { s.command = nil }, errCommand},
		"before it serves":      {func(s *Succession) { s.serving = false }, errStarting},
		"one in progress":       {func(s *Succession) { _, _ = s.begin() }, errRunning},
		"after the shutdown":    {func(s *Succession) { s.ended = true }, errEnded},
		"a command not in PATH": {func(*Succession) {}, exec.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			log, lines := logged()
			s := New(log, nil)
			s.StartWith(func() (*exec.Cmd, error) { return nil, exec.ErrNotFound })
			s.Serving()
			tt.change(s)
			if _, err := s.TakeOver(); !errors.Is(err, apigate.ErrNotTakenOver) || !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if !strings.Contains(lines.String(), "take-over failed; this process continues") || !strings.Contains(lines.String(), "hint=") {
				t.Errorf("the log has %q", lines)
			}
			result := "refused"
			if tt.want == exec.ErrNotFound {
				result = "failed"
			}
			var metrics bytes.Buffer
			s.Write(metric.NewWriter(&metrics, metric.Text))
			if want := fmt.Sprintf("holdfast_takeovers_total{result=%q} 1\n", result); !strings.Contains(metrics.String(), want) {
				t.Errorf("%s lacks %s", &metrics, want)
			}
			if s.Gone() {
				t.Error("another process is said to have taken over")
			}
		})
	}
}

// TestEnd: a shutdown ends a take-over in progress, and waits for it.
func TestEnd(t *testing.T) {
	log, _ := logged()
	s := New(log, nil)
	s.StartWith(func() (*exec.Cmd, error) { return nil, nil })
	s.Serving()
	ctx, err := s.begin()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-ctx.Done()
		s.end()
	}()
	if s.End() || !errors.Is(context.Cause(ctx), errEnded) {
		t.Errorf("the take-over has ended by %v", context.Cause(ctx))
	}
}

// TestHistory: the file is closed in between, and opened again by the first write after it; what is not stored is an error.
func TestHistory(t *testing.T) {
	log, _ := logged()
	path := filepath.Join(t.TempDir(), "history")
	x := NewHistory(path, log)
	o := hub.Options{Rule: func(string) (hub.History, bool) { return hub.History{Messages: 10}, true }}
	h, err := x.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	publish := func() {
		t.Helper()
		r, err := h.PublishOne(hub.Draft{Channels: []string{"a"}, Data: []byte("x")})
		if err == nil {
			err = h.Saved(t.Context(), []hub.Receipt{r})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	free := func() bool {
		f, err := histfile.Open(path)
		if err == nil {
			f.Close()
		}
		return err == nil
	}
	for range 2 {
		x.Begin(h)
		x.Begin(h) // as after a take-over that failed before it had ended
		publish()
		if free() || x.Size() == 0 {
			t.Error("the file is not in use")
		}
		if err := x.End(h); err != nil || !free() || x.Size() != 0 {
			t.Errorf("the file is in use after the end: %v", err)
		}
	}
	if _, err := h.PublishOne(hub.Draft{Channels: []string{"a"}, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if err := x.End(h); !errors.Is(err, errUnsaved) {
		t.Errorf("error %v, want one of what is not stored", err)
	}
	var none *History
	none.Begin(h)
	if none.store() != nil || none.End(h) != nil || NewHistory("", log) != nil {
		t.Error("a history without a file is one")
	}
}

// TestOpenFails: a file that is no history is not in use afterwards.
func TestOpenFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(path, []byte(strings.Repeat("no history\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	log, _ := logged()
	if _, err := NewHistory(path, log).Open(hub.Options{}); !errors.Is(err, histfile.ErrNotHistoryFile) || !strings.Contains(err.Error(), "push.history_file") {
		t.Errorf("error %v", err)
	}
}

// TestListenerLeaves: when another process has the socket, its file stays, and Accept waits for Close.
func TestListenerLeaves(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // listeners move on Linux only
	}
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener("unix "+path, ln)
	fd, _, err := l.descriptor()
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "other")
	other, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	endc := make(chan error)
	go func() {
		_, err := l.Accept()
		endc <- err
	}()
	l.leave()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := other.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	select {
	case err := <-endc:
		t.Errorf("Accept has returned: %v", err)
	default:
	}
	l.Close()
	if err := <-endc; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	_ = file.Close()
}

// told records what a new process is told.
type told struct {
	list []any
	err  error // of what it is told from now on
}

func (x *told) Publish(d hub.Draft) (r hub.Receipt, err error) {
	x.list = append(x.list, d)
	return r, x.err
}

func (x *told) Changed(channels []string, event string) (int, hub.Receipt, error) {
	x.list = append(x.list, channels, event)
	return 0, hub.Receipt{}, x.err
}

func (*told) Credentials([][]byte, []byte) []uint64 { return nil }

func (x *told) OnResponse(credentials []uint64, path []byte, cookies [][]byte) {
	x.list = append(x.list, credentials, string(path), fmt.Sprintf("%s", cookies))
}

// TestNotes: what the old process tells arrives as it was, and what does not is in the log.
func TestNotes(t *testing.T) {
	log, lines := logged()
	s, x := New(log, nil), new(told)
	cleared := 0
	s.Use(Options{Publish: x, Sessions: x, Clear: func() { cleared++ }})
	d := hub.Draft{Channels: []string{"a", "b"}, Event: "e", Data: []byte{0, 0xff}, JSON: true}
	s.note(publishNote, encodeDraft(d))
	s.note(changedNote, encodeChange([]string{"c"}, "f"))
	s.note(responseNote, encodeResponse([]uint64{1, 1 << 63}, []byte("/logout"), [][]byte{[]byte("sid="), []byte("x=1")}))
	s.note(clearNote, nil)
	if cleared != 1 {
		t.Errorf("%d times cleared", cleared)
	}
	want := []any{d, []string{"c"}, "f", []uint64{1, 1 << 63}, "/logout", "[sid= x=1]"}
	if !reflect.DeepEqual(x.list, want) {
		t.Errorf("%v; want %v", x.list, want)
	}
	if lines.Len() > 0 {
		t.Errorf("the log has %s", lines)
	}
	x.list = nil
	s.note("later", nil)
	s.note(publishNote, encodeDraft(d)[:3])
	if n := strings.Count(lines.String(), "is lost"); n != 2 || x.list != nil {
		t.Errorf("%d lines, %v; the log has %s", n, x.list, lines)
	}
	x.err = errors.New("no room")
	s.note(publishNote, encodeDraft(d))
	s.note(changedNote, encodeChange([]string{"c"}, "f"))
	if n := strings.Count(lines.String(), x.err.Error()); n != 2 {
		t.Errorf("%d lines have the reason; the log has %s", n, lines)
	}
	var metrics bytes.Buffer
	s.Write(metric.NewWriter(&metrics, metric.Text))
	for what, n := range map[string]int{publishNote: 2, changedNote: 1, lostUnknown: 1, clearNote: 0} {
		if want := fmt.Sprintf("holdfast_takeover_lost_total{what=%q} %d\n", what, n); !strings.Contains(metrics.String(), want) {
			t.Errorf("%s lacks %s", &metrics, want)
		}
	}
	x.list, x.err = nil, nil
	// Before the move, it is this process's.
	_, _ = s.Publishing(x).Publish(d)
	s.Sessions(x).OnResponse(nil, nil, nil)
	s.Clear()
	if len(x.list) != 4 {
		t.Errorf("%v", x.list)
	}
}

// TestSuccessor: the API of the new process is where that says, and where this one has it if that says nothing.
func TestSuccessor(t *testing.T) {
	listen := func() *Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l := NewListener("", ln)
		t.Cleanup(func() { l.Close() })
		return l
	}
	log, lines := logged()
	old, next := New(log, nil), New(log, nil)
	old.Use(Options{API: listen()})
	next.Use(Options{API: listen(), Token: "fedcba9876543210"})
	for _, tt := range []struct {
		reply []byte
		at    *Listener
		token bool
		logs  string
	}{{next.encodeAPI(), next.o.API, true, ""}, {nil, old.o.API, false, ""}, {next.encodeAPI()[:5], old.o.API, false, "does not say where its API is"}} {
		old.reply = tt.reply
		to := old.successor()
		c, err := to.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); got != tt.at.Addr().String() || (to.Vouch != nil) != tt.token || !strings.Contains(lines.String(), tt.logs) {
			t.Errorf("%q: %s, %t; the log has %s", tt.reply, got, to.Vouch != nil, lines)
		}
		c.Close()
	}
}

// TestOptional: what only one of the processes has does not stop the other.
func TestOptional(t *testing.T) {
	var got string
	write := func(b []byte) []byte { return append(b, "state"...) }
	read := func(b []byte) error { got = string(b); return nil }
	for _, tt := range []struct {
		old, now bool
		want     string
	}{{true, true, "state"}, {true, false, ""}, {false, true, ""}, {false, false, ""}} {
		got = ""
		from, _ := optional(tt.old, write, read)
		_, to := optional(tt.now, write, read)
		if err := to(from(nil)); err != nil || got != tt.want {
			t.Errorf("old %t, new %t: %q, %v; want %q", tt.old, tt.now, got, err, tt.want)
		}
	}
	if _, to := optional(true, write, read); to(nil) == nil {
		t.Error("nothing at all is a state")
	}
}

// TestChange: what changes the hub waits while it moves, or does not happen.
func TestChange(t *testing.T) {
	s := New(slog.New(slog.DiscardHandler), nil)
	s.Use(Options{Hub: hub.New(hub.Options{})})
	p := hubPart{s}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if s.TryChange(func() { t.Error("it is changed") }) {
		t.Error("it is said to be changed")
	}
	donec := make(chan bool, 1)
	go func() { s.Change(func() { donec <- true }) }()
	select {
	case <-donec:
		t.Error("it is changed while it moves")
	default:
	}
	p.Thaw(false)
	<-donec
	if changed := false; !s.TryChange(func() { changed = true }) || !changed {
		t.Error("it is not changed afterwards")
	}
}

// TestStatsMove: the counts and the beginning of the pause come along.
func TestStatsMove(t *testing.T) {
	var old, next stats
	old.count(failed)
	old.count(moved)
	p := old.part().(*part)
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := next.part().(*part).read(p.write(nil)); err != nil {
		t.Fatal(err)
	}
	next.arrived(7)
	if next.counts[failed].Load() != 1 || next.counts[moved].Load() != 2 || next.conns.Load() != 7 || next.lastPause() <= 0 {
		t.Errorf("%d failed, %d moved, %d connections, pause %v", next.counts[failed].Load(), next.counts[moved].Load(), next.conns.Load(), next.lastPause())
	}
	if err := next.part().(*part).read(nil); err == nil {
		t.Error("nothing at all is a state")
	}
}
