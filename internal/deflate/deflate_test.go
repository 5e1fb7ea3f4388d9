package deflate

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestGzipOfPieces checks that a gzip member made of compressed and stored pieces is read as their text.
func TestGzipOfPieces(t *testing.T) {
	first, second := []byte(strings.Repeat("compressed ", 100)), bytes.Repeat([]byte("s"), 70_000) // two blocks
	var sum Sum
	sum.Add(first)
	sum.Add(second)
	b := AppendStored(Append([]byte(GzipHead), first), second, true)
	r, err := gzip.NewReader(bytes.NewReader(sum.AppendTrailer(b)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if want := slices.Concat(first, second); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
	}
}

func TestInflate(t *testing.T) {
	text := strings.Repeat("x", 1000)
	p := bytes.TrimSuffix(Append(nil, []byte(text)), []byte(Flushed))
	for _, tt := range []struct {
		name string
		p    []byte
		max  int
		want string
		err  error
	}{
		{"whole", p, 1000, text, nil},
		{"one byte too many", p, 999, "", ErrTooBig},
		{"a block of an unknown type", []byte{0x07}, 1000, "", ErrFormat},
		{"only final blocks", []byte(strings.Repeat("\x03\x00", 1000)), 1000, "", ErrFormat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Inflate(tt.p, tt.max)
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%d bytes, %v; want %d, %v", len(got), err, len(tt.want), tt.err)
			}
		})
	}
}
