package sendbuf

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// TestBuffer adds and takes pieces of sizes around those of the pools, and compares what is left with a plain slice.
func TestBuffer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []int // added, or if negative taken; each third is shared
	}{
		{"a byte", []int{1, -1}},
		{"the first piece full", []int{firstPiece, -firstPiece, 5, -5}},
		{"a byte into the second piece", []int{firstPiece + 1, -firstPiece, -1}},
		{"taken within pieces", []int{100_000, -1, -firstPiece, -nextPiece, 7, -40_000, 200_000, -100}},
		{"taken at the ends of pieces", []int{firstPiece + nextPiece, 3, -firstPiece, -nextPiece, -3}},
		{"taken within shared bytes", []int{10, 10, 5000, -30, -4000, 7, 8, -900, -100, 5000}},
		{"a shared piece after a full one", []int{1, firstPiece - 1, 70_000, 9, -firstPiece - 1, -70_000, -8}},
		{"empty between", []int{9000, -9000, 9000, -8999, 50_000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, want, next := new(Buffer), []byte(nil), byte(0)
			var shared []bool // of each byte of want
			for i, n := range tt.steps {
				if n < 0 {
					p.took(-n)
					want, shared = want[-n:], shared[-n:]
				} else {
					b := make([]byte, n)
					for j := range b {
						b[j], next = next, next*5+3
					}
					want = append(want, b...)
					shared = append(shared, slices.Repeat([]bool{i%3 == 2}, n)...)
					if i%3 == 2 {
						p.share(b)
					} else {
						p.add(b)
						clear(b) // what was added is a copy
					}
				}
				var got []byte
				for x := p.first; x != nil; x = x.next {
					got = append(got, x.b...)
				}
				copied := 0
				for _, is := range shared {
					if !is {
						copied++
					}
				}
				if p.Copied() != copied {
					t.Errorf("step %d: %d bytes copied, want %d", i, p.Copied(), copied)
				}
				if got = got[p.off:]; !bytes.Equal(got, want) || p.Len() != len(want) {
					t.Fatalf("step %d: %d bytes, Len %d; want %d, or they differ", i, len(got), p.Len(), len(want))
				}
			}
			Drop(&p)
			if p.Len() != 0 {
				t.Errorf("%d bytes after Drop", p.Len())
			}
		})
	}
}

// sender sends what it has to whoever connects, and then whenever there is room.
type sender struct {
	pieces [][]byte
	out    *Buffer
	began  bool
	waited bool // the kernel would not take all at once
}

func (s *sender) Ready(c *park.Conn, ev park.Event) {
	if !s.began {
		s.began = true
		for i, p := range s.pieces {
			send := Send
			if i%2 == 1 {
				send = SendShared
			}
			if send(c, &s.out, p[:len(p)/2], p[len(p)/2:]) != nil {
				c.Abort()
				return
			}
		}
		s.waited = s.out != nil
	}
	if err := Flush(c, &s.out); err == nil {
		c.Close()
	} else if err != park.ErrAgain {
		c.Abort()
	}
}

// TestSendKeepsOrder: a peer that begins to read late gets every byte once and in order.
func TestSendKeepsOrder(t *testing.T) {
	p, err := park.New(park.Options{Loops: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{}
	var want []byte
	for i := range 40 {
		b := bytes.Repeat([]byte{byte(i), byte(i >> 1), 7}, 200_000)
		s.pieces, want = append(s.pieces, b), append(want, b...)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := p.Listen(ln, func(*park.Loop) park.Handler { return s }); err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() {
		defer close(donec)
		p.Serve()
	}()
	c := wiretest.Dial(t, addr)
	got, err := io.ReadAll(c.Conn)
	c.Close()
	p.Shutdown()
	<-donec
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("received %d bytes of %d, or others: %v", len(got), len(want), err)
	}
	if !s.waited {
		t.Error("the kernel took all at once; nothing was tested")
	}
}
