package errorpage

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// now runs work at once.
func now(f func()) bool { f(); return true }

func TestPages(t *testing.T) {
	dir := t.TempDir()
	a, b := write(t, filepath.Join(dir, "a.html"), "<p>a"), write(t, filepath.Join(dir, "b.json"), "{}")
	var log bytes.Buffer
	x, err := New([]Options{
		{"404 410 502", []string{filepath.Join(dir, "none"), a}}, {"502", []string{b}}, {"500", []string{filepath.Join(dir, "none.html")}},
	}, true, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	for status, want := range map[int]string{404: "<p>a text/html", 410: "<p>a text/html", 502: "{} application/json", 500: " ", 503: " "} {
		text, kind := x.Of(status, at, now)
		if got := string(text) + " " + kind; got != want {
			t.Errorf("%d: %q; want %q", status, got, want)
		}
		if x.Intercepts(status, at, now) != (want != " ") {
			t.Errorf("%d: intercepted: %v", status, want == " ")
		}
	}
	if !strings.Contains(log.String(), "none.html") || !strings.Contains(log.String(), "key=error_pages") {
		t.Error(log.String())
	}
	write(t, a, "<p>another")
	x.Of(404, at.Add(2*fresh), now)
	if text, _ := x.Of(404, at.Add(2*fresh), now); string(text) != "<p>another" {
		t.Errorf("after a change: %q", text)
	}
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	x.Of(404, at.Add(4*fresh), now)
	if text, _ := x.Of(404, at.Add(4*fresh), now); text != nil || x.Intercepts(404, at.Add(4*fresh), now) {
		t.Errorf("after its end: %q", text)
	}
	write(t, a, "<p>again")
	x.Intercepts(404, at.Add(6*fresh), now)
	if !x.Intercepts(404, at.Add(6*fresh), now) {
		t.Error("a page that is there again does not stand for the app's, as nothing else has asked for it")
	}
	busy := func(func()) bool { return false }
	if x.Of(502, at.Add(9*fresh), busy); x.pages[502].busy.Load() {
		t.Error("a page that no worker looked at is never looked at again")
	}
}

func TestBadPages(t *testing.T) {
	for _, s := range []string{"", " ", "200", "399", "600", "4xx", "404,500", "0404", "404 404", "+404"} {
		if _, err := New([]Options{{Statuses: s}}, false, nil); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"empty.html": "", "large.html": strings.Repeat("x", MaxSize+1)} {
		if err := Check([]string{write(t, filepath.Join(dir, name), text)}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if Check([]string{dir}) == nil || Check([]string{filepath.Join(dir, "none")}) == nil {
		t.Error("a directory, or nothing, is accepted")
	}
	if x, err := New(nil, true, nil); x != nil || err != nil || x.Intercepts(404, time.Now(), now) {
		t.Error(x, err)
	}
}
