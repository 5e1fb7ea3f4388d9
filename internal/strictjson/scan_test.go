package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// FuzzScan compares what is read without garbage with what encoding/json reads.
func FuzzScan(f *testing.F) {
	for _, body := range []string{
		`{"a":[1,-0.5e+3,true,false,null],"b\u0061\ud83d\ude00":"\"\\\/\b\f\n\r\t"}`, "{}\n[]\r\n \"x\"\n", "1\n2", "[1 , 2\t]",
		`{"a" : {} , "a":1}`, `01`, `-`, `1.`, `1e`, `.5`, `"\u12g4"`, `"\x"`, `"`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{a:1}`,
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
		if e := json.Unmarshal(v.raw, &want); e != nil || err != nil || got != want || string(b) != want {
			t.Fatalf("%q: text %q, %q; want %q", v.raw, got, b, want)
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
		if !m.Next() || m.Key != key || string(m.Value.raw) != string(want) {
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
