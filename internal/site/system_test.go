//go:build unix

package site

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSystemErrors are not taken for "not there": with a front controller that would run another page.
func TestSystemErrors(t *testing.T) {
	root := newTree(t, map[string]string{"index.php": "x", "a.txt": "x", "d/a.txt": "x"})
	s := newSite(t, Options{Root: root, TryFiles: []string{"/index.php"}})
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	_, err := s.Serve(&Request{Method: "GET", Path: "/d/a.txt"})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Error("no error without descriptors")
	}
	a, err := s.Serve(&Request{Method: "GET", Path: "/d/a.txt"})
	if err != nil || a.File == nil {
		t.Fatalf("with descriptors: %+v, %v", a, err)
	}
	a.File.Close()
}

// TestSpecialFilesAreNotOpened must not be opened: a pipe would wait for its other end.
func TestSpecialFilesAreNotOpened(t *testing.T) {
	root := newTree(t, map[string]string{"a.txt": "x"})
	for _, name := range []string{"pipe.txt", "pipe.php"} {
		if err := syscall.Mkfifo(filepath.Join(root, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := newSite(t, Options{Root: root})
	for _, path := range []string{"/pipe.txt", "/pipe.php"} {
		if got := ask(t, s, path); got != "404" {
			t.Errorf("%s: %s", path, got)
		}
	}
	// The same if the pipe comes between finding and opening.
	p, err := s.locate([]string{"a.txt"})
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	defer p.close()
	if err := os.Rename(filepath.Join(root, "pipe.txt"), filepath.Join(root, "a.txt")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.open(); err != errChanged {
		t.Errorf("open: %v", err)
	}
	if err := os.Remove(filepath.Join(root, "a.txt")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.open(); err != errChanged {
		t.Errorf("open what is gone: %v", err)
	}
}
