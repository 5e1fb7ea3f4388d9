package load

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestFrames(t *testing.T) {
	long := strings.Repeat("y", 300)
	stream := "\x81\x05hello" + // text
		"\x89\x02hi" + // ping
		"\x81\x00" + // empty text
		"\x82\x7e\x01\x2c" + long + // 300 bytes of binary
		"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x03abc" + // a length that could be shorter
		"\x88\x02\x03\xe8" // close 1000
	want := "1 hello|9 hi|1 |2 " + long + "|2 abc|8 \x03\xe8|"
	for _, size := range []int{1, 2, 3, 11, 1000} {
		var f Frames
		var got, payload bytes.Buffer
		for rest := []byte(stream); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			err := f.Feed(rest[:min(size, len(rest))], func(op byte, part []byte, end bool) {
				payload.Write(part)
				if end {
					fmt.Fprintf(&got, "%d %s|", op, payload.String())
					payload.Reset()
				}
			})
			if err != nil {
				t.Fatalf("%d bytes at a time: %v", size, err)
			}
		}
		if got.String() != want {
			t.Errorf("%d bytes at a time:\n%q\nwant\n%q", size, got.String(), want)
		}
	}
}

func TestFramesMasked(t *testing.T) {
	var f Frames
	err := f.Feed([]byte("\x81\x85abcdhello"), func(byte, []byte, bool) { t.Error("a piece of a masked frame") })
	if !errors.Is(err, ErrFrame) {
		t.Errorf("got %v", err)
	}
}

func TestClientFrames(t *testing.T) {
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{ClientFrame(opPong, []byte("hi")), "\x8a\x82\x00\x00\x00\x00hi"},
		{TextFrame([]byte("{}")), "\x81\x82\x00\x00\x00\x00{}"},
		{TextFrame(bytes.Repeat([]byte("x"), 200)), "\x81\xfe\x00\xc8\x00\x00\x00\x00" + strings.Repeat("x", 200)},
	} {
		if string(c.got) != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
