package park_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

const (
	worldPeers    = 32   // peers at once
	worldSessions = 3000 // connections over the test
	worldKeep     = 64   // references to connections, most of them closed, that are still posted to
)

// world is a poller under load: every connection has a key, and every byte on the wire follows from the
// key, the direction and the offset, so one that arrives anywhere else is noticed.
type world struct {
	t      *testing.T
	seed   uint64
	p      *park.Poller
	addr   string // where the poller listens
	upAddr string // where connections that the poller dials arrive

	streams, holds, cuts, aborts, whole, foreign, expired atomic.Int64

	mu       sync.Mutex // guards what follows
	sessions map[uint64]*session
	slots    map[*park.Conn]int
	refs     []keyedRef
}

type keyedRef struct {
	ref  park.Ref
	loop *park.Loop
	key  uint64
}

// TestNoByteAndNoEventReachesAnotherConnection opens, closes, resets, holds and streams thousands of
// connections at random, so that descriptors are reused all the time. Each handler checks that it is
// told only of its own connection, only while it has it, and nothing that is untrue of it.
func TestNoByteAndNoEventReachesAnotherConnection(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PARK_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("PARK_SEED=%d", seed)
	w := &world{t: t, seed: seed, sessions: map[uint64]*session{}, slots: map[*park.Conn]int{}}
	w.p = start(t, park.Options{Loops: 3, Workers: 6, Queue: 4})
	w.addr = listen(t, w.p, func(*park.Loop) park.Handler { return &fresh{w: w} })
	w.upAddr = wiretest.NewUpstream(t, w.arrive).Addr

	trimc := make(chan struct{})
	var trimmer sync.WaitGroup
	trimmer.Go(func() {
		for {
			select {
			case <-trimc:
				return
			default:
				w.p.Trim()
				time.Sleep(time.Millisecond)
			}
		}
	})
	defer trimmer.Wait()
	defer close(trimc)

	var next atomic.Int64
	var wg sync.WaitGroup
	for range worldPeers {
		wg.Go(func() {
			for n := next.Add(1); n <= worldSessions && !t.Failed(); n = next.Add(1) {
				w.live(uint64(n))
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	wiretest.Eventually(t, "every connection is closed", func() bool { return w.p.Stats().Clients == 0 })
	if s := w.p.Stats(); s.Panics != 0 || s.AcceptErrors != 0 {
		t.Errorf("panics and failed accepts: %+v", s)
	}
	w.mu.Lock()
	slots := len(w.slots)
	w.mu.Unlock()
	t.Logf("%d slots for %d connections; %d whole, %d closed and %d reset by us; %d holds, %d streams, %d deadlines, %d stale posts",
		slots, worldSessions, w.whole.Load(), w.cuts.Load(), w.aborts.Load(), w.holds.Load(), w.streams.Load(), w.expired.Load(), w.foreign.Load())
	if slots > worldSessions/4 {
		t.Errorf("%d slots were used for %d connections: hardly any was reused", slots, worldSessions)
	}
	for what, n := range map[string]*atomic.Int64{
		"whole": &w.whole, "cut": &w.cuts, "aborted": &w.aborts, "held": &w.holds, "streamed": &w.streams, "expired": &w.expired,
	} {
		if n.Load() == 0 {
			t.Errorf("no connection was %s", what)
		}
	}
}

// failf may be called from any goroutine.
func (w *world) failf(format string, args ...any) {
	w.t.Errorf("PARK_SEED=%d: "+format, append([]any{w.seed}, args...)...)
}

// session is one connection: the parked side's state is handed from handler to handler and to workers.
type session struct {
	w     *world
	key   uint64
	rng   *rand.Rand    // of the parked side
	cut   atomic.Bool   // the parked side means to end early
	donec chan struct{} // closed when a dialled session's peer has ended

	ref      park.Ref
	got      int // bytes that came; as many are sent back
	sent     int
	eof      bool
	deadline bool // Expired may come
}

// Directions, mixed into the key.
const (
	toPark = 0x9e3779b97f4a7c15
	toPeer = 0xc2b2ae3d27d4eb4f
)

// byteAt is what stands at an offset of one direction of a connection.
func byteAt(key, direction uint64, offset int) byte {
	x := key*0xff51afd7ed558ccd ^ direction ^ uint64(offset)*0xd6e8feb86659fd93
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return byte(x >> 53)
}

func fill(p []byte, key, direction uint64, offset int) []byte {
	for i := range p {
		p[i] = byteAt(key, direction, offset+i)
	}
	return p
}

// wrong returns the index of the first byte that does not belong, or -1.
func wrong(p []byte, key, direction uint64, offset int) int {
	for i, b := range p {
		if b != byteAt(key, direction, offset+i) {
			return i
		}
	}
	return -1
}

// live is one connection's life, seen from the peer.
func (w *world) live(n uint64) {
	rng := rand.New(rand.NewPCG(w.seed, n))
	s := &session{w: w, key: rng.Uint64(), rng: rand.New(rand.NewPCG(w.seed^n, 1)), donec: make(chan struct{})}
	w.mu.Lock()
	w.sessions[s.key] = s
	w.mu.Unlock()
	if rng.IntN(4) == 0 {
		l := w.p.Loops()[rng.IntN(len(w.p.Loops()))]
		l.Post(func() {
			if _, err := l.Dial("tcp", w.upAddr, &dialling{s: s}); err != nil {
				w.failf("dial: %v", err)
				close(s.donec)
			}
		})
		select {
		case <-s.donec:
		case <-time.After(3 * wiretest.Timeout):
			w.failf("a connection that the poller dialled never arrived")
		}
		return
	}
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.failf("peer: %v", err)
		return
	}
	defer c.Close()
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], s.key)
	cut := rng.IntN(9)
	c.Write(head[:cut])
	if _, err := c.Write(head[cut:]); err != nil {
		w.failf("peer: %v", err)
		return
	}
	w.peer(c, s, rng)
}

// arrive is the peer of a connection that the poller dialled.
func (w *world) arrive(r *wiretest.Recorded) {
	var head [8]byte
	if _, err := io.ReadFull(r.Conn, head[:]); err != nil {
		w.failf("dialled connection: %v", err)
		return
	}
	key := binary.BigEndian.Uint64(head[:])
	w.mu.Lock()
	s := w.sessions[key]
	w.mu.Unlock()
	if s == nil {
		w.failf("a dialled connection begins with %x, no connection's key", head)
		return
	}
	defer close(s.donec)
	w.peer(r.Conn, s, rand.New(rand.NewPCG(w.seed, key)))
}

// peer writes and reads in turns, then ends the connection in one of three ways.
func (w *world) peer(c net.Conn, s *session, rng *rand.Rand) {
	c.SetDeadline(time.Now().Add(2 * wiretest.Timeout))
	total := 1 + rng.IntN(3000)
	if rng.IntN(40) == 0 {
		total = 1 + rng.IntN(1<<20) // more than the buffers between us hold
	}
	written, read := 0, 0
	buf := make([]byte, 16<<10)
	take := func(n int) error {
		n, err := c.Read(buf[:n])
		if i := wrong(buf[:n], s.key, toPeer, read); i >= 0 {
			w.failf("peer of %x: byte %d is another's: %x", s.key, read+i, buf[i])
		}
		read += n
		return err
	}
	ended := func(what string, err error) {
		if !s.cut.Load() {
			w.failf("peer of %x: %s after %d of %d bytes written, %d read: %v", s.key, what, written, total, read, err)
		}
	}
	for written < total {
		n, err := c.Write(fill(buf[:min(total-written, 1+rng.IntN(len(buf)))], s.key, toPark, written))
		written += n
		if err != nil {
			ended("write", err)
			return
		}
		for read < written && rng.IntN(3) > 0 {
			if err := take(min(written-read, 1+rng.IntN(len(buf)))); err != nil {
				ended("read", err)
				return
			}
		}
	}
	if rng.IntN(20) == 0 { // wait for deadlines
		time.Sleep(400 * time.Millisecond)
	}
	switch rng.IntN(4) {
	case 0:
		c.Close()
		return
	case 1:
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		return
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		ended("half close", err)
		return
	}
	for {
		err := take(len(buf))
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) || read != total {
			ended("the end", err)
			return
		}
		w.whole.Add(1)
		return
	}
}

// fresh is the handler of an accepted connection whose key has not come yet.
type fresh struct {
	w    *world
	head []byte
}

func (f *fresh) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		f.w.failf("a new connection has a deadline")
	}
	for len(f.head) < 8 {
		buf := make([]byte, 8-len(f.head))
		n, err := c.Read(buf)
		f.head = append(f.head, buf[:n]...)
		switch {
		case errors.Is(err, park.ErrAgain):
			if ev&park.HangUp != 0 && alive(c) {
				f.w.failf("a new connection was told of a hang-up that is not its own")
			}
			return
		case err != nil:
			f.w.failf("a new connection ended after %x: %v", f.head, err)
			c.Close()
			return
		}
	}
	key := binary.BigEndian.Uint64(f.head)
	f.w.mu.Lock()
	s := f.w.sessions[key]
	f.w.mu.Unlock()
	if s == nil || s.ref != (park.Ref{}) {
		f.w.failf("a new connection begins with %x, not a new key", f.head)
		c.Abort()
		return
	}
	s.begin(c)
}

// alive reports whether c, from which nothing could be read, can still be written to.
func alive(c *park.Conn) bool {
	_, err := c.Write(nil)
	return err == nil
}

// dialling is the handler of a connection that the poller makes.
type dialling struct{ s *session }

func (d *dialling) Ready(c *park.Conn, ev park.Event) {
	switch err := c.DialError(); {
	case errors.Is(err, park.ErrAgain):
		return
	case err != nil:
		d.s.w.failf("dial: %v", err)
		c.Close()
		return
	}
	if n, err := c.Write(binary.BigEndian.AppendUint64(nil, d.s.key)); n != 8 || err != nil {
		d.s.w.failf("first write: %d, %v", n, err)
		c.Close()
		return
	}
	d.s.begin(c)
}

// begin makes c the connection of s and keeps a reference for later.
func (s *session) begin(c *park.Conn) {
	s.ref = c.Ref()
	w := s.w
	w.mu.Lock()
	w.slots[c]++
	if r := (keyedRef{s.ref, c.Loop(), s.key}); len(w.refs) < worldKeep {
		w.refs = append(w.refs, r)
	} else {
		w.refs[s.rng.IntN(worldKeep)] = r
	}
	w.mu.Unlock()
	h := &held{s: s}
	c.Hold(h)
	h.work(c, 0)
}

// held is a handler that has a connection until it hands it on.
type held struct {
	s    *session
	left bool
}

func (h *held) Ready(c *park.Conn, ev park.Event) {
	s := h.s
	if h.left {
		s.w.failf("%x: event %b for a handler that has handed the connection on", s.key, ev)
		return
	}
	if c.Ref() != s.ref {
		s.w.failf("%x: event %b for another connection", s.key, ev)
		return
	}
	if ev&park.Expired != 0 {
		if !s.deadline {
			s.w.failf("%x: a deadline that was not set", s.key)
		}
		s.deadline = false
		s.w.expired.Add(1)
	}
	h.work(c, ev)
}

// work reads, writes, and now and then does something else.
func (h *held) work(c *park.Conn, ev park.Event) {
	s := h.s
	if s.rng.IntN(12) == 0 && h.toWorker(c) {
		return
	}
	for !s.eof {
		buf := c.Loop().In()[:1+s.rng.IntN(8<<10)]
		n, err := c.Read(buf)
		s.came(buf[:n])
		switch {
		case errors.Is(err, park.ErrAgain):
			if ev&park.HangUp != 0 && alive(c) {
				s.w.failf("%x: told of a hang-up that is not its own", s.key)
			}
		case errors.Is(err, io.EOF):
			s.eof = true
		case err != nil:
			c.Close()
			return
		case s.rng.IntN(10) == 0: // come back for the rest
			ref, loop := c.Ref(), c.Loop()
			loop.Later(func() {
				if c, ok := ref.Conn(); ok && c.Handler() == park.Handler(h) {
					h.work(c, 0)
				}
			})
			return
		default:
			continue
		}
		break
	}
	for s.sent < s.got {
		n, err := h.write(c, min(s.got-s.sent, 1+s.rng.IntN(16<<10)))
		s.sent += n
		if errors.Is(err, park.ErrAgain) {
			break
		}
		if err != nil {
			c.Close()
			return
		}
	}
	if s.eof && s.sent == s.got {
		c.Close()
		return
	}
	act := s.rng.IntN(60)
	if act < 2 && s.got == 0 { // the peer may not know the key yet
		return
	}
	switch act {
	case 0:
		s.end(c)
	case 1:
		s.cut.Store(true)
		s.w.aborts.Add(1)
		c.Abort()
	case 2, 3, 4, 5, 6, 7:
		h.left = true
		c.Hold(&held{s: s})
		s.w.holds.Add(1)
	case 8, 9, 10, 11, 12, 13:
		s.deadline = true
		c.SetDeadline(time.Duration(1 + s.rng.IntN(int(300*time.Millisecond))))
	case 14, 15, 16:
		s.deadline = false
		c.SetDeadline(0)
	case 17, 18, 19, 20, 21, 22:
		s.disturb(c.Loop())
	}
}

// end closes c before its time. One with bytes to send is reset: the peer may be waiting to write before
// it reads, and the portable build gives it ten seconds for that.
func (s *session) end(c *park.Conn) {
	s.cut.Store(true)
	if c.Unsent() > 0 {
		s.w.aborts.Add(1)
		c.Abort()
		return
	}
	s.w.cuts.Add(1)
	c.Close()
}

func (h *held) write(c *park.Conn, n int) (int, error) {
	s := h.s
	p := fill(c.Loop().Out()[:n], s.key, toPeer, s.sent)
	if s.rng.IntN(2) == 0 {
		return c.Write(p)
	}
	cut := s.rng.IntN(n + 1)
	return c.Writev(p[:cut], p[cut:])
}

// came checks bytes that arrived.
func (s *session) came(p []byte) {
	if i := wrong(p, s.key, toPark, s.got); i >= 0 {
		s.w.failf("%x: byte %d is another's: %x", s.key, s.got+i, p[i])
	}
	s.got += len(p)
}

// disturb posts to a connection that has most likely closed, and whose slot is another's by now.
// One that is open, and on this loop, may be closed at once: events of it may have been taken from the
// kernel already.
func (s *session) disturb(l *park.Loop) {
	w := s.w
	w.mu.Lock()
	r := w.refs[s.rng.IntN(len(w.refs))]
	w.mu.Unlock()
	if r.loop == l && s.rng.IntN(2) == 0 {
		if c, ok := r.ref.Conn(); ok {
			if h, ok := c.Handler().(*held); ok && h.s.got > 0 {
				h.s.end(c)
			}
			return
		}
	}
	r.ref.Post(r.loop, func(c *park.Conn) {
		if h, ok := c.Handler().(*held); ok && h.s.key != r.key {
			w.failf("a reference to %x leads to %x", r.key, h.s.key)
		}
	})
	w.foreign.Add(1)
}

// toWorker hands the connection, with some bytes of it, to a worker.
func (h *held) toWorker(c *park.Conn) bool {
	s := h.s
	if s.eof {
		return false
	}
	head := make([]byte, 1+s.rng.IntN(500))
	n, err := c.Read(head)
	if err != nil && !errors.Is(err, park.ErrAgain) {
		return false // the next read says it again
	}
	h.left = true
	s.deadline = false
	st := park.NewStream(c, head[:n])
	s.w.streams.Add(1)
	if !s.w.p.Go(func() { s.serve(st) }) {
		st.Release(s.back)
	}
	return true
}

// serve runs on a worker.
func (s *session) serve(st *park.Stream) {
	defer st.Release(s.back)
	buf := make([]byte, 1+s.rng.IntN(4<<10))
	for range s.rng.IntN(4) {
		st.SetReadDeadline(time.Now().Add(time.Duration(s.rng.IntN(int(20 * time.Millisecond)))))
		n, err := st.Read(buf)
		s.came(buf[:n])
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if n = min(s.got-s.sent, len(buf)); n == 0 {
			continue
		}
		st.SetWriteDeadline(time.Now().Add(time.Duration(s.rng.IntN(int(20 * time.Millisecond)))))
		n, err = st.Write(fill(buf[:n], s.key, toPeer, s.sent))
		s.sent += n
		if err != nil {
			return
		}
	}
	if s.rng.IntN(2) == 0 {
		st.SetReadDeadline(time.Time{})
		st.Idle()
		for {
			n, err := st.Read(buf)
			s.came(buf[:n])
			if err != nil {
				break
			}
		}
	}
	if s.rng.IntN(2) == 0 {
		st.Close()
	}
}

// back has the connection on its loop again.
func (s *session) back(c *park.Conn, rest []byte) {
	if c.Ref() != s.ref {
		s.w.failf("%x: released as another connection", s.key)
		return
	}
	s.came(rest)
	h := &held{s: s}
	c.Hold(h)
	h.work(c, 0)
}
