package accesslog

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.FixedZone("", 3600))

func TestLines(t *testing.T) {
	full := Request{
		Client: netip.MustParseAddr("192.0.2.7"), Method: []byte("GET"), Target: []byte("/a?b=c"), Minor: 1, Host: []byte("x"),
		Referer: []byte("http://x/"), UserAgent: []byte("Mozilla/5.0 (X11)"), Authorization: []byte("Basic YW5uYTpzZWNyZXQ="),
	}
	hostile := Request{
		Client: netip.MustParseAddr("2001:db8::1"), Method: []byte("GET"), Target: []byte(`/"\`), UserAgent: []byte("a\x1b[31m\"\\\x00\r\n\xc3\xa4\xff"),
		Authorization: []byte("Bearer secret"),
	}
	for _, tt := range []struct {
		name           string
		r              Request
		o              Outcome
		combined, json string
	}{
		{"everything", full, Outcome{Status: 200, Bytes: 1234, Received: 5, Now: noon, Started: noon.Add(-1500 * time.Millisecond), Upstream: "127.0.0.1:8081", AppTime: 20 * time.Millisecond},
			`192.0.2.7 - anna [01/Mar/2026:12:00:00 +0100] "GET /a?b=c HTTP/1.1" 200 1234 "http://x/" "Mozilla/5.0 (X11)"`,
			`{"client":"192.0.2.7","user":"anna","method":"GET","target":"/a?b=c","host":"x","referer":"http://x/","user_agent":"Mozilla/5.0 (X11)","time":"2026-03-01T12:00:00.250+01:00","status":200,"bytes":1234,"received":5,"seconds":1.500,"upstream":"127.0.0.1:8081","upstream_seconds":0.020}`},
		{"hostile bytes, no secret", hostile, Outcome{Status: 499, Now: noon, Started: noon, End: "client disconnected"},
			`2001:db8::1 - - [01/Mar/2026:12:00:00 +0100] "GET /\x22\x5C HTTP/1.0" 499 0 "-" "a\x1B[31m\x22\x5C\x00\x0D\x0A\xC3\xA4\xFF"`,
			`{"client":"2001:db8::1","method":"GET","target":"/\"\\","user_agent":"a\u001b[31m\"\\\u0000\u000d\u000aä` + "\ufffd" + `","time":"2026-03-01T12:00:00.250+01:00","status":499,"bytes":0,"received":0,"seconds":0.000,"end":"client disconnected"}`},
		{"no head", Request{Line: []byte("\x16\x03\x01")}, Outcome{Status: 400, Now: noon, Started: noon},
			`unix: - - [01/Mar/2026:12:00:00 +0100] "\x16\x03\x01" 400 0 "-" "-"`,
			`{"line":"\u0016\u0003\u0001","time":"2026-03-01T12:00:00.250+01:00","status":400,"bytes":0,"received":0,"seconds":0.000}`},
		{"no byte", Request{}, Outcome{Now: noon, Started: noon},
			`unix: - - [01/Mar/2026:12:00:00 +0100] "" 000 0 "-" "-"`,
			`{"time":"2026-03-01T12:00:00.250+01:00","status":0,"bytes":0,"received":0,"seconds":0.000}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, l := range []*Log{{}, {json: true}} {
				want := tt.combined + "\n"
				if l.json {
					want = tt.json + "\n"
				}
				got := string(l.appendLine(nil, l.Begin(nil, &tt.r), &tt.o))
				if got != want {
					t.Errorf("json %v:\n%q\nwant\n%q", l.json, got, want)
				}
				if l.json && !json.Valid([]byte(got)) {
					t.Errorf("not JSON: %s", got)
				}
			}
		})
	}
}

// FuzzEscape: a line stays one line whatever the client sends, and JSON stays JSON.
func FuzzEscape(f *testing.F) {
	f.Add([]byte("/a"), []byte("x\x00\n\"\\\xff"))
	f.Add([]byte("\u2028\u0085"), []byte(""))
	f.Fuzz(func(t *testing.T, target, agent []byte) {
		r := &Request{Method: []byte("GET"), Target: target, UserAgent: agent}
		for _, l := range []*Log{{}, {json: true}} {
			line := string(l.appendLine(nil, l.Begin(nil, r), &Outcome{Status: 200, Now: noon, Started: noon}))
			if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
				t.Fatalf("not one line: %q", line)
			}
			if l.json && !json.Valid([]byte(line)) {
				t.Fatalf("not JSON: %q", line)
			}
			if !l.json && strings.Count(line, `"`) != 6 {
				t.Fatalf("quotes do not match: %q", line)
			}
		}
	})
}

func TestReopen(t *testing.T) { testReopen(t, (*Log).Reopen) }

// TestFollow: a file that was moved away is followed by a new one, and one that was not stays open.
func TestFollow(t *testing.T) {
	testReopen(t, (*Log).Follow)
	l, err := Open(filepath.Join(t.TempDir(), "access.log"), false)
	if err != nil {
		t.Fatal(err)
	}
	was := l.out
	if err := l.Follow(); err != nil || l.out != was {
		t.Errorf("the same file is opened again: %v", err)
	}
	was.(*os.File).Close()
	if err := l.Follow(); err == nil {
		t.Error("a file that is closed is followed")
	}
	for _, l := range []*Log{nil, newLog(io.Discard, false)} {
		if err := l.Follow(); err != nil {
			t.Error(err)
		}
	}
}

func testReopen(t *testing.T, reopen func(*Log) error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { l.Serve(ctx, func(err error) { t.Error(err) }) })
	write := func(target string) {
		l.End(l.Begin(nil, &Request{Method: []byte("GET"), Target: []byte(target), Minor: 1}), &Outcome{Status: 200, Now: noon})
	}
	write("/before")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := reopen(l); err != nil {
		t.Fatal(err)
	}
	write("/after")
	cancel()
	done.Wait()
	for name, want := range map[string]string{path + ".1": "/before", path: "/after"} {
		b, err := os.ReadFile(name)
		if err != nil || strings.Count(string(b), "\n") != 1 || !strings.Contains(string(b), want) {
			t.Errorf("%s has %q, error %v; want one line with %s", filepath.Base(name), b, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("mode %v, error %v; want nothing for others", info.Mode(), err)
	}
}

type stuck struct{ fail bool }

func (w *stuck) Write(p []byte) (int, error) {
	if w.fail {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

// TestSlowDisk: memory is bounded, and what was dropped is counted.
func TestSlowDisk(t *testing.T) {
	l := newLog(&stuck{}, false)
	begun := l.Begin(nil, &Request{UserAgent: make([]byte, 16<<10)})
	for range 400 {
		l.End(begun, &Outcome{})
	}
	n, dropped := l.lines.Counts()
	if n > maxQueue+128<<10 || dropped == 0 || l.Dropped() != dropped {
		t.Fatalf("%d bytes wait, %d dropped", n, l.Dropped())
	}
	if n, _ := l.lines.Counts(); l.Flush() != nil || n == 0 {
		t.Fatalf("%d bytes waited", n)
	}
	if err := l.use(&stuck{fail: true}, false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var told error
	l.End(begun, &Outcome{})
	l.Serve(ctx, func(err error) { told = err })
	if told == nil || !strings.Contains(told.Error(), "no space left") {
		t.Errorf("told %v", told)
	}
	if l.Dropped() != dropped+1 {
		t.Errorf("%d dropped after a failed write, %d before", l.Dropped(), dropped)
	}
}

func TestNilLog(t *testing.T) {
	var l *Log
	l.End(nil, nil)
	if l.Dropped() != 0 || l.Reopen() != nil {
		t.Error("a nil log does something")
	}
}

func BenchmarkEnd(b *testing.B) {
	l := newLog(&stuck{}, false)
	r := Request{Client: netip.MustParseAddr("192.0.2.7"), Method: []byte("GET"), Target: []byte("/a?b=c"), Minor: 1, UserAgent: []byte("Mozilla/5.0 (X11)")}
	o := Outcome{Status: 200, Bytes: 1234, Now: noon}
	var begun []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		begun = l.Begin(begun[:0], &r)
		l.End(begun, &o)
		if i%512 == 0 {
			l.Flush()
		}
	}
}
