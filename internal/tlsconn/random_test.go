package tlsconn

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/tlsrecord"
	"holdfast/internal/wiretest"
)

// peer is a client of TLS 1.3 that sends whatever records it likes.
type peer struct {
	net.Conn
	in tlsrecord.Session // of what the server sends

	secret []byte // of what it sends, as aead, iv and seq
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// oneRecord reads no further than to the end of a record.
type oneRecord struct {
	net.Conn
	left int
	head []byte
}

func (c *oneRecord) Read(p []byte) (int, error) {
	if c.left == 0 {
		n, err := c.Conn.Read(p[:min(len(p), tlsrecord.HeaderLen-len(c.head))])
		if c.head = append(c.head, p[:n]...); len(c.head) == tlsrecord.HeaderLen {
			c.left, c.head = int(c.head[3])<<8|int(c.head[4]), nil
		}
		return n, err
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// dialPeer makes the handshake with crypto/tls, and leaves that.
func (s *testServer) dialPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{Conn: s.dialPlain(t)}
	var log bytes.Buffer
	c := clientConfig(tls.VersionTLS13)
	c.KeyLogWriter = &log
	client := tls.Client(&oneRecord{Conn: p.Conn}, c)
	if err := client.Handshake(); err != nil {
		t.Fatalf("handshake: %v\n%s", err, s.log)
	}
	x := tlsrecord.Secrets{Suite: client.ConnectionState().CipherSuite}
	for line := range strings.Lines(log.String()) {
		f := strings.Fields(line)
		b, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		switch f[0] {
		case "CLIENT_TRAFFIC_SECRET_0":
			x.Client = b
		case "SERVER_TRAFFIC_SECRET_0":
			x.Server = b
		}
	}
	if x.Suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("suite %#x", x.Suite)
	}
	if err := p.in.Init(&x, true); err != nil {
		t.Fatal(err)
	}
	p.rekey(x.Client)
	return p
}

func (p *peer) rekey(secret []byte) {
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err == nil {
		p.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic(err)
	}
	p.secret, p.iv, p.seq = secret, expand(secret, "iv", 12), 0
}

func expand(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	b, err := hkdf.Expand(sha256.New, secret, string([]byte{0, byte(n), byte(len(label))})+label+"\x00", n)
	if err != nil {
		panic(err)
	}
	return b
}

// seal appends a record with a content, its type and padding to b.
func (p *peer) seal(b []byte, kind byte, content string, padding int) []byte {
	n := len(content) + 1 + padding + 16
	header := []byte{23, 3, 3, byte(n >> 8), byte(n)}
	nonce := bytes.Clone(p.iv)
	for i := range 8 {
		nonce[11-i] ^= byte(p.seq >> (8 * i))
	}
	p.seq++
	return append(append(b, header...), p.aead.Seal(nil, nonce, []byte(content+string(kind)+strings.Repeat("\x00", padding)), header)...)
}

const (
	typeAlert = 21
	typeData  = 23
)

// keyUpdate appends one to b, and changes the key.
func (p *peer) keyUpdate(b []byte, request bool) []byte {
	message := "\x18\x00\x00\x01\x00"
	if request {
		message = "\x18\x00\x00\x01\x01"
	}
	b = p.seal(b, typeHandshake, message, 0)
	p.rekey(expand(p.secret, "traffic upd", 32))
	return b
}

// record returns the data of the next record of the server.
func (p *peer) record() ([]byte, error) {
	head := make([]byte, tlsrecord.HeaderLen)
	if _, err := io.ReadFull(p, head); err != nil {
		return nil, err
	}
	n, err := tlsrecord.RecordLen(head)
	if err != nil {
		return nil, err
	}
	b := append(head, make([]byte, n-len(head))...)
	if _, err := io.ReadFull(p, b[len(head):]); err != nil {
		return nil, err
	}
	data, err := p.in.Open(nil, b)
	if p.in.Rest(); err == io.EOF {
		return nil, errNotified
	}
	return data, err
}

var errNotified = errors.New("close_notify")

// mixed is a handler that echoes what it reads in pieces of any size, with a look at it before, on its loop and on workers.
type mixed struct {
	r    *rand.Rand
	rest []byte
	end  error
}

// Ready implements park.Handler.
func (x *mixed) Ready(c *park.Conn, ev park.Event) {
	for {
		if x.r.IntN(20) == 0 {
			x.lend(c)
			return
		}
		if !x.write(c.Write) {
			return
		}
		if x.end != nil {
			x.close(c)
			return
		}
		if x.r.IntN(3) == 0 {
			var b [3]byte
			switch n, err := c.Peek(b[:]); {
			case err == park.ErrAgain:
				return
			case err == nil:
				x.rest = nil
				got := make([]byte, n)
				if m, err := c.Read(got[:1]); m != 1 || err != nil || got[0] != b[0] {
					panic("a look at what is read shows something else")
				}
				x.rest = append(x.rest, got[0])
				continue
			}
		}
		room, err := x.read(c.Read)
		if err == park.ErrAgain {
			return
		}
		if err == nil && len(x.rest) < room && x.r.IntN(2) == 0 { // all was read, and whatever follows has an event
			x.write(c.Write)
			return
		}
	}
}

// write writes the rest, and reports whether it could.
func (x *mixed) write(write func([]byte) (int, error)) bool {
	n, err := write(x.rest)
	x.rest = x.rest[n:]
	if err != nil && err != park.ErrAgain {
		x.rest, x.end = nil, err
	}
	return err != park.ErrAgain
}

// read reads up to room bytes.
func (x *mixed) read(read func([]byte) (int, error)) (room int, err error) {
	b := make([]byte, 1+x.r.IntN(1<<x.r.IntN(17)))
	n, err := read(b)
	x.rest = b[:n]
	if err != park.ErrAgain {
		x.end = err
	}
	return len(b), err
}

func (x *mixed) close(c *park.Conn) {
	if x.end == io.EOF {
		c.Close()
	} else {
		c.Abort()
	}
}

// lend has a worker write the rest, read once and write that.
func (x *mixed) lend(c *park.Conn) {
	s := park.NewStream(c, nil)
	reads := x.end == nil && x.r.IntN(2) == 0
	if !c.Loop().Poller().Go(func() {
		x.write(s.Write)
		if reads && x.end == nil {
			_, _ = x.read(s.Read)
			if x.r.IntN(2) == 0 {
				x.write(s.Write)
			}
		}
		s.Release(func(c *park.Conn, rest []byte) {
			c.Hold(x)
			x.Ready(c, park.Readable|park.Writable)
		})
	}) {
		panic("no worker")
	}
}

// TestRandomTraffic: data comes back whatever surrounds it, however it is divided, and whoever reads and writes it.
func TestRandomTraffic(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := start(t, Options{}, func(*park.Loop) park.Handler { return &mixed{r: rand.New(rand.NewPCG(seed, rand.Uint64()))} })
	r := rand.New(rand.NewPCG(seed, 0))
	for range 10 {
		p := s.dialPeer(t)
		var sent strings.Builder
		var b []byte
		useless := 0
		for range r.IntN(200) {
			switch k := r.IntN(10); {
			case k < 6 || useless == 16:
				text := strings.Repeat(string(rune('a'+sent.Len()%26)), 1+r.IntN(1<<r.IntN(15)))
				b = p.seal(b, typeData, text, r.IntN(min(100, 1<<14-len(text)+1)))
				sent.WriteString(text)
				useless = 0
				continue
			case k == 6:
				b = p.seal(b, typeData, "", r.IntN(1<<14))
			case k == 7:
				b = p.seal(b, typeAlert, "\x01\x5a", 0) // user_canceled
			default:
				b = p.keyUpdate(b, k == 9)
			}
			useless++
		}
		b = p.seal(b, typeAlert, "\x01\x00", 0)
		got := make(chan string, 1)
		go func() {
			var back strings.Builder
			for {
				data, err := p.record()
				if back.Write(data); err != nil {
					if err != errNotified {
						back.WriteString(err.Error())
					}
					got <- back.String()
					return
				}
			}
		}()
		for len(b) > 0 {
			n := min(len(b), 1+r.IntN(1<<r.IntN(18)))
			if _, err := p.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
			if b = b[n:]; r.IntN(8) == 0 {
				time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond) // sometimes the server has read all before the next
			}
		}
		if back := <-got; back != sent.String() {
			t.Fatalf("seed %d: %d bytes are sent, %d come back, which end with %q", seed, sent.Len(), len(back), back[max(0, len(back)-60):])
		}
		p.Close()
	}
	wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
	if f := s.Stats().Failures; f["unexpected_message"]+f["bad_record_mac"] > 0 {
		t.Errorf("counted %v", f)
	}
}
