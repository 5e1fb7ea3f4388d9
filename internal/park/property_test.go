package park_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// at is byte i of the stream that key has in a direction: a byte of another connection, or one from
// another place, is another byte with near certainty.
func at(key uint64, direction byte, i int) byte {
	x := key ^ uint64(i)*0x9e3779b97f4a7c15 ^ uint64(direction)<<56
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return byte(x >> 57)
}

// world is a poller whose connections check what they are told.
type world struct {
	t      *testing.T
	seed   uint64
	random atomic.Uint64
	moves  [moves]atomic.Int64
	open   atomic.Int64
}

const (
	moveStay = iota
	moveHandOver
	moveWorker
	moveClose
	moveAbort
	moveDeadline
	moves
)

func (w *world) draw() uint64 { // shared by loops and workers
	x := w.random.Add(0x9e3779b97f4a7c15)
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	return x * 0x94d049bb133111eb >> 8
}

// first reads the eight bytes of a key.
type first struct {
	w    *world
	b    []byte
	dead bool
}

func (f *first) Ready(c *park.Conn, ev park.Event) {
	if f.dead {
		f.w.t.Error("an event for a handler whose connection is closed or another's")
		return
	}
	if ev&park.Readable == 0 {
		return
	}
	in := c.Loop().In()[:8-len(f.b)]
	n, err := c.Read(in)
	if err == park.ErrAgain {
		return
	}
	if err != nil {
		f.dead = true
		f.w.open.Add(-1)
		c.Close()
		return
	}
	if f.b = append(f.b, in[:n]...); len(f.b) < 8 {
		f.Ready(c, park.Readable)
		return
	}
	f.dead = true
	talk := &talk{w: f.w, key: binary.BigEndian.Uint64(f.b)}
	c.Hold(talk)
	talk.Ready(c, park.Readable)
}

// talk echoes: for every byte of the client's stream it sends one of the server's. From time to time it
// hands itself over to a new talk, goes to a worker and back, or ends.
type talk struct {
	w       *world
	key     uint64
	in, out int
	owed    int // bytes to send
	dead    bool
}

func (x *talk) end(c *park.Conn, reset bool) {
	x.dead = true
	x.w.open.Add(-1)
	if reset {
		c.Abort()
	} else {
		c.Close()
	}
}

// check compares what was read with what this connection's client sends.
func (x *talk) check(p []byte) {
	for i, b := range p {
		if b != at(x.key, 'c', x.in+i) {
			x.w.t.Errorf("seed %d: byte %d from key %x is another's", x.w.seed, x.in+i, x.key)
			return
		}
	}
	x.in += len(p)
	x.owed += len(p)
}

func (x *talk) reply(buf []byte) []byte {
	n := min(x.owed, len(buf))
	for i := range n {
		buf[i] = at(x.key, 's', x.out+i)
	}
	return buf[:n]
}

func (x *talk) Ready(c *park.Conn, ev park.Event) {
	if x.dead {
		x.w.t.Error("an event for a handler whose connection is closed or another's")
		return
	}
	if ev&park.Expired != 0 {
		x.end(c, true)
		return
	}
	for {
		for x.owed > 0 {
			p := x.reply(c.Loop().Out())
			n, err := c.Write(p)
			x.out, x.owed = x.out+n, x.owed-n
			if err == park.ErrAgain {
				return
			}
			if err != nil {
				x.end(c, true)
				return
			}
		}
		n, err := c.Read(c.Loop().In()[:1+x.w.draw()%3000])
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			x.end(c, false)
			return
		}
		x.check(c.Loop().In()[:n])
		r := x.w.draw() % 64
		switch {
		case r < 6:
			x.w.moves[moveHandOver].Add(1)
			next := &talk{w: x.w, key: x.key, in: x.in, out: x.out, owed: x.owed}
			x.dead = true
			c.Hold(next)
			next.Ready(c, park.Readable|park.Writable)
			return
		case r < 12:
			x.w.moves[moveWorker].Add(1)
			x.toWorker(c)
			return
		case r == 12:
			x.w.moves[moveClose].Add(1)
			x.end(c, false)
			return
		case r == 13:
			x.w.moves[moveAbort].Add(1)
			x.end(c, true)
			return
		case r == 14:
			x.w.moves[moveDeadline].Add(1)
			c.SetDeadline(time.Duration(1+x.w.draw()%200) * time.Millisecond)
		case r == 15:
			c.SetDeadline(0)
		default:
			x.w.moves[moveStay].Add(1)
		}
	}
}

// toWorker lets a worker answer and read a little, blocking, and takes the connection back.
func (x *talk) toWorker(c *park.Conn) {
	s := park.NewStream(c, nil)
	broken := false
	work := func() {
		buf := make([]byte, 2048)
		s.SetDeadline(time.Now().Add(time.Duration(1+x.w.draw()%20) * time.Millisecond))
		for x.owed > 0 {
			n, err := s.Write(x.reply(buf))
			x.out, x.owed = x.out+n, x.owed-n
			if err != nil {
				broken = !isTimeout(err)
				break
			}
		}
		if !broken && x.w.draw()%2 == 0 {
			n, err := s.Read(buf)
			x.check(buf[:n])
			broken = err != nil && !isTimeout(err)
		}
		s.Release(func(c *park.Conn, rest []byte) {
			if len(rest) > 0 {
				x.w.t.Error("bytes that nobody gave came back")
			}
			c.Hold(x)
			if broken {
				x.end(c, x.w.draw()%2 == 0)
				return
			}
			x.Ready(c, park.Readable|park.Writable)
		})
	}
	if !c.Loop().Poller().Go(work) {
		x.w.t.Error("no worker")
	}
}

func isTimeout(err error) bool {
	timeout := net.Error(nil)
	return errors.As(err, &timeout) && timeout.Timeout()
}

// TestNoByteReachesAnotherConnection opens, closes, reuses and hands over thousands of sockets at random.
func TestNoByteReachesAnotherConnection(t *testing.T) {
	const clients, lives = 24, 120
	w := &world{t: t, seed: rand.Uint64()}
	w.random.Store(w.seed)
	t.Logf("seed %d", w.seed)
	p, err := park.New(park.Options{Loops: 3, Workers: 8})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := p.Listen(ln, func(*park.Loop) park.Handler { w.open.Add(1); return &first{w: w} }); err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() { defer close(donec); p.Serve() }()
	var bytes, cut atomic.Int64
	var group sync.WaitGroup
	for n := range clients {
		r := rand.New(rand.NewPCG(w.seed, uint64(n)))
		group.Go(func() {
			for range lives {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(2 * wiretest.Timeout))
				got, whole := live(t, w.seed, r, c.(*net.TCPConn))
				bytes.Add(int64(got))
				if !whole {
					cut.Add(1)
				}
			}
		})
	}
	group.Wait()
	wiretest.Eventually(t, "all are closed", func() bool { return p.Stats().Clients == 0 && w.open.Load() == 0 })
	p.Shutdown()
	<-donec
	if n := p.Stats().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
	for move := range w.moves {
		if w.moves[move].Load() == 0 {
			t.Errorf("move %d was never made", move)
		}
	}
	t.Logf("%d sockets, %d of them ended by the server; %d bytes", clients*lives, cut.Load(), bytes.Load())
	if bytes.Load() == 0 {
		t.Error("nothing came back")
	}
}

// live is one connection: it sends its key and its stream in pieces, and reads what comes back.
func live(t *testing.T, seed uint64, r *rand.Rand, c *net.TCPConn) (got int, whole bool) {
	defer c.Close()
	key := r.Uint64()
	if _, err := c.Write(binary.BigEndian.AppendUint64(nil, key)); err != nil {
		return 0, false
	}
	sent := 0
	buf := make([]byte, 4096)
	read := func(n int) bool {
		for n > 0 {
			m, err := c.Read(buf[:min(n, len(buf))])
			for i, b := range buf[:m] {
				if b != at(key, 's', got+i) {
					t.Errorf("seed %d: byte %d for key %x is another's", seed, got+i, key)
					return false
				}
			}
			got += m
			n -= m
			if err != nil {
				return false
			}
		}
		return true
	}
	for range 1 + r.IntN(8) {
		p := make([]byte, 1+r.IntN(3000))
		for i := range p {
			p[i] = at(key, 'c', sent+i)
		}
		n, err := c.Write(p)
		sent += n
		if err != nil {
			return got, false
		}
		if r.IntN(3) > 0 && !read(r.IntN(sent-got+1)) {
			return got, false
		}
	}
	switch r.IntN(4) {
	case 0:
		c.SetLinger(0) // a reset, with bytes on the way
		return got, true
	case 1:
		return got, true // FIN, with bytes on the way
	case 2:
		c.CloseWrite()
		_, err := io.Copy(io.Discard, c)
		return got, err == nil
	}
	return got, read(sent - got)
}
