package takeover

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/plainval"
)

// records are those of testdata/version1.txt, in its order.
var records = []record{
	{
		Moving: park.Moving{Remote: netip.MustParseAddrPort("192.0.2.1:4711"), Deadline: 75 * time.Second, Counted: true},
		layer:  section{kind: -1}, kind: section{kind: 0, version: 1},
	},
	{
		Moving: park.Moving{Remote: netip.MustParseAddrPort("[2001:db8::1]:65535"), TLS: true, Marked: true},
		layer:  section{0, 1, []byte("secrets")}, kind: section{2, 3, []byte("held")},
	},
	{layer: section{kind: -1}, kind: section{1, 1, []byte{0, 255}}}, // of a unix socket
}

func read(b []byte) (list []record, err error) {
	d := plainval.NewDecoder(b)
	for {
		if rest := *d; rest.End() == nil {
			return list, nil
		}
		r, err := readRecord(d)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
}

// TestVersion1 reads what version 1 has written: the file is never changed. A later version has a file of its own besides.
func TestVersion1(t *testing.T) {
	file, err := os.ReadFile("testdata/version1.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(file))
	want := map[string]any{
		"hello": hello{1, "0.9.0"}, "ready": ready{parts: []entry{{"hub", 2}, {"keys", 1}}, layers: []entry{{"tls13", 1}}, kinds: []entry{{"idle", 1}}},
		"records": records,
	}
	got := map[string]any{}
	for i := 0; i+1 < len(lines); i += 2 {
		b, err := hex.DecodeString(lines[i+1])
		if err != nil {
			t.Fatal(err)
		}
		switch lines[i] {
		case "hello":
			got["hello"], err = readHello(b)
		case "ready":
			got["ready"], err = readReady(b)
		case "records":
			got["records"], err = read(b)
		}
		if err != nil {
			t.Errorf("%s: %v", lines[i], err)
		}
	}
	for name := range want {
		if !sameValues(got[name], want[name]) {
			t.Errorf("%s: read %+v, want %+v", name, got[name], want[name])
		}
	}
	e := plainval.Encoder{}
	for i := range records {
		appendRecord(&e, &records[i])
	}
	if b, _ := hex.DecodeString(lines[len(lines)-1]); !bytes.Equal(b, e.B) {
		t.Errorf("this version writes %x: give it a new number", e.B)
	}
}

// sameValues treats nil and empty texts as the same.
func sameValues(a, b any) bool {
	x, isRecords := a.([]record)
	y, _ := b.([]record)
	if !isRecords {
		return reflect.DeepEqual(a, b)
	}
	for i := range x {
		if i >= len(y) || !bytes.Equal(x[i].kind.b, y[i].kind.b) || !bytes.Equal(x[i].layer.b, y[i].layer.b) {
			return false
		}
		p, q := x[i], y[i]
		p.kind.b, q.kind.b, p.layer.b, q.layer.b = nil, nil, nil, nil
		if !reflect.DeepEqual(p, q) {
			return false
		}
	}
	return len(x) == len(y)
}

// TestGrow: no copy of a record is left behind when its buffer grows.
func TestGrow(t *testing.T) {
	small := append(make([]byte, 0, 8), "secret"...)
	if b := grow(small, 2); &b[0] != &small[0] {
		t.Error("it is copied although there is room")
	}
	b := grow(small, 3)
	if string(b) != "secret" || cap(b) < 9 {
		t.Errorf("%q with room for %d", b, cap(b)-len(b))
	}
	if !bytes.Equal(small, make([]byte, 6)) {
		t.Errorf("%q is left behind", small)
	}
}

// FuzzRecord: what is read is written again the same, or is refused.
func FuzzRecord(f *testing.F) {
	var e plainval.Encoder
	for i := range records {
		appendRecord(&e, &records[i])
	}
	f.Add(e.B)
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := read(b)
		if err != nil {
			return
		}
		var e plainval.Encoder
		for i := range list {
			appendRecord(&e, &list[i])
		}
		if !bytes.Equal(e.B, b) {
			t.Errorf("%x was read, and is written as %x", b, e.B)
		}
	})
}

// FuzzReady is FuzzRecord for the first messages.
func FuzzReady(f *testing.F) {
	f.Add((&ready{parts: []entry{{"hub", 2}}, kinds: []entry{{"idle", 1}}}).append(nil))
	f.Add(hello{protocol, "1.2.3"}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := readReady(b); err == nil && !bytes.Equal(r.append(nil), b) {
			t.Errorf("%x was read, and is written as %x", b, r.append(nil))
		}
		if h, err := readHello(b); err == nil && !bytes.Equal(h.append(nil), b) {
			t.Errorf("%x was read, and is written as %x", b, h.append(nil))
		}
	})
}
