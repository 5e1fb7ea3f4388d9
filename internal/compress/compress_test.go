package compress

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"holdfast/internal/http1"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// TestChunkings: however a body is cut into pieces, wherever it is compressed and whatever happens in between, the client
// has the same body.
func TestChunkings(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 2))
		b := newBench(t)
		coding := []string{"gzip", "br", "zstd", "gzip, br, zstd"}[random.IntN(4)]
		if random.IntN(4) == 0 {
			b.loop.max = 0 // no compressor of its own
			coding += ", gzip;q=0.5"
		}
		r := rule(t, Options{MinLength: 100, Level: 1 + random.IntN(MaxLevel)})
		x, c := b.begin(r, coding)
		size := random.IntN(1 << (random.IntN(19) + 1))
		body := words(seed, size)
		if random.IntN(5) == 0 {
			for i := range body {
				body[i] = byte(random.Uint32()) // which no compression makes smaller
			}
		}
		head := []byte(someHead)
		for rest := body; ; {
			n := min(len(rest), random.IntN(1<<(random.IntN(17)+1)))
			piece := bytes.Clone(rest[:n]) // whose bytes are not valid any longer than the call
			rest = rest[n:]
			last := len(rest) == 0
			if !x.Add(head, piece, random.IntN(10) == 0, last, nil) {
				t.Fatal("it has ended")
			}
			clear(piece)
			head = nil
			if last {
				break
			}
			switch random.IntN(4) {
			case 0:
				b.now = b.now.Add(1)
			case 1:
				b.pause()
			case 2:
				b.settle()
			}
			b.refuse = random.IntN(5) == 0
			for x.Full() {
				b.settle()
			}
		}
		b.settle()
		if !c.ended || !x.Done() || c.failed != nil {
			t.Fatalf("seed %d: ended %v, done %v, %v", seed, c.ended, x.Done(), c.failed)
		}
		if got := c.content(); got != string(body) {
			t.Fatalf("seed %d, %s, %d bytes: %d other bytes", seed, coding, size, len(got))
		}
		if length := c.field("Content-Length"); c.chunked != (length == "") || length != "" && length != fmt.Sprint(c.body.Len()) {
			t.Errorf("seed %d: chunked %v, Content-Length %q of %d", seed, c.chunked, length, c.body.Len())
		}
		x.Close()
		if n := b.loop.Held(); n != 0 {
			t.Fatalf("seed %d: %d compressors are held", seed, n)
		}
	}
}

// TestPause: what an app flushes goes to the client without more of it, and what comes at once is one piece.
func TestPause(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		b := newBench(t)
		x, c := b.begin(rule(t, Options{}), coding)
		x.Add([]byte(someHead), nil, false, false, nil)
		for i := range 10 {
			x.Add(nil, fmt.Appendf(nil, "line %d\n", i), false, false, nil)
		}
		if c.sends != 0 {
			t.Fatalf("%s: sent without a pause", coding)
		}
		b.pause()
		want := "line 0\nline 1\n"
		if got, _ := decode(coding, c.body.Bytes()); c.sends != 1 || !strings.HasPrefix(got, want) || len(got) != 70 {
			t.Errorf("%s: %d sends, %q", coding, c.sends, got)
		}
		x.Add(nil, []byte("more\n"), false, false, nil)
		b.pause()
		if got, _ := decode(coding, c.body.Bytes()); !strings.HasSuffix(got, "line 9\nmore\n") {
			t.Errorf("%s: after the second pause %q", coding, got)
		}
		b.pause()
		if c.sends != 2 {
			t.Errorf("%s: something was sent although nothing came", coding)
		}
		x.Add(nil, []byte("end"), false, true, nil)
		if got := c.content(); !strings.HasSuffix(got, "more\nend") || !c.chunked {
			t.Errorf("%s: %q", coding, got)
		}
	}
}

// TestHeadAlone: the head goes to the client if the app pauses behind it.
func TestHeadAlone(t *testing.T) {
	b := newBench(t)
	x, c := b.begin(rule(t, Options{}), "gzip")
	x.Add([]byte(someHead), nil, false, false, nil)
	b.pause()
	if !strings.HasSuffix(c.head, "\r\n\r\n") || c.field("Transfer-Encoding") != "chunked" {
		t.Errorf("head %q", c.head)
	}
	x.Add(nil, []byte("x"), false, true, nil)
	if got := c.content(); got != "x" {
		t.Errorf("%q", got)
	}
}

// TestWhole: a body that comes at once has a length; one that is short or random stays as it is.
func TestWhole(t *testing.T) {
	random := make([]byte, 2000)
	rand.NewChaCha8([32]byte{}).Read(random)
	for _, tt := range []struct {
		name, accept, body, coding string
		trailers                   string
	}{
		{"long", "gzip", strings.Repeat("x", 5000), "gzip", ""},
		{"a browser's", "gzip, deflate, br, zstd", strings.Repeat("x", 5000), "br", ""},
		{"short", "gzip", strings.Repeat("x", 255), "", ""},
		{"long enough", "gzip", strings.Repeat("x", 256), "gzip", ""},
		{"empty", "gzip", "", "", ""},
		{"random", "gzip", string(random), "", ""},
		{"random, but identity is refused", "gzip, identity;q=0", string(random), "gzip", ""},
		{"short, but identity is refused", "br, identity;q=0", "x", "br", ""},
		{"with trailers", "zstd", strings.Repeat("x", 5000), "zstd", "A: b\r\n"},
	} {
		b := newBench(t)
		x, c := b.begin(rule(t, Options{MinLength: 256}), tt.accept)
		x.Add([]byte(someHead), []byte(tt.body), false, true, []byte(tt.trailers))
		if got := c.field("Content-Encoding"); got != tt.coding || c.content() != tt.body || !c.ended {
			t.Errorf("%s: coding %q, %d bytes", tt.name, got, c.body.Len())
		}
		want := fmt.Sprint(c.body.Len())
		if tt.trailers != "" {
			want = ""
		}
		if got := c.field("Content-Length"); got != want || c.chunked != (want == "") {
			t.Errorf("%s: Content-Length %q of %d", tt.name, got, c.body.Len())
		}
	}
}

// TestScarce: without a compressor of its own a response is in gzip, or stays as it is.
func TestScarce(t *testing.T) {
	body := words(1, 300<<10)
	for accept, coding := range map[string]string{"br": "", "br, gzip;q=0.1": "gzip", "gzip": "gzip", "zstd": ""} {
		b := newBench(t)
		b.loop.max = 1
		b.loop.take(b.now)
		x, c := b.begin(rule(t, Options{}), accept)
		x.Add([]byte(someHead), body[:100<<10], false, false, nil)
		b.settle()
		if x.enc != nil {
			t.Errorf("%s: it keeps a compressor", accept)
		}
		x.Add(nil, body[100<<10:], false, true, nil)
		b.settle()
		if c.field("Content-Encoding") != coding || c.content() != string(body) {
			t.Errorf("%s: coding %q, %d bytes", accept, c.field("Content-Encoding"), c.body.Len())
		}
		if b.loop.Fallback.Load() != 1 || b.loop.Held() != 1 {
			t.Errorf("%s: %d fallbacks, %d held", accept, b.loop.Fallback.Load(), b.loop.Held())
		}
	}
}

// TestBudget: a loop compresses so much in one round, and workers the rest, one piece of a response at a time.
func TestBudget(t *testing.T) {
	b := newBench(t)
	r := rule(t, Options{})
	body := words(2, inlineSize/2+1)
	x, c := b.begin(r, "gzip")
	x.Add([]byte(someHead), body, false, true, nil)
	if !c.ended || len(b.jobs) != 0 {
		t.Fatal("the first was not compressed on the loop")
	}
	y, d := b.begin(r, "gzip")
	y.Add([]byte(someHead), body, false, true, nil)
	if d.ended || len(b.jobs) != 1 || y.Done() {
		t.Fatal("the second was not left to a worker")
	}
	b.settle()
	if !d.ended || d.sent != 1 || d.content() != string(body) || !y.Done() {
		t.Errorf("ended %v, %d calls of Sent", d.ended, d.sent)
	}
	b.now = b.now.Add(1)
	z, e := b.begin(r, "gzip")
	z.Add([]byte(someHead), bytes.Repeat(body, 3), false, false, nil)
	z.Add(nil, body, false, false, nil)
	if z.Full() {
		t.Error("full with half a piece")
	}
	z.Add(nil, body, false, false, nil)
	if !z.Full() || len(b.jobs) != 1 {
		t.Errorf("full %v, %d jobs", z.Full(), len(b.jobs))
	}
	z.Add(nil, nil, false, true, nil)
	b.settle()
	if e.content() != string(bytes.Repeat(body, 5)) {
		t.Error("another body")
	}
}

// TestCloseDuringWork: the worker's result goes nowhere, and nothing is kept.
func TestCloseDuringWork(t *testing.T) {
	b := newBench(t)
	x, c := b.begin(rule(t, Options{}), "br")
	x.Add([]byte(someHead), words(1, inlineSize+1), false, false, nil)
	x.Close()
	x.Close()
	if b.loop.Held() != 1 {
		t.Error("the worker's compressor is not counted")
	}
	b.settle()
	b.pause()
	if c.sends != 0 || c.sent != 0 || b.loop.Held() != 0 {
		t.Errorf("%d sends, %d held", c.sends, b.loop.Held())
	}
}

// TestEndDuringSend: a client that is gone ends the response, from a worker's result and from a pause, too.
func TestEndDuringSend(t *testing.T) {
	for _, how := range []string{"loop", "worker", "pause"} {
		b := newBench(t)
		x, c := b.begin(rule(t, Options{}), "zstd")
		c.ends = true
		ok := true
		switch how {
		case "loop":
			ok = !x.Add([]byte(someHead), words(1, inlineSize), false, false, nil)
		case "worker":
			x.Add([]byte(someHead), words(1, inlineSize+1), false, false, nil)
			x.Add(nil, words(1, inlineSize+1), false, true, nil)
			b.settle()
		case "pause":
			x.Add([]byte(someHead), words(1, 10), false, false, nil)
			b.pause()
		}
		if x.Close(); !ok || c.sends != 1 || c.sent != 0 || b.loop.Held() != 0 {
			t.Errorf("%s: %d sends, %d calls of Sent, %d held", how, c.sends, c.sent, b.loop.Held())
		}
	}
}

// TestWorkerPanics: the response fails; a broken compressor is not used again.
func TestWorkerPanics(t *testing.T) {
	b := newBench(t)
	x, c := b.begin(rule(t, Options{}), "gzip")
	x.enc = newEncoder(http1.Gzip, defaultLevel)
	x.enc.stream = nil
	x.Add([]byte(someHead), words(1, inlineSize+1), false, false, nil)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		b.jobs[0]()
	}()
	b.jobs = nil
	b.settle()
	if c.failed != errPanic || c.sends != 0 {
		t.Errorf("%v, %d sends", c.failed, c.sends)
	}
	x.Close()
	if b.loop.Held() != 0 {
		t.Error("a compressor is held")
	}
}

// TestAgain: a response of which nothing was sent makes place for another one to the same request.
func TestAgain(t *testing.T) {
	b := newBench(t)
	x, c := b.begin(rule(t, Options{}), "gzip")
	x.Add([]byte(someHead), []byte("lost"), false, false, nil)
	y := x.Again()
	b.pause()
	if c.sends != 0 || y.IsOn() || !y.Done() || !y.Head(answer(t, 200, "Content-Type: text/html\r\n")) {
		t.Errorf("%d sends", c.sends)
	}
	if (*Response)(nil).Again() != nil {
		t.Error("something of nothing")
	}
}
