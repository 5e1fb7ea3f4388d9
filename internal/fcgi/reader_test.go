package fcgi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// record makes one as a responder would.
func record(kind byte, id uint16, content string, pad int) string {
	return string(appendHeader(nil, kind, id, len(content), pad)) + content + strings.Repeat("P", pad)
}

const endOK = "\x00\x00\x00\x00\x00\x00\x00\x00"

type outcome struct {
	stdout, stderr string
	lost           int64
	done           bool
	app            uint32
	err            error
}

func (o outcome) String() string {
	return fmt.Sprintf("stdout %q, stderr %.100q and %d more, done %v, app status %d", o.stdout, o.stderr, o.lost, o.done, o.app)
}

// feed gives the pieces one after the other to a reader of id 1.
func feed(pieces ...string) outcome {
	var r Reader
	r.Reset(1)
	var out []byte
	var err error
	for _, p := range pieces {
		b := []byte(p)
		n, used, e := r.Feed(b)
		if e == nil && used != len(b) {
			panic("bytes were left without an error")
		}
		out = append(out, b[:n]...)
		err = e
	}
	return outcome{string(out), string(r.Stderr), r.Lost, r.Done, r.AppStatus, err}
}

func TestReader(t *testing.T) {
	end := record(typeEnd, 1, endOK, 0)
	big := strings.Repeat("b", 65535)
	tests := []struct {
		name, sent string
		want       outcome
	}{
		{"nothing", "", outcome{}},
		{"stdout and the end", record(typeStdout, 1, "abc", 5) + record(typeStdout, 1, "", 0) + end, outcome{stdout: "abc", done: true}},
		{"no end of stdout, as php-fpm", record(typeStdout, 1, "abc", 5) + end, outcome{stdout: "abc", done: true}},
		{"several", record(typeStdout, 1, "abc", 0) + record(typeStderr, 1, "oh", 6) + record(typeStdout, 1, "def", 255) + end,
			outcome{stdout: "abcdef", stderr: "oh", done: true}},
		{"the largest", record(typeStdout, 1, big, 255) + end, outcome{stdout: big, done: true}},
		{"no end", record(typeStdout, 1, "abc", 0), outcome{stdout: "abc"}},
		{"cut in stdout", record(typeStdout, 1, "abc", 0)[:10], outcome{stdout: "ab"}},
		{"cut in the end", record(typeStdout, 1, "abc", 0) + end[:15], outcome{stdout: "abc"}},
		{"cut in the end's padding", record(typeEnd, 1, endOK, 3)[:18], outcome{}},
		{"the end's padding", record(typeEnd, 1, endOK, 3), outcome{done: true}},
		{"app status", record(typeEnd, 1, "\x00\x00\x01\x02\x00abc", 0), outcome{done: true, app: 258}},
		{"overloaded", record(typeEnd, 1, "\x00\x00\x00\x00\x02\x00\x00\x00", 0), outcome{err: ErrOverloaded}},
		{"one connection, one request", record(typeEnd, 1, "\x00\x00\x00\x00\x01\x00\x00\x00", 0), outcome{err: ErrRefused}},
		{"unknown role", record(typeEnd, 1, "\x00\x00\x00\x00\x03\x00\x00\x00", 0), outcome{err: ErrRefused}},
		{"unknown protocol status", record(typeEnd, 1, "\x00\x00\x00\x00\xff\x00\x00\x00", 4), outcome{err: ErrRefused}},
		{"version 0", "\x00" + end[1:], outcome{err: ErrVersion}},
		{"version 2", record(typeStdout, 1, "abc", 0) + "\x02" + end[1:], outcome{stdout: "abc", err: ErrVersion}},
		{"HTTP", "HTTP/1.1 200 OK\r\n\r\n", outcome{err: ErrVersion}},
		{"id 0", record(typeStdout, 0, "abc", 0), outcome{err: ErrID}},
		{"another id", record(typeStdout, 1, "abc", 0) + record(typeStdout, 257, "def", 0), outcome{stdout: "abc", err: ErrID}},
		{"the end of another", record(typeEnd, 2, endOK, 0), outcome{err: ErrID}},
		{"unknown type", record(11, 0, endOK, 0), outcome{err: ErrType}},
		{"values that nobody asked for", record(10, 0, "", 0), outcome{err: ErrType}},
		{"stdin", record(typeStdin, 1, "abc", 0), outcome{err: ErrType}},
		{"type 0", record(0, 1, "", 0), outcome{err: ErrType}},
		{"short end", record(typeEnd, 1, endOK[1:], 1), outcome{err: ErrSize}},
		{"long end", record(typeEnd, 1, endOK+"x", 0), outcome{err: ErrSize}},
		{"empty end", record(typeEnd, 1, "", 0), outcome{err: ErrSize}},
		{"stdout after its end", record(typeStdout, 1, "", 8) + record(typeStdout, 1, "a", 0), outcome{err: ErrClosed}},
		{"stdout ends twice", record(typeStdout, 1, "", 0) + record(typeStdout, 1, "", 0) + end, outcome{done: true}},
		{"stderr after its end", record(typeStderr, 1, "", 0) + record(typeStderr, 1, "late", 0) + end, outcome{stderr: "late", done: true}},
		{"a byte after the end", end + "x", outcome{done: true, err: ErrExtra}},
		{"another response after the end", record(typeStdout, 1, "a", 0) + end + record(typeStdout, 1, "b", 0) + end,
			outcome{stdout: "a", done: true, err: ErrExtra}},
		{"much stderr", record(typeStderr, 1, big, 1) + record(typeStderr, 1, "x", 0) + end,
			outcome{stderr: big[:MaxStderr], lost: 65535 - MaxStderr + 1, done: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			same := func(how string, got outcome) {
				t.Helper()
				if !errors.Is(got.err, test.want.err) || (got.err == nil) != (test.want.err == nil) {
					t.Errorf("%s: error %v, want %v", how, got.err, test.want.err)
				}
				if got.err = test.want.err; got != test.want {
					t.Errorf("%s: %.300v, want %.300v", how, got, test.want)
				}
			}
			same("at once", feed(test.sent))
			same("byte by byte", feed(strings.Split(test.sent, "")...))
			for i := range min(len(test.sent), 64) {
				same("in two", feed(test.sent[:i], test.sent[i:]))
			}
		})
	}
}

func TestReaderIsReset(t *testing.T) {
	var r Reader
	r.Reset(1)
	r.Feed([]byte(record(typeStderr, 1, "oh", 0) + "\x09"))
	r.Feed([]byte("1234567"))
	r.Reset(2)
	n, used, err := r.Feed([]byte(record(typeStdout, 2, "abc", 0) + record(typeEnd, 2, endOK, 0)))
	if n != 3 || used != 27 || err != nil || !r.Done || len(r.Stderr) != 0 {
		t.Errorf("%d, %d, %v, %v, %q", n, used, err, r.Done, r.Stderr)
	}
}

func TestReaderAllocatesNothing(t *testing.T) {
	sent := []byte(strings.Repeat(record(typeStdout, 1, strings.Repeat("x", 1000), 0), 30) + record(typeStderr, 1, "oh", 6) + record(typeEnd, 1, endOK, 0))
	p := make([]byte, len(sent))
	var r Reader
	if n := testing.AllocsPerRun(100, func() {
		copy(p, sent)
		r.Reset(1)
		if n, _, err := r.Feed(p); n != 30000 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// decode is the tests' own reader of a whole response: it says what stdout, stderr and the error are.
func decode(b []byte) (stdout, stderr []byte, done, failed bool) {
	closed := false
	for len(b) > 0 {
		if done {
			return stdout, stderr, true, true
		}
		if len(b) < 8 {
			return stdout, stderr, false, false
		}
		size, pad := int(binary.BigEndian.Uint16(b[4:6])), int(b[6])
		switch {
		case b[0] != 1, b[1] != 3 && b[1] != 6 && b[1] != 7, b[2] != 0 || b[3] != 1, b[1] == 3 && size != 8, b[1] == 6 && closed && size > 0:
			return stdout, stderr, false, true
		}
		kind, content := b[1], b[8:min(8+size, len(b))]
		switch kind {
		case 6:
			stdout = append(stdout, content...)
			closed = closed || size == 0
		case 7:
			stderr = append(stderr, content...)
		}
		if kind == 3 && len(content) == 8 && content[4] != 0 {
			return stdout, stderr, false, true
		}
		if len(b) < 8+size+pad {
			return stdout, stderr, false, false
		}
		done = kind == 3
		b = b[8+size+pad:]
	}
	return stdout, stderr, done, false
}

// FuzzRecords reads the same bytes at once, in pieces whose sizes are fuzzed, and with decode.
func FuzzRecords(f *testing.F) {
	whole := record(typeStdout, 1, "Status: 200 OK\r\n\r\nabc", 3) + record(typeStderr, 1, "oh\n", 5) + record(typeStdout, 1, "", 0)
	f.Add([]byte(whole+record(typeEnd, 1, endOK, 0)), []byte{1, 2, 3})
	f.Add([]byte(whole+record(typeEnd, 1, endOK, 7)+"more"), []byte{8})
	f.Add([]byte(record(typeStdout, 1, "a", 0)+record(typeEnd, 1, "\x00\x00\x00\xff\x02\x00\x00\x00", 0)), []byte{7, 9})
	f.Add([]byte(record(typeStdout, 1, "", 0)+record(typeStdout, 1, "x", 0)), []byte{200})
	f.Add([]byte(record(typeStdout, 2, "x", 0)), []byte{0})
	f.Add([]byte("HTTP/1.1 200 OK\r\n"), []byte{3})
	f.Fuzz(func(t *testing.T, sent, cuts []byte) {
		var pieces []string
		rest := string(sent)
		for _, c := range cuts {
			n := min(int(c), len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		pieces = append(pieces, rest)
		once, often := feed(string(sent)), feed(pieces...)
		if (once.err == nil) != (often.err == nil) || once.err != nil && once.err.Error() != often.err.Error() {
			t.Fatalf("at once %v, in pieces %v", once.err, often.err)
		}
		once.err, often.err = nil, once.err
		failed := often.err != nil
		if often.err = nil; once != often {
			t.Fatalf("at once %v, in pieces %v", once, often)
		}
		stdout, stderr, done, bad := decode(sent)
		if once.stdout != string(stdout) || once.done != done || failed != bad {
			t.Fatalf("stdout %q, done %v, failed %v; want %q, %v, %v", once.stdout, once.done, failed, stdout, done, bad)
		}
		if !bytes.HasPrefix(stderr, []byte(once.stderr)) || len(once.stderr) > MaxStderr || int64(len(once.stderr))+once.lost != int64(len(stderr)) {
			t.Fatalf("stderr %q and %d more of %q", once.stderr, once.lost, stderr)
		}
	})
}
