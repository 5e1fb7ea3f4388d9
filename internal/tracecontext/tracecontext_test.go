package tracecontext

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/http1"
)

const (
	id    = "4bf92f3577b34da6a3ce929d0e0e4736"
	valid = "00-" + id + "-00f067aa0ba902b7-01"
)

func fieldsOf(lines ...string) (list []http1.Field) {
	for _, line := range lines {
		f, fault := http1.ParseField([]byte(line))
		if fault != "" {
			panic(fault)
		}
		list = append(list, f)
	}
	return list
}

// TestParse: which values are valid, by the specification and the test suite of the W3C.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		value string
		valid bool
	}{
		{valid, true},
		{"00-" + id + "-00f067aa0ba902b7-00", true},
		{"00-" + id + "-00f067aa0ba902b7-ff", true},   // flags that are not known yet
		{"cc-" + id + "-00f067aa0ba902b7-01", true},   // a later version
		{"cc-" + id + "-00f067aa0ba902b7-01-x", true}, // with more behind
		{"cc-" + id + "-00f067aa0ba902b7-01.x", false},
		{"ff-" + id + "-00f067aa0ba902b7-01", false}, // forbidden
		{valid + "-x", false},                        // version 00 has no more
		{valid + "-", false},
		{valid + ".", false},
		{strings.ToUpper(valid), false},
		{"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01", false},
		{"0A-" + id + "-00f067aa0ba902b7-01", false},
		{"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", false},
		{"00-" + id + "-0000000000000000-01", false},
		{"00-" + id + "-00f067aa0ba902b7-0", false},
		{"00-" + id + "-00f067aa0ba902b7-0x", false},
		{"00-" + id + "-00f067aa0ba902b7-.0", false},
		{"00-" + id + "-00f067aa0ba902b7", false},
		{"00-" + id[1:] + "-00f067aa0ba902b7-01", false},
		{"00-" + id + "-0f067aa0ba902b7-01", false},
		{"0-" + id + "-00f067aa0ba902b7-01", false},
		{"00" + valid, false},
		{"00_" + id + "-00f067aa0ba902b7-01", false},
		{"00-" + id + "_00f067aa0ba902b7-01", false},
		{"00-" + id + "-00f067aa0ba902b7_01", false},
		{"00-" + id[:31] + "g-00f067aa0ba902b7-01", false},
		{"00-" + id[:31] + "\xe9-00f067aa0ba902b7-01", false},
		{"", false},
		{"-", false},
		{valid + ", " + valid, false}, // as a proxy joins two
	} {
		got := (&Policy{}).Of(fieldsOf("Traceparent: " + c.value))
		if is := string(got.AppendID(nil)) == id; is != c.valid || c.valid != (got.kind == received) {
			t.Errorf("%q is valid: %v, %+v", c.value, is, got)
		}
	}
}

// TestOf: what becomes of a request by its fields and the policy.
func TestOf(t *testing.T) {
	made := regexp.MustCompile(`^traceparent: 00-([0-9a-f]{32})-[0-9a-f]{16}-01\r\n$`)
	for _, c := range []struct {
		name   string
		policy *Policy
		lines  []string
		made   bool
		id     string // if it was not made
	}{
		{"off", nil, []string{"traceparent: " + valid}, false, ""},
		{"log", &Policy{}, []string{"TraceParent: " + valid, "tracestate: a=b"}, false, id},
		{"log, none", &Policy{}, nil, false, ""},
		{"log, not valid", &Policy{}, []string{"traceparent: x"}, false, ""},
		{"valid", &Policy{Make: true, Sample: 1}, []string{"traceparent: " + valid, "tracestate: a=b"}, false, id},
		{"none", &Policy{Make: true, Sample: 1}, []string{"tracestate: a=b"}, true, ""},
		{"not valid", &Policy{Make: true, Sample: 1}, []string{"traceparent: " + valid + "-x"}, true, ""},
		{"two", &Policy{Make: true, Sample: 1}, []string{"traceparent: " + valid, "a: b", "Traceparent: " + valid}, true, ""},
		{"not believed", &Policy{Make: true, Sample: 1, Replace: true}, []string{"traceparent: " + valid}, true, ""},
	} {
		x := c.policy.Of(fieldsOf(c.lines...))
		line, got := string(x.Append(nil)), string(x.AppendID(nil))
		m := made.FindStringSubmatch(line)
		if (m != nil) != c.made || c.made != (line != "") || c.made && (got != m[1] || got == id) || !c.made && got != c.id {
			t.Errorf("%s: %q, id %q", c.name, line, got)
		}
		for _, name := range []string{"Traceparent", "tracestate", "trace", "host", ""} {
			if want := c.made && (name == "Traceparent" || name == "tracestate"); x.Replaces([]byte(name)) != want {
				t.Errorf("%s: %q is replaced: %v", c.name, name, !want)
			}
		}
	}
}

// TestSample: the flag says so for the share of those made, and no two have the same identifier.
func TestSample(t *testing.T) {
	for _, c := range []struct {
		sample      float64
		least, most int
	}{{0, 0, 0}, {0.5, 1, 999}, {1, 1000, 1000}} {
		sampled, seen := 0, map[string]bool{}
		for range 1000 {
			x := (&Policy{Make: true, Sample: c.sample}).Of(nil)
			line := string(x.Append(nil))
			if strings.HasSuffix(line, "-01\r\n") {
				sampled++
			}
			seen[string(x.AppendID(nil))], seen[line[len("traceparent: 00-")+33:][:16]] = true, true
		}
		if sampled < c.least || sampled > c.most || len(seen) != 2000 {
			t.Errorf("of 1000 with %v, %d are sampled; %d identifiers", c.sample, sampled, len(seen))
		}
	}
}

// TestLog: lines of a request without a trace are as before.
func TestLog(t *testing.T) {
	var b bytes.Buffer
	plain := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	var off *Context
	without, with := (&Policy{}).Of(nil), (&Policy{}).Of(fieldsOf("traceparent: "+valid))
	without.Log(plain).Info("a")
	with.Log(plain).Info("b")
	if want := "level=INFO msg=a\nlevel=INFO msg=b trace_id=" + id + "\n"; b.String() != want {
		t.Errorf("logged %q, want %q", b.String(), want)
	}
	if len(off.AppendID(nil)) > 0 || len(off.Append(nil)) > 0 || off.Replaces([]byte("traceparent")) {
		t.Error("no context has a trace")
	}
}

func TestAllocatesNothing(t *testing.T) {
	fields, room := fieldsOf("traceparent: "+valid), make([]byte, 0, 200)
	for _, p := range []*Policy{nil, {}, {Make: true, Sample: 0.5, Replace: true}} {
		if n := testing.AllocsPerRun(100, func() {
			c := p.Of(fields)
			room = c.AppendID(c.Append(room[:0]))
		}); n > 0 {
			t.Errorf("%+v: %v allocations", p, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(valid)
	f.Add("cc-" + id + "-00f067aa0ba902b7-01-x")
	form := regexp.MustCompile(`^(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?)$`)
	f.Fuzz(func(t *testing.T, s string) {
		var c Context
		want := form.MatchString(s) && !strings.HasPrefix(s, "ff") && !(strings.HasPrefix(s, "00") && len(s) != length) &&
			s[version:traceEnd] != strings.Repeat("0", 32) && s[traceEnd+1:parentEnd] != strings.Repeat("0", 16)
		if strings.ContainsRune(s, '\n') { // which no field has, and the form above does not take
			return
		}
		if got := c.parse([]byte(s)); got != want {
			t.Errorf("%q is valid: %v", s, got)
		}
	})
}
