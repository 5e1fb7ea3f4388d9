package plainval

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"
)

// values is one of each.
type values struct {
	u    uint64
	u32  uint32
	i    int64
	is   bool
	s    string
	b    []byte
	list []string
	d    time.Duration
	t    time.Time
}

func (v *values) encode(e *Encoder) {
	e.Uint(v.u)
	e.Uint(uint64(v.u32))
	e.Int(v.i)
	e.Bool(v.is)
	e.String(v.s)
	e.Bytes(v.b)
	e.Strings(v.list)
	e.Duration(v.d)
	e.Time(v.t)
}

func decode(b []byte) (v values, err error) {
	d := NewDecoder(b)
	v = values{d.Uint(), d.Uint32(), d.Int(), d.Bool(), d.String(), d.Bytes(), d.Strings(), d.Duration(), d.Time()}
	return v, d.End()
}

func (v *values) equal(o *values) bool {
	return v.u == o.u && v.u32 == o.u32 && v.i == o.i && v.is == o.is && v.s == o.s && bytes.Equal(v.b, o.b) &&
		slices.Equal(v.list, o.list) && (v.list == nil) == (o.list == nil) && v.d == o.d && v.t.Equal(o.t)
}

var examples = []values{
	{},
	{math.MaxUint64, math.MaxUint32, math.MinInt64, true, "text", []byte{0, 255}, []string{"a", "", "ccc"}, time.Hour, time.Unix(1, 2)},
	{127, 128, math.MaxInt64, false, "", []byte("x"), []string{}, -1, time.Unix(-5, 0)},
}

func TestValuesComeBack(t *testing.T) {
	for _, want := range examples {
		var e Encoder
		want.encode(&e)
		got, err := decode(e.B)
		if err != nil || !got.equal(&want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		for n := range e.B {
			if _, err := decode(e.B[:n]); !errors.Is(err, ErrBad) {
				t.Errorf("%x without its end: %v", e.B[:n], err)
			}
		}
		if _, err := decode(append(e.B, 0)); !errors.Is(err, ErrBad) {
			t.Errorf("a byte too many: %v", err)
		}
	}
}

// TestBadValues checks what no Encoder writes.
func TestBadValues(t *testing.T) {
	for name, f := range map[string]func(*Decoder){
		"\x80\x00": func(d *Decoder) { d.Uint() }, // 0 in two bytes
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02": func(d *Decoder) { d.Uint() },
		"\x02":                     func(d *Decoder) { d.Bool() },
		"\x80\x80\x80\x80\x10":     func(d *Decoder) { d.Uint32() },
		"\x05abcd":                 func(d *Decoder) { d.Bytes() },
		"\x05ab":                   func(d *Decoder) { d.Count() },
		"\xff\xff\xff\xff\x0f\x00": func(d *Decoder) { d.Strings() },
		"\x03\x01a":                func(d *Decoder) { d.Strings() },
	} {
		d := NewDecoder([]byte(name))
		f(d)
		if err := d.End(); !errors.Is(err, ErrBad) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	frames := []string{"", "one", string(make([]byte, 300))}
	for _, f := range frames {
		if err := WriteFrame(&b, []byte(f)); err != nil {
			t.Fatal(err)
		}
	}
	all := b.Bytes()
	r := bufio.NewReader(bytes.NewReader(all))
	room := make([]byte, 0, 10)
	for _, want := range frames {
		if got, err := ReadFrame(r, 300, room); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if _, err := ReadFrame(r, 300, nil); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
	r = bufio.NewReader(bytes.NewReader(all[5:]))
	if _, err := ReadFrame(r, 299, nil); !errors.Is(err, ErrBad) {
		t.Errorf("too long: %v", err)
	}
	r = bufio.NewReader(bytes.NewReader(all[:len(all)-1]))
	for range frames[:2] {
		if _, err := ReadFrame(r, 300, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadFrame(r, 300, nil); !errors.Is(err, ErrBad) {
		t.Errorf("cut: %v", err)
	}
}

// FuzzDecode: what a decoder accepts is what an encoder writes.
func FuzzDecode(f *testing.F) {
	for _, v := range examples {
		var e Encoder
		v.encode(&e)
		f.Add(e.B)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		if err != nil {
			return
		}
		var e Encoder
		v.encode(&e)
		if !bytes.Equal(e.B, b) {
			t.Errorf("%x was read, and is written as %x", b, e.B)
		}
	})
}
