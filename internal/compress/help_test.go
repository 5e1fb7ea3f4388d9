package compress

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	brotli "github.com/molecule-man/go-brrr"

	"holdfast/internal/http1"
)

// bench is a loop whose time, posted functions and workers the test moves.
type bench struct {
	t      testing.TB
	loop   *Loop
	now    time.Time
	posted []func()
	jobs   []func()
	refuse bool // there is no worker
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, now: time.Unix(1_700_000_000, 0)}
	b.loop = &Loop{
		Pool: &Pool{max: 64, log: slog.New(slog.DiscardHandler)},
		now:  func() time.Time { return b.now },
		post: func(f func()) bool { b.posted = append(b.posted, f); return true },
		work: func(f func()) bool {
			if b.refuse {
				return false
			}
			b.jobs = append(b.jobs, f)
			return true
		},
	}
	// Its flush is called by pause, not by time.
	b.loop.timer = time.NewTimer(time.Hour)
	b.loop.timer.Stop()
	return b
}

// settle runs all jobs and what they have posted.
func (b *bench) settle() {
	for len(b.jobs)+len(b.posted) > 0 {
		jobs, posted := b.jobs, b.posted
		b.jobs, b.posted = nil, nil
		for _, f := range jobs {
			f()
		}
		for _, f := range posted {
			f()
		}
	}
}

// pause lets the time go by after which what is gathered is sent.
func (b *bench) pause() {
	b.now = b.now.Add(pauseTime)
	b.loop.timer.Stop()
	b.loop.flush()
}

// reader is a client that keeps what it gets.
type reader struct {
	b       *bench
	head    string
	body    bytes.Buffer
	chunked bool
	ended   bool
	ends    bool // Send ends the response
	failed  error
	sends   int
	sent    int // calls of Sent
}

func (c *reader) Run(step func()) { step() }

func (c *reader) Send(head, data []byte, chunked, last bool, trailers []byte) bool {
	if c.ended {
		c.b.t.Error("bytes behind the end")
	}
	c.head += string(head)
	c.sends++
	c.body.Write(data)
	for i := range data[len(data):min(cap(data), len(data)+2)] { // as the end of a chunk is written there
		data[:len(data)+i+1][len(data)+i] = '\n'
	}
	c.chunked, c.ended = chunked, last
	return !c.ends
}

func (c *reader) Fail(err error) { c.failed = err }

func (c *reader) Sent() { c.sent++ }

// field returns the value of a field of the head.
func (c *reader) field(name string) string {
	for line := range strings.SplitSeq(c.head, "\r\n") {
		if n, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}

// content returns the body without its coding.
func (c *reader) content() string {
	c.b.t.Helper()
	text, err := decode(c.field("Content-Encoding"), c.body.Bytes())
	if err != nil {
		c.b.t.Errorf("%s: %v", c.field("Content-Encoding"), err)
	}
	return text
}

func decode(coding string, b []byte) (string, error) {
	var r io.Reader = bytes.NewReader(b)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1)); err == nil {
			defer d.Close()
			r = d
		}
	}
	if err != nil {
		return "", err
	}
	all, err := io.ReadAll(r)
	return string(all), err
}

// request returns the head of a request with a field Accept-Encoding.
func request(t testing.TB, method, accept string, fields ...string) *http1.Head {
	t.Helper()
	raw := []byte(method + " / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: " + accept + "\r\n" + strings.Join(fields, "") + "\r\n")
	h := new(http1.Head)
	if r := h.Parse(raw, http1.Limits{Bytes: len(raw), Fields: 100}); r != nil {
		t.Fatal(r)
	}
	return h
}

func answer(t testing.TB, status int, fields ...string) *http1.Answer {
	t.Helper()
	a := new(http1.Answer)
	if err := a.Parse([]byte(fmt.Sprintf("HTTP/1.1 %d X\r\n%s\r\n", status, strings.Join(fields, "")))); err != nil {
		t.Fatal(err)
	}
	return a
}

func rule(t testing.TB, o Options) *Rule {
	t.Helper()
	r, err := NewRule(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// begin begins a response of text that a client accepts in a coding.
func (b *bench) begin(r *Rule, accept string) (*Response, *reader) {
	b.t.Helper()
	c := &reader{b: b}
	x := r.Begin(b.loop, request(b.t, "GET", accept), c)
	if !x.Head(answer(b.t, 200, "Content-Type: text/html\r\n")) {
		b.t.Fatal("the body is not compressed")
	}
	return x, c
}

const someHead = "HTTP/1.1 200 OK\r\nX: y\r\n\r\n"

// words returns n bytes of text that can be compressed, other ones for each seed.
func words(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = fmt.Appendf(b, "word%d ", random.IntN(300))
	}
	return b[:n]
}
