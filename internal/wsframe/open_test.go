package wsframe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gobwas/ws"
)

// masked returns a frame as a client sends it.
func masked(fin bool, op ws.OpCode, payload []byte) []byte {
	var b bytes.Buffer
	f := ws.NewFrame(op, fin, bytes.Clone(payload))
	if err := ws.WriteFrame(&b, ws.MaskFrame(f)); err != nil {
		panic(err) // a buffer takes all
	}
	return b.Bytes()
}

// TestUnfinishedFramesMove has another parser continue after each piece of a client's frames.
func TestUnfinishedFramesMove(t *testing.T) {
	frames := bytes.Join([][]byte{
		masked(true, ws.OpText, []byte("one")), masked(false, ws.OpText, []byte("tw\xe2")), masked(true, ws.OpPing, []byte("p")),
		masked(false, ws.OpContinuation, nil), masked(true, ws.OpContinuation, []byte("\x82\xaco")), masked(false, ws.OpBinary, nil),
		masked(true, ws.OpContinuation, []byte{1, 2}), masked(true, ws.OpText, bytes.Repeat([]byte("x"), 300)),
	}, nil)
	for _, whole := range []bool{true, false} {
		want := ""
		for seed := range uint64(50) {
			random := rand.New(rand.NewPCG(seed, 1))
			f, got := &Parser{Whole: whole}, ""
			for rest := frames; len(rest) > 0; {
				n := 1 + random.IntN(len(rest))
				if seed > 0 {
					n = min(n, 1+random.IntN(20))
				}
				p := f.Join(bytes.Clone(rest[:n]))
				rest = rest[n:]
				for {
					fr, used, e := f.Next(p, 1000)
					if e != nil {
						t.Fatal(e)
					}
					if used == 0 {
						break
					}
					if got += fmt.Sprintf("%v %v ", fr.Op, fr.Message); fr.Message != 0 || fr.Op == ws.OpPing {
						got += fmt.Sprintf("%q ", fr.Payload)
					}
					p = p[used:]
				}
				f.Keep(p)
				unread, open := f.Record()
				next := &Parser{Whole: whole}
				if !next.Restore(bytes.Clone(unread), open) {
					t.Fatalf("%+v is not taken", open)
				}
				f = next
			}
			if want == "" {
				want = got
			}
			if got != want || !f.Empty() {
				t.Fatalf("seed %d: %s; want %s", seed, got, want)
			}
		}
	}
	f := Parser{Whole: false}
	if _, used, e := f.Next(masked(false, ws.OpText, []byte("begun")), 100); used == 0 || e != nil {
		t.Fatal(e)
	}
	unread, open := f.Record()
	if next := (&Parser{Whole: true}); open == nil || next.Restore(unread, open) {
		t.Error("a message is to be returned whole whose beginning was not kept")
	}
}
