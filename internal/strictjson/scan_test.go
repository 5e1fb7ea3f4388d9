package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// FuzzScan compares what is read without garbage with what encoding/json reads.
func FuzzScan(f *testing.F) {
	for _, body := range []string{
		`{"a":[1,-0.5e+3,true,false,null],"b\u0061\ud83d\ude00":"\"\\\/\b\f\n\r\t"}`, "{}\n[]\r\n \"x\"\n", "1\n2", "[1 , 2\t]",
		`{"a" : {} , "a":1}`, `01`, `-`, `1.`, `1e`, `.5`, `"\u12g4"`, `"\x"`, `"`, `[1,]`, `[,1]`, `{"a"}`, `"\\ud83d\ud83d\ude00"`, `{"\udc00":"\uFFFD\ud800"}`, `{"a":}`, `{a:1}`,
		`nul`, `truex`, `1 2`, `{}{}`, "\"\x01\"", "\ufeff1", strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if check(body) != nil {
			return
		}
		values, ok := scanLines(nil, body, 0)
		var want []json.RawMessage
		dec := json.NewDecoder(bytes.NewReader(body))
		err := error(nil)
		for err == nil {
			var raw json.RawMessage
			if err = dec.Decode(&raw); err == nil {
				want = append(want, raw)
			}
		}
		if !ok {
			if err == io.EOF && len(want) < 2 {
				t.Fatalf("%q is refused", body)
			}
			return
		}
		if !errors.Is(err, io.EOF) || len(want) != len(values) {
			t.Fatalf("%q: %d values, want %d, %v", body, len(values), len(want), err)
		}
		for i, v := range values {
			if string(v.raw) != string(want[i]) || string(body[v.offset:v.offset+len(v.raw)]) != string(v.raw) {
				t.Fatalf("%q: value %d is %q at %d; want %q", body, i, v.raw, v.offset, want[i])
			}
			compare(t, v)
		}
	})
}

// compare compares the parts of a value with those that encoding/json reads.
func compare(t *testing.T, v Value) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, v.raw); err != nil || compact.String() != string(v.Compact()) {
		t.Fatalf("%q: compact %q; want %q, %v", v.raw, v.Compact(), compact.String(), err)
	}
	switch v.raw[0] {
	case '"':
		var want string
		got, err := v.Text()
		b, _ := v.Bytes()
		if e := json.Unmarshal(v.raw, &want); e != nil || string(b) != want {
			t.Fatalf("%q: bytes %q; want %q", v.raw, b, want)
		}
		if half := hasHalfByUTF16(v.raw); half != (err != nil) || !half && got != want {
			t.Fatalf("%q: text %q, %v; want %q; half of a character: %v", v.raw, got, err, want, half)
		}
	case '[':
		var want []json.RawMessage
		got, err := v.Elements()
		if e := json.Unmarshal(v.raw, &want); e != nil || err != nil || len(got) != len(want) {
			t.Fatalf("%q: %d elements; want %d; %v", v.raw, len(got), len(want), err)
		}
		for i := range got {
			if string(got[i].raw) != string(want[i]) {
				t.Fatalf("%q: element %q, want %q", v.raw, got[i].raw, want[i])
			}
			compare(t, got[i])
		}
	case '{':
		compareMembers(t, v)
	}
}

var escapes = regexp.MustCompile(`(?i)(?:\\u[0-9a-f]{4})+`)

// hasHalfByUTF16 is hasHalf by another way: package utf16 decodes each run of escapes.
func hasHalfByUTF16(raw []byte) bool {
	for _, run := range escapes.FindAllString(strings.ReplaceAll(string(raw), `\\`, `\n`), -1) {
		var units []uint16
		want := 0
		for ; run != ""; run = run[6:] {
			unit, _ := strconv.ParseUint(run[2:6], 16, 16)
			if units = append(units, uint16(unit)); unit == 0xfffd {
				want++
			}
		}
		for _, r := range utf16.Decode(units) {
			if r == 0xfffd {
				want--
			}
		}
		if want != 0 {
			return true
		}
	}
	return false
}

func compareMembers(t *testing.T, v Value) {
	dec := json.NewDecoder(bytes.NewReader(v.raw))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	m := v.Read()
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var want json.RawMessage
		if err := dec.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if seen[key.(string)] {
			if m.Next() || m.Err() == nil {
				t.Fatalf("%q: key %q twice", v.raw, key)
			}
			return
		}
		seen[key.(string)] = true
		next := m.Next()
		if !next && errors.Is(m.Err(), errHalf) && strings.Contains(key.(string), "\ufffd") {
			return
		}
		if !next || m.Key != key || string(m.Value.raw) != string(want) {
			t.Fatalf("%q: member %q %q; want %q %q; %v", v.raw, m.Key, m.Value.raw, key, want, m.Err())
		}
		if m.Value.offset != v.offset+bytes.Index(v.raw, m.Value.raw) && !bytes.HasPrefix(m.Value.body[m.Value.offset:], m.Value.raw) {
			t.Fatalf("%q: member %q is not at %d", v.raw, m.Key, m.Value.offset)
		}
		compare(t, m.Value)
	}
	if m.Next() || m.Err() != nil {
		t.Fatalf("%q: more than its members, or %v", v.raw, m.Err())
	}
}

// TestReadMany reads more keys than are compared one by one.
func TestReadMany(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		b.WriteString(`,"` + strings.Repeat("k", i+1) + `":1`)
	}
	for _, c := range []struct {
		more string
		want int // members read
	}{{"", 100}, {`,"k":1`, 100}, {`,"` + strings.Repeat("k", 99) + `":1`, 100}} {
		v, err := One([]byte("{" + b.String()[1:] + c.more + "}"))
		if err != nil {
			t.Fatal(err)
		}
		n, m := 0, v.Read()
		for m.Next() {
			n++
		}
		if n != c.want || (m.Err() != nil) != (c.more != "") {
			t.Errorf("%d members, %v", n, m.Err())
		}
	}
}

// TestReadAllocatesNothing: the usual object is read in place.
func TestReadAllocatesNothing(t *testing.T) {
	body := []byte(` {"channel": "public.news", "data": {"n": [1, 2.5e3, true, null, "é"]}, "event": "tick"} `)
	n := testing.AllocsPerRun(100, func() {
		var room [1]Value
		values, _, err := Split(body, room[:0])
		if err != nil {
			t.Fatal(err)
		}
		m := values[0].Read()
		for m.Next() {
		}
		if m.Err() != nil {
			t.Fatal(m.Err())
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
