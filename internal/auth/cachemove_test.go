package auth

import (
	"errors"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"holdfast/internal/plainval"
)

// appFunc is the app.
type appFunc func(Request) (Result, error)

func (f appFunc) Authorize(q Request) (Result, error) { return f(q) }

// TestCacheMoves checks that another process does not ask what the first one has asked, and finds its entries by session
// and by user.
func TestCacheMoves(t *testing.T) {
	asked := 0
	app := appFunc(func(q Request) (Result, error) {
		asked++
		return Result{Allowed: q.Cookie != "s=none", User: q.Cookie, Channels: q.Channels, Expires: time.Hour}, nil
	})
	log := slog.New(slog.DiscardHandler)
	old := NewCache(time.Minute, app, log)
	requests := []Request{{Cookie: "s=1", Channels: []string{"a", "b"}}, {Cookie: "s=2"}, {Cookie: "s=none"}}
	ask := func(c *Cache) (results []Result) {
		for i, q := range requests {
			v, err := c.Authorize(q, uint64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			v.Expires = v.Expires.Round(time.Minute)
			results = append(results, v)
		}
		return results
	}
	want := ask(old)
	b := old.Export(nil)
	c := NewCache(time.Minute, app, log)
	if err := c.Import(b); err != nil {
		t.Fatal(err)
	}
	asked = 0
	if got := ask(c); asked != 1 || !reflect.DeepEqual(got, want) { // a denial is not cached
		t.Errorf("%+v, and asked %d times; want %+v", got, asked, want)
	}
	c.EvictCredential(1)
	c.EvictMatching("s=2", "")
	if asked = 0; len(ask(c)) != 3 || asked != 3 {
		t.Errorf("asked %d times after both were evicted", asked)
	}
	short := NewCache(time.Nanosecond, app, log)
	if err := short.Import(b); err != nil {
		t.Fatal(err)
	}
	if asked = 0; len(ask(short)) != 3 || asked != 3 {
		t.Errorf("asked %d times; responses are used for longer than the cache keeps them", asked)
	}
}

// TestBadCache checks what Export does not write, and that no cache may take one's place.
func TestBadCache(t *testing.T) {
	old := NewCache(time.Minute, appFunc(func(q Request) (Result, error) { return Result{Allowed: true}, nil }), slog.New(slog.DiscardHandler))
	if _, err := old.Authorize(Request{}, 1); err != nil {
		t.Fatal(err)
	}
	b := old.Export(nil)
	var none *Cache
	if err := none.Import(b); err != nil {
		t.Error(err)
	}
	if err := old.Import(none.Export(nil)); err != nil {
		t.Error(err)
	}
	for n := range b {
		if err := none.Import(b[:n]); !errors.Is(err, plainval.ErrBad) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	b[1] = 31 // the salt's length
	if err := none.Import(b); !errors.Is(err, plainval.ErrBad) {
		t.Errorf("another salt: %v", err)
	}
}
