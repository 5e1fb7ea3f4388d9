package inject

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// zipFilter returns a filter of pages in gzip.
func zipFilter() *Filter {
	f := filter(false)
	f.zip = &gunzip{}
	return f
}

// zipped compresses pieces, with a flush behind each.
func zipped(t testing.TB, level int, pieces ...[]byte) (out [][]byte) {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pieces {
		w.Write(p) // into memory
		w.Flush()
		if i == len(pieces)-1 {
			w.Close()
		}
		out = append(out, bytes.Clone(b.Bytes()))
		b.Reset()
	}
	return out
}

// unzip returns what is in gzip, as far as it goes.
func unzip(p []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(p))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Every page in gzip, whole, in pieces, and cut in two at every byte.
func TestZippedPages(t *testing.T) {
	for _, level := range []int{gzip.NoCompression, gzip.BestCompression} {
		each(t, func(t *testing.T, xml bool, in, out []byte, why Reason) {
			z := zipped(t, level, in)[0]
			cuts := [][][]byte{{z}, append(slices.Collect(slices.Chunk(z, 1+len(z)/1000)), nil), snip(z, uint64(len(z)))}
			if len(z) < 400 {
				for i := range z {
					cuts = append(cuts, [][]byte{z[:i], z[i:]})
				}
			}
			for _, pieces := range cuts {
				f := zipFilter()
				f.scan.xhtml = xml
				got, err := unzip(run(t, f, pieces...))
				if err != nil || !bytes.Equal(got, out) {
					t.Fatalf("%d pieces: %v, %.300q, want %.300q", len(pieces), err, got, out)
				}
			}
		})
	}
}

// A page that stays as it is goes on as the bytes that the app compressed, where that is clear at once.
func TestZippedFragment(t *testing.T) {
	z := zipped(t, gzip.BestCompression, []byte("<tr><td>x</td></tr>"))[0]
	f := zipFilter()
	if got := run(t, f, z[:len(z)-4], z[len(z)-4:]); !bytes.Equal(got, z) || !f.Through() || f.Length(int64(len(z))) != int64(len(z)) {
		t.Errorf("%x, want %x; through: %v", got, z, f.Through())
	}
}

// What the app has flushed reaches the client before it writes more.
func TestZippedPace(t *testing.T) {
	pieces := [][]byte{[]byte("<!doctype html><ht"), []byte("ml><head><title>x</title>"), []byte("<body>1"), bytes.Repeat([]byte("2 "), 100000), []byte("3")}
	f := zipFilter()
	defer f.Close()
	var out, in []byte
	for i, z := range zipped(t, gzip.DefaultCompression, pieces...) {
		var err error
		if out, err = f.Append(out, z, i == len(pieces)-1); err != nil {
			t.Fatal(err)
		}
		in = append(in, pieces[i]...)
		got, err := unzip(out)
		if last := i == len(pieces)-1; last != (err == nil) {
			t.Errorf("piece %d: %v", i, err)
		}
		if got = bytes.Replace(got, []byte(ours), nil, 1); len(got) < len(in)-len("<ht") || !bytes.HasPrefix(in, got) {
			t.Errorf("piece %d: the client has %d bytes of %d", i, len(got), len(in))
		}
	}
}

func TestZippedOddities(t *testing.T) {
	in, out := want("<html><head>‸<title>"+strings.Repeat("x y ", 20000), "")
	z := zipped(t, gzip.DefaultCompression, in)[0]
	half := zipped(t, gzip.DefaultCompression, in[:len(in)/2])[0]
	rest := zipped(t, gzip.DefaultCompression, in[len(in)/2:])[0]
	named := slices.Concat([]byte("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xffpage.html\x00"), z[10:])
	for _, c := range []struct {
		name string
		body []byte
		end  error // of the client's gzip
	}{
		{"two members", slices.Concat(half, rest), nil},
		{"garbage behind", slices.Concat(z, []byte("garbage, and more of it")), nil},
		{"a line's end behind, as of a PHP file", slices.Concat(z, []byte("\n")), nil},
		{"nine bytes behind", slices.Concat(z, []byte("\r\n<!-- -->")[:9]), nil},
		{"the beginning of a member behind", slices.Concat(z, z[:5]), nil},
		{"zeros behind", slices.Concat(z, make([]byte, 100)), nil},
		{"with a name", named, nil},
		{"without a trailer", z[:len(z)-8], io.ErrUnexpectedEOF},
		{"half a trailer", z[:len(z)-4], io.ErrUnexpectedEOF},
	} {
		for _, pieces := range [][][]byte{{c.body}, snip(c.body, 1)} {
			got, err := unzip(run(t, zipFilter(), pieces...))
			if err != c.end || !bytes.Equal(got, out) {
				t.Errorf("%s, %d pieces: %v, want %v; %d bytes, want %d", c.name, len(pieces), err, c.end, len(got), len(out))
			}
		}
	}
}

// A body without its end has none at the client either, and all that came before.
func TestZippedCutShort(t *testing.T) {
	in, out := want("<html><head>‸<title>"+strings.Repeat("x y ", 20000), "")
	z := zipped(t, gzip.DefaultCompression, in[:len(in)/2], in[len(in)/2:])
	got, err := unzip(run(t, zipFilter(), slices.Concat(z[0], z[1][:len(z[1])-20])))
	if err != io.ErrUnexpectedEOF || len(got) < len(out)/2 || !bytes.HasPrefix(out, got) {
		t.Errorf("%v, %d bytes", err, len(got))
	}
}

// A damaged body is an error, and the client never has the end of it.
func TestZippedDamaged(t *testing.T) {
	in, _ := want("<html><head>‸<title>"+strings.Repeat("x y z", 2000), "")
	z := zipped(t, gzip.DefaultCompression, in)[0]
	for _, c := range []struct {
		at  int
		err error // none where the damage looks like an early end
	}{{3, nil}, {20, nil}, {len(z) - 6, ErrEncoding}} {
		bad := bytes.Clone(z)
		bad[c.at] ^= 0xff
		f := zipFilter()
		out, err := f.Append(nil, bad, true)
		f.Close()
		if _, end := unzip(out); end == nil {
			t.Errorf("byte %d: the client has an end", c.at)
		}
		if c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("byte %d: %v, want %v", c.at, err, c.err)
		}
	}
}

// What is no gzip, and what is too short to be, passes as it is.
func TestZippedNot(t *testing.T) {
	for _, body := range []string{"", "\x1f", "<html><head><title>", "\x1f<html>"} {
		for i := range len(body) + 1 {
			f := zipFilter()
			if got := run(t, f, []byte(body[:i]), []byte(body[i:])); string(got) != body {
				t.Errorf("%q cut at %d: %q", body, i, got)
			}
		}
	}
}

// A body that grows a thousandfold comes out a part at a time.
func TestZippedGrows(t *testing.T) {
	in, out := want("<html><head>‸<title>"+strings.Repeat("x", 20<<20), "")
	z := zipped(t, gzip.BestCompression, in)[0]
	f := zipFilter()
	defer f.Close()
	p := bytes.Clone(z)
	got, err := f.Append(nil, p, true)
	clear(p)
	turns := 1
	for ; err == nil && f.More(); turns++ {
		n := len(got)
		if got, err = f.Append(got, nil, true); len(got) == n {
			t.Fatal("no progress")
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if page, err := unzip(got); err != nil || !bytes.Equal(page, out) {
		t.Errorf("%v, %d bytes, want %d", err, len(page), len(out))
	}
	if turns < len(in)/maxInflate/2 {
		t.Errorf("%d bytes in %d turns", len(in), turns)
	}
}

// A filter may be closed at any time, and more than once; TestMain sees what is left.
func TestZippedClose(t *testing.T) {
	z := zipped(t, gzip.DefaultCompression, []byte("<html><head><title>"), bytes.Repeat([]byte("x"), 1000))
	for i := range z[0] {
		f := zipFilter()
		if _, err := f.Append(nil, z[0][:i], false); err != nil {
			t.Fatal(err)
		}
		f.Close()
		f.Close()
	}
	f := zipFilter()
	if _, err := f.Append(nil, slices.Concat(z...), true); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func FuzzZipped(f *testing.F) {
	z := zipped(f, gzip.DefaultCompression, []byte("<html><head><title>x</title>"), []byte("<body>"))
	f.Add(slices.Concat(z...), uint64(1))
	f.Add([]byte("\x1f\x8b\x08\x00"), uint64(2))
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		whole, apart := zipFilter(), zipFilter()
		a, aErr := through(whole, body)
		b, bErr := through(apart, snip(body, seed)...)
		if aErr != nil || bErr != nil {
			if (aErr == nil) != (bErr == nil) && !whole.Through() && !apart.Through() {
				t.Errorf("whole: %v, in pieces: %v", aErr, bErr)
			}
			return
		}
		a, _ = unzip(a)
		b, _ = unzip(b)
		if !bytes.Equal(a, b) {
			t.Errorf("whole %q, in pieces %q", a, b)
		}
	})
}

// through lets pieces through f, to the first error.
func through(f *Filter, pieces ...[]byte) (out []byte, err error) {
	defer f.Close()
	for i, p := range pieces {
		last := i == len(pieces)-1
		if out, err = f.Append(out, p, last); err != nil {
			return out, err
		}
		for f.More() {
			if out, err = f.Append(out, nil, last); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}
