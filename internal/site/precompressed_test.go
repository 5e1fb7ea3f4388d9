package site

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/http1"
)

// TestPrecompressed: the neighbour of a file that the client takes is sent with the type of the file, whatever its time.
func TestPrecompressed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.css": "plain", "a.css.gz": "its gzip", "a.css.br": "its brotli", "b.css": "plain", "b.css.gz/x": "", "c.css.gz": "alone",
		"d.png": "image", "d.png.gz": "its gzip", "e.css": "", "e.css.gz": "of nothing", "f/index.html": "index", "f/index.html.gz": "its gzip",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Unix(1_600_000_000, 0)
	if err := os.Chtimes(filepath.Join(dir, "a.css.gz"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "b.css.br")); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Root: dir, Index: []string{"index.html"}})
	if err != nil {
		t.Fatal(err)
	}
	both := []http1.Coding{http1.Brotli, http1.Gzip}
	for _, tt := range []struct {
		path    string
		codings []http1.Coding
		want    string
		coding  string
	}{
		{"/a.css", both, "its brotli", "br"},
		{"/a.css", both[1:], "its gzip", "gzip"},
		{"/a.css", nil, "plain", ""},
		{"/a.css", []http1.Coding{http1.Zstd}, "plain", ""},
		{"/b.css", both, "plain", ""}, // a directory, and a link that leads out
		{"/d.png", both, "image", ""},
		{"/f/", both, "its gzip", "gzip"},
	} {
		r := &Request{Method: "GET", Path: tt.path, Precompressed: func(kind string) []http1.Coding {
			if strings.HasPrefix(kind, "text/") {
				return tt.codings
			}
			return nil
		}}
		a, err := s.Serve(r)
		if err != nil || a.Status != 200 {
			t.Fatalf("%s: %d, %v", tt.path, a.Status, err)
		}
		all, err := io.ReadAll(io.NewSectionReader(a.File, a.Offset, a.Length))
		if a.File.Close(); err != nil || string(all) != tt.want {
			t.Errorf("%s, %v: %q, %v", tt.path, tt.codings, all, err)
		}
		head := string(a.Head)
		if strings.Contains(head, "Content-Encoding: "+tt.coding+"\r\n") != (tt.coding != "") || strings.Contains(head, "Vary: Accept-Encoding\r\n") != (tt.coding != "") {
			t.Errorf("%s, %v: %s", tt.path, tt.codings, head)
		}
		if tt.path != "/d.png" && !strings.Contains(head, "Content-Type: text/") {
			t.Errorf("%s, %v: %s", tt.path, tt.codings, head)
		}
	}
	tags := map[string]bool{}
	for _, codings := range [][]http1.Coding{nil, both, both[1:]} {
		r := &Request{Method: "HEAD", Path: "/a.css", Precompressed: func(string) []http1.Coding { return codings }}
		a, err := s.Serve(r)
		if err != nil {
			t.Fatal(err)
		}
		_, tag, _ := strings.Cut(string(a.Head), "ETag: ")
		tag, _, _ = strings.Cut(tag, "\r\n")
		tags[tag] = true
		r.Field([]byte("If-None-Match"), []byte(tag))
		if a, _ := s.Serve(r); a.Status != 304 || strings.Contains(string(a.Head), "Vary") != (len(codings) > 0) {
			t.Errorf("%v: %d, %s", codings, a.Status, a.Head)
		}
	}
	if len(tags) != 3 {
		t.Errorf("entity tags %v", tags)
	}
	if a, err := s.Serve(&Request{Method: "GET", Path: "/c.css", Precompressed: func(string) []http1.Coding { return both }}); err != nil || a.Status != 404 {
		t.Errorf("without the file itself: %d, %v", a.Status, err)
	}
	r := &Request{Method: "GET", Path: "/a.css", Precompressed: func(string) []http1.Coding { return both }}
	r.Field([]byte("Range"), []byte("bytes=4-9"))
	a, err := s.Serve(r)
	if err != nil || a.Status != 206 || a.Offset != 4 || a.Length != 6 {
		t.Errorf("a range: %d, %d, %d, %v", a.Status, a.Offset, a.Length, err)
	}
	a.File.Close()
}
