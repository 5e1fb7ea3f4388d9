package http1

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestAcceptsGzip(t *testing.T) {
	for field, want := range map[string]bool{
		"":                        false,
		"gzip":                    true,
		"deflate, GZIP;q=0.5, br": true,
		"gzip; q=0":               false,
		"gzip;q=0.000, identity":  false,
		"br, x-gzip":              true,
		"gzipped":                 false,
	} {
		if got := AcceptsGzip([][]byte{[]byte(field)}); got != want {
			t.Errorf("Accept-Encoding: %s: %v, want %v", field, got, want)
		}
	}
}

// absent is a request without Accept-Encoding.
const absent = "absent"

func acceptedBy(field string) Accepted {
	if field == absent {
		return AcceptedBy(nil)
	}
	return AcceptedBy([]Field{{Name: []byte("accept-ENCODING"), Value: []byte(field)}})
}

func TestBestCoding(t *testing.T) {
	all := []Coding{Zstd, Brotli, Gzip}
	for _, tt := range []struct {
		field   string
		want    Coding
		refuses bool // identity
	}{
		{absent, Identity, false},
		{"", Identity, false},
		{"gzip, deflate", Gzip, false},
		{"gzip, deflate, br", Brotli, false},
		{"gzip, deflate, br, zstd", Zstd, false},
		{"GZip", Gzip, false},
		{"x-gzip", Gzip, false},
		{"br;q=1.0, gzip;q=0.8, *;q=0.1", Brotli, false},
		{"br;q=0.5, gzip;q=0.8", Gzip, false},
		{"gzip;q=0.5, identity", Identity, false},
		{"gzip;q=0.5, identity;q=0.5", Gzip, false},
		{"identity;q=0.1, gzip;q=0.001", Identity, false},
		{"gzip;q=0", Identity, false},
		{"gzip;q=0.0", Identity, false},
		{"gzip ; q = 0.3", Gzip, false},
		{"gzip;foo=1;q=0, br;q=0.001", Brotli, false},
		{"gzip;Q=0", Identity, false},
		{"*", Gzip, false},
		{"*;q=0", Identity, true},
		{"*;q=0, gzip", Gzip, true},
		{"identity;q=0", Identity, true},
		{"identity;q=0, *", Gzip, true},
		{"gzip;q=0, *", Identity, false},
		{"gzip, gzip;q=0", Identity, false},
		{"deflate, compress, exi, pack200-gzip", Identity, false},
		{"gzip;q=2, br", Brotli, false},
		{"gzip;q=1.001", Identity, false},
		{"gzip;q=-1", Identity, false},
		{"gzip;q=", Identity, false},
		{"gzip;q=.5", Identity, false},
		{"gzip;q=0.1234", Identity, false},
		{"gzip;q=1e0", Identity, false},
		{"gzip;q=1.", Gzip, false},
		{",, ,gzip,,", Gzip, false},
		{"gzip br", Identity, false},
		{"gzip\tbr, zstd", Zstd, false},
	} {
		a := acceptedBy(tt.field)
		if got := a.Best(all); got != tt.want || (a.Weight(Identity) == 0) != tt.refuses {
			t.Errorf("Accept-Encoding: %s: %v, identity %d; want %v, refused %v", tt.field, got, a.Weight(Identity), tt.want, tt.refuses)
		}
	}
	if a := acceptedBy("br, gzip"); a.Best([]Coding{Gzip}) != Gzip || a.Best(nil) != Identity {
		t.Error("what is not offered was chosen")
	}
	two := AcceptedBy([]Field{
		{Name: []byte("Accept-Encoding"), Value: []byte("br;q=0.2")}, {Name: []byte("Accept-Encoding"), Value: []byte("gzip")},
		{Name: []byte("Accept-Encoding"), Value: []byte("zstd"), Drop: true},
	})
	if got := two.Best(all); got != Gzip {
		t.Errorf("two fields: %v", got)
	}
}

// FuzzAccepted compares the parser with one that is written for its grammar alone.
func FuzzAccepted(f *testing.F) {
	for _, s := range []string{"", "gzip;q=0.5, *;q=0", "br, identity;q=0;x=y", "zstd;q=1.000", "gzip;q=0,gzip", "x-gzip ;\tq=0.25", "*, ;q=0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		if field == absent {
			return
		}
		a, want := acceptedBy(field), slowAccepted(field)
		for c := Identity; c <= Zstd; c++ {
			if got := a.Weight(c); got != want(c) {
				t.Errorf("%q: %v has weight %d, want %d", field, c, got, want(c))
			}
		}
		list := []Coding{Brotli, Zstd, Gzip}
		best := a.Best(list)
		if best != Identity && (a.Weight(best) == 0 || slices.ContainsFunc(list, func(c Coding) bool { return a.Weight(c) > a.Weight(best) })) {
			t.Errorf("%q: %v is not the best", field, best)
		}
	})
}

// slowAccepted returns the weights that a field gives.
func slowAccepted(field string) func(Coding) int {
	weights := map[string]int{}
	for element := range strings.SplitSeq(field, ",") {
		parts := strings.Split(element, ";")
		weight, valid := 1000, true
		for _, p := range parts[1:] {
			name, value, _ := strings.Cut(p, "=")
			if !strings.EqualFold(strings.Trim(name, " \t"), "q") {
				continue
			}
			value = strings.Trim(value, " \t")
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || q > 1 || len(value) > 5 || strings.Trim(value, "0123456789.") != "" || len(value) > 1 && value[1] != '.' || value[0] == '.' {
				valid = false
				break
			}
			weight = int(q*1000 + 0.5)
		}
		name := strings.ToLower(strings.Trim(parts[0], " \t"))
		if name == "x-gzip" {
			name = "gzip"
		}
		if old, ok := weights[name]; valid && (!ok || weight < old) {
			weights[name] = weight
		}
	}
	return func(c Coding) int {
		if w, ok := weights[c.String()]; ok {
			return w
		}
		if w, ok := weights["*"]; ok && c <= Gzip {
			return w
		}
		if c == Identity {
			return 1
		}
		return 0
	}
}

// TestAcceptedDoesNotAllocate: every request of a route with compression is read.
func TestAcceptedDoesNotAllocate(t *testing.T) {
	fields := []Field{{Name: []byte("Accept-Encoding"), Value: []byte("gzip, deflate, br;q=0.9, zstd")}}
	list := []Coding{Zstd, Brotli, Gzip}
	if n := testing.AllocsPerRun(100, func() {
		a := AcceptedBy(fields)
		if a.Best(list) != Zstd {
			t.Error("not zstd")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
