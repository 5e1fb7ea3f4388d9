package fcgi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// rawRecord is a record as the tests' own decoder sees it.
type rawRecord struct {
	kind    byte
	id      uint16
	content []byte
}

// split takes complete records apart.
func split(t testing.TB, b []byte) (list []rawRecord) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 8 || b[0] != 1 {
			t.Fatalf("no record header: %q", b[:min(len(b), 16)])
		}
		n, pad := int(binary.BigEndian.Uint16(b[4:])), int(b[6])
		if len(b) < 8+n+pad {
			t.Fatalf("record of %d+%d bytes, %d are there", n, pad, len(b)-8)
		}
		if (n+pad)%8 != 0 || n+pad > 65535 {
			t.Errorf("record of %d bytes with %d of padding", n, pad)
		}
		list = append(list, rawRecord{b[1], binary.BigEndian.Uint16(b[2:]), b[8 : 8+n]})
		b = b[8+n+pad:]
	}
	return list
}

// pairs takes name-value pairs apart.
func pairs(t testing.TB, b []byte) (list [][2]string) {
	t.Helper()
	length := func() int {
		if len(b) > 0 && b[0] < 0x80 {
			n := int(b[0])
			b = b[1:]
			return n
		}
		if len(b) < 4 {
			t.Fatal("cut in a length")
		}
		n := int(binary.BigEndian.Uint32(b) & 0x7fffffff)
		b = b[4:]
		return n
	}
	for len(b) > 0 {
		n, v := length(), length()
		if len(b) < n+v {
			t.Fatalf("pair of %d and %d bytes, %d are there", n, v, len(b))
		}
		list = append(list, [2]string{string(b[:n]), string(b[n : n+v])})
		b = b[n+v:]
	}
	return list
}

// stream joins the content of a stream's records and checks that only the last one is empty.
func stream(t testing.TB, list []rawRecord, kind byte, id uint16) []byte {
	t.Helper()
	var all []byte
	for i, r := range list {
		if r.kind != kind || r.id != id || (len(r.content) == 0) != (i == len(list)-1) {
			t.Fatalf("record %d of %d: type %d, id %d, %d bytes", i, len(list), r.kind, r.id, len(r.content))
		}
		all = append(all, r.content...)
	}
	return all
}

func TestBytesOnTheWire(t *testing.T) {
	p := NewParams(nil, 1)
	p.AddString("A", "bc")
	short := NewParams(nil, 1)
	short.AddString("N", strings.Repeat("v", 127))
	long := NewParams(nil, 1)
	long.AddString("N", strings.Repeat("v", 128))
	var in Stdin
	in.ID = 0x0102
	body := in.Append(nil, 5)
	body = append(body, "hello"...)
	body = in.Append(body, 8)
	body = append(body, "8 bytes."...)
	odd := Stdin{ID: 1}
	odd.End(odd.Append(nil, 1))
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"begin", AppendBegin(nil, 1, false), "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"begin, kept", AppendBegin(nil, 0xabcd, true), "\x01\x01\xab\xcd\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"},
		{"params", p.End(), "\x01\x04\x00\x01\x00\x05\x03\x00" + "\x01\x02Abc" + "\x00\x00\x00" +
			"\x01\x04\x00\x01\x00\x00\x00\x00"},
		{"params, value of 127", short.End(), "\x01\x04\x00\x01\x00\x82\x06\x00" + "\x01\x7fN" + strings.Repeat("v", 127) +
			strings.Repeat("\x00", 6) + "\x01\x04\x00\x01\x00\x00\x00\x00"},
		{"params, value of 128", long.End(), "\x01\x04\x00\x01\x00\x86\x02\x00" + "\x01\x80\x00\x00\x80N" + strings.Repeat("v", 128) +
			"\x00\x00" + "\x01\x04\x00\x01\x00\x00\x00\x00"},
		{"body in two pieces", in.End(body), "\x01\x05\x01\x02\x00\x05\x03\x00" + "hello" + "\x00\x00\x00" +
			"\x01\x05\x01\x02\x00\x08\x00\x00" + "8 bytes." + "\x01\x05\x01\x02\x00\x00\x00\x00"},
		{"no body after one", odd.End(nil), "\x01\x05\x00\x01\x00\x00\x00\x00"},
		{"no body", (&Stdin{ID: 1}).End(nil), "\x01\x05\x00\x01\x00\x00\x00\x00"},
		{"no params", noParams(), "\x01\x04\x00\x01\x00\x00\x00\x00"},
	}
	for _, test := range tests {
		if string(test.got) != test.want {
			t.Errorf("%s: %q, want %q", test.name, test.got, test.want)
		}
	}
}

func noParams() []byte {
	p := NewParams(nil, 1)
	return p.End()
}

// TestParamsOverManyRecords writes more than a record holds: every record is a whole number of pairs.
func TestParamsOverManyRecords(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		var want [][2]string
		p := NewParams(nil, 9)
		total := 0
		for i := 0; total < 200<<10; i++ {
			pair := [2]string{fmt.Sprintf("NAME_%d", i), strings.Repeat("x", rnd.IntN(20<<10))}
			if round%2 == 0 {
				pair[1] = strings.Repeat("y", rnd.IntN(300))
			}
			p.Add(pair[0], []byte(pair[1]))
			want = append(want, pair)
			total += len(pair[1])
		}
		list := split(t, p.End())
		if len(list) < 5 {
			t.Fatalf("%d records", len(list))
		}
		var got [][2]string
		for _, r := range list {
			got = append(got, pairs(t, r.content)...)
		}
		stream(t, list, typeParams, 9)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("round %d: %d pairs, want %d", round, len(got), len(want))
		}
	}
}

// TestParamLargerThanARecord is spread over records, which the format allows.
func TestParamLargerThanARecord(t *testing.T) {
	for _, size := range []int{MaxContent - 10, MaxContent - 6, MaxContent - 5, MaxContent, MaxContent + 1, 200_000} {
		value := strings.Repeat("0123456789", size/10+1)[:size]
		p := NewParams(nil, 1)
		p.AddString("A", "1")
		p.AddString("B", value)
		p.AddString("C", "3")
		got := pairs(t, stream(t, split(t, p.End()), typeParams, 1))
		if want := [][2]string{{"A", "1"}, {"B", value}, {"C", "3"}}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("a value of %d bytes did not come back", size)
		}
	}
}

func TestStdinPieceOfNoSize(t *testing.T) {
	for _, n := range []int{0, -1, MaxContent + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a piece of %d bytes was begun", n)
				}
			}()
			new(Stdin).Append(nil, n)
		}()
	}
}

func TestStdinStream(t *testing.T) {
	in := Stdin{ID: 3}
	var b, want []byte
	for n := 1; n <= MaxContent; n = n*3 + 1 {
		piece := bytes.Repeat([]byte{byte(n)}, n)
		b = append(in.Append(b, n), piece...)
		want = append(want, piece...)
	}
	b = append(in.Append(b, MaxContent), make([]byte, MaxContent)...)
	want = append(want, make([]byte, MaxContent)...)
	if got := stream(t, split(t, in.End(b)), typeStdin, 3); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}
