package heldrecord

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"testing"
	"time"

	"holdfast/internal/plainval"
)

var update = flag.Bool("update", false, "write the golden files of the present version")

var at = time.Unix(1795000000, 123456789)

// examples have every field, and each kind of connection.
var examples = map[string]*Record{
	"sse": {Dialect: "sse", ID: "abcdefghijkl-7-1f", Channels: []Channel{{"public.a", "public"}}},
	"websocket": {
		Dialect: "websocket v1, deflated", ID: "abcdefghijkl-8-3", Channels: []Channel{{"orders.*", "authorize"}, {"user.ann", "token"}},
		Client: netip.MustParseAddrPort("[2001:db8::1]:1234"), Session: &Session{
			Told: true, User: "ann", Rank: 4, Credentials: []uint64{1, 1<<64 - 1}, Grant: &Grant{User: "ann", ExpiresAt: at, Channels: []string{"user.*"}},
			Ask: request(), Asking: true, Expires: at.Add(1), Failing: at.Add(2), NextHeartbeat: at.Add(3),
		},
		Queue: []Item{
			{Bytes: []byte("rest"), Counted: true}, {Message: 1795000000000 << 20, Channel: "orders.1", Gap: true, Counted: true},
			{Message: 1795000000000<<20 + 1, Channel: "orders.1"},
		},
		Pongs: [2][]byte{{0x8a, 0}, []byte("pong")}, Reported: true, Pinged: true, Stalled: true, Paused: true, Lead: time.Second,
		Inbound: &Inbound{
			Login: request(), FrameErrors: 3, Queued: []Message{{[]byte("one"), 1}, {nil, 2}}, Unread: []byte{0x81, 0xfe}, Since: at,
			Open: &Open{Op: 1, Received: 3, Whole: true, Body: []byte("a\xe2\x82"), Tail: []byte("\xe2\x82"), Deflated: true},
		},
	},
	"longpoll": {
		Dialect: "longpoll", ID: "abcdefghijkl-9-5", Answered: true, Client: netip.MustParseAddrPort("192.0.2.1:0"),
		Session: &Session{Grant: &Grant{}}, Poll: &Poll{Rest: []byte("GET "), Fields: "Vary: Origin\r\n", Close: true, Gzip: true},
	},
}

func request() *Request {
	return &Request{
		Channels: []string{"orders.*"}, Host: "app.test", Cookie: "s=1", Authorization: "Bearer z", UserAgent: "me", AcceptLanguage: "de",
		Proto: "https", ClientAddr: "192.0.2.1", ForwardedFor: "192.0.2.1, 192.0.2.2", ForwardedHost: "www.test", ForwardedPort: "443",
	}
}

// TestExamplesAreWhole checks that the examples have every field, so that the golden files do.
func TestExamplesAreWhole(t *testing.T) {
	set := map[string]bool{}
	var walk func(name string, v reflect.Value)
	walk = func(name string, v reflect.Value) {
		set[name] = set[name] || !v.IsZero()
		switch {
		case v.Kind() == reflect.Pointer && !v.IsNil():
			walk(name, v.Elem())
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(name, v.Index(i))
			}
		case v.Kind() == reflect.Struct && v.Type().PkgPath() == "holdfast/internal/heldrecord":
			for i := range v.NumField() {
				walk(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	for _, r := range examples {
		walk("Record", reflect.ValueOf(r))
	}
	for name, is := range set {
		if !is {
			t.Errorf("no example has %s", name)
		}
	}
}

// TestGolden reads what every version has written. A file of a version that was released is never changed.
func TestGolden(t *testing.T) {
	for name, want := range examples {
		now := Append(nil, want)
		golden := func(version int) string { return fmt.Sprintf("testdata/%s.v%d.bin", name, version) }
		if *update {
			if err := os.WriteFile(golden(Version), now, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for version := 1; version <= Version; version++ {
			file, err := os.ReadFile(golden(version))
			if err != nil {
				t.Fatal(err)
			}
			if version == Version && !bytes.Equal(file, now) {
				t.Errorf("%s: what is written has changed, and the version has not", name)
			}
			if got, err := Parse(uint16(version), file); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, version %d: %+v, %v", name, version, got, err)
			}
		}
	}
}

func TestBadRecords(t *testing.T) {
	whole := Append(nil, examples["websocket"])
	for n := range whole {
		if _, err := Parse(Version, whole[:n]); !errors.Is(err, plainval.ErrBad) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := Parse(Version, append(whole, 0)); !errors.Is(err, plainval.ErrBad) {
		t.Errorf("a byte too many: %v", err)
	}
	for _, version := range []uint16{0, Version + 1} {
		if _, err := Parse(version, whole); err == nil {
			t.Errorf("version %d is read", version)
		}
	}
	for _, i := range []Item{{}, {Gap: true, Bytes: []byte("a")}, {Message: 1}, {Channel: "a"}, {Message: 1, Channel: "a", Bytes: []byte("a")}} {
		if _, err := Parse(Version, Append(nil, &Record{Queue: []Item{i}})); !errors.Is(err, plainval.ErrBad) {
			t.Errorf("%+v: %v", i, err)
		}
	}
	for _, o := range []Open{{}, {Op: 1, Tail: []byte("abcd")}, {Op: 1, Body: []byte("abc"), Received: 2}} {
		if _, err := Parse(Version, Append(nil, &Record{Inbound: &Inbound{Open: &o}})); !errors.Is(err, plainval.ErrBad) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestRecordIsACopy checks that a record may outlive what it was read from.
func TestRecordIsACopy(t *testing.T) {
	b := Append(nil, examples["websocket"])
	r, err := Parse(Version, b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !reflect.DeepEqual(r, examples["websocket"]) {
		t.Errorf("%+v", r)
	}
}

// FuzzParse: what is read is what would be written.
func FuzzParse(f *testing.F) {
	for _, r := range examples {
		f.Add(Append(nil, r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(Version, b)
		if err != nil {
			return
		}
		if again := Append(nil, r); !bytes.Equal(again, b) {
			t.Errorf("%x was read, and is written as %x", b, again)
		}
	})
}
