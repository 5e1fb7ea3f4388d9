package access

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/http1"
)

var (
	near = netip.MustParseAddr("10.0.0.1")
	far  = netip.MustParseAddr("192.0.2.1")
)

// headOf parses a request with these fields.
func headOf(t testing.TB, fields ...string) *http1.Head {
	t.Helper()
	h := new(http1.Head)
	text := "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Join(fields, "\r\n")
	if len(fields) > 0 {
		text += "\r\n"
	}
	if r := h.Parse([]byte(text+"\r\n"), http1.Limits{Bytes: 1 << 20, Fields: 100}); r != nil {
		t.Fatal(r)
	}
	return h
}

func login(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// writeUsers writes a file of lines, and returns its name.
func writeUsers(t testing.TB, name string, lines ...string) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func newBasic(t testing.TB, file string, log *slog.Logger) *Basic {
	t.Helper()
	b, err := NewBasic(BasicOptions{File: file, Realm: `the "back" \ office`, Guesses: NewGuesses(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// statusOf is 0 if the request is allowed.
func statusOf(r Result) int {
	if r.Refusal == nil {
		return 0
	}
	return r.Refusal.Status
}

// settle decides as a server does, with a worker for what has to be verified.
func settle(r *Rules, h *http1.Head, client netip.Addr, now time.Time) (_ Result, verified bool) {
	result, attempt := r.Decide(h, client, now)
	if attempt != nil {
		return attempt.Verify(now), true
	}
	return result, false
}

func TestBasic(t *testing.T) {
	r := &Rules{Basic: newBasic(t, writeUsers(t, "users", "alice:"+hashes[0], "bob:"+hashes[6]), nil)}
	now := time.Now()
	for _, tt := range []struct {
		name   string
		fields []string
		status int
		why    Reason
		user   string
	}{
		{"nothing", nil, 401, NoLogin, ""},
		{"bcrypt", []string{login("alice", password)}, 0, "", "alice"},
		{"SHA-crypt", []string{login("bob", password)}, 0, "", "bob"},
		{"another case of the scheme", []string{strings.Replace(login("alice", password), "Basic ", "bAsIc   ", 1)}, 0, "", "alice"},
		{"another's password", []string{login("alice", "x")}, 401, WrongLogin, "alice"},
		{"no user", []string{login("carol", password)}, 401, WrongLogin, "carol"},
		{"empty user", []string{login("", password)}, 401, NoLogin, ""},
		{"no colon", []string{"Authorization: Basic YWxpY2U="}, 401, NoLogin, ""},
		{"not base64", []string{"Authorization: Basic !!!"}, 401, NoLogin, ""},
		{"no padding", []string{strings.TrimRight(login("alice", password), "=")}, 401, NoLogin, ""},
		{"another scheme", []string{"Authorization: Bearer " + strings.TrimPrefix(login("alice", password), "Authorization: Basic ")}, 401, NoLogin, ""},
		{"scheme alone", []string{"Authorization: Basic"}, 401, NoLogin, ""},
		{"control character", []string{login("alice\x00", password)}, 401, NoLogin, ""},
		{"two logins", []string{login("alice", password), login("alice", password)}, 401, NoLogin, ""},
		{"name with an underscore", []string{"Authorization_: x", login("alice", password)}, 0, "", "alice"},
		{"long password", []string{login("alice", strings.Repeat("x", 4000))}, 401, WrongLogin, "alice"},
	} {
		got, _ := settle(r, headOf(t, tt.fields...), far, now)
		status := statusOf(got)
		if status != tt.status || got.Why != tt.why || got.User != tt.user {
			t.Errorf("%s: %d %q, user %q; want %d %q, %q", tt.name, status, got.Why, got.User, tt.status, tt.why, tt.user)
		}
		want := ""
		if tt.status == 401 {
			want = `WWW-Authenticate: Basic realm="the \"back\" \\ office", charset="UTF-8"` + "\r\n"
		}
		if string(got.Challenge) != want {
			t.Errorf("%s: challenge %q; want %q", tt.name, got.Challenge, want)
		}
	}
}

// TestVerifiedOnce: a login is verified once, until its user's line changes.
func TestVerifiedOnce(t *testing.T) {
	file := writeUsers(t, "users", "alice:"+hashes[0])
	r := &Rules{Basic: newBasic(t, file, nil)}
	now := time.Now()
	step := func(what string, p string, status int, verified bool) {
		t.Helper()
		got, worker := settle(r, headOf(t, login("alice", p)), far, now)
		if (got.Refusal == nil) != (status == 0) || got.Refusal != nil && got.Refusal.Status != status || worker != verified {
			t.Fatalf("%s: %+v, by a worker: %v; want %d, %v", what, got.Refusal, worker, status, verified)
		}
	}
	step("first", password, 0, true)
	step("again", password, 0, false)
	now = now.Add(2 * fresh)
	step("after a second the file is looked at", password, 0, true)
	step("and it was not changed", password, 0, false)
	writeUsers(t, file, "alice:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	step("within that second", password, 0, false)
	now = now.Add(2 * fresh)
	step("another password", password, 401, true)
	os.Remove(file)
	now = now.Add(2 * fresh)
	step("no file", password, 500, true)
	step("still no file", password, 500, true)
	writeUsers(t, file, "alice:"+hashes[1])
	step("a file again", password, 0, true)
	step("and known", password, 0, false)
}

// TestOtherUsersChange: a login stays known while its own line does, and no longer.
func TestOtherUsersChange(t *testing.T) {
	alice, bob := "alice:"+hashes[0], "bob:"+hashes[3]
	file := writeUsers(t, "users", alice)
	r := &Rules{Basic: newBasic(t, file, nil)}
	now := time.Now()
	for i, tt := range []struct {
		lines  []string
		known  bool
		status int
	}{
		{[]string{alice}, false, 0},
		{[]string{"# more", alice, bob}, true, 0},
		{[]string{"alice:" + hashes[1], bob}, false, 0}, // another hash of the same password
		{[]string{bob, "carol:" + hashes[1]}, false, 401},
		{[]string{bob, alice}, false, 0},
		{[]string{bob}, false, 401},
	} {
		now = now.Add(2 * fresh)
		writeUsers(t, file, tt.lines...)
		u, err := r.Basic.read(now)
		if err != nil {
			t.Fatal(err)
		}
		if u.knows(hashLogin("alice", password), now) != tt.known {
			t.Errorf("%d: is known: %v", i, !tt.known)
		}
		got, _ := settle(r, headOf(t, login("alice", password)), far, now)
		if status := statusOf(got); status != tt.status {
			t.Errorf("%d: %d; want %d", i, status, tt.status)
		}
	}
}

// TestGuesses: an address that fails too often is refused without a look at what it sends. Others, and logins that are known, are
// not.
func TestGuesses(t *testing.T) {
	r := &Rules{Basic: newBasic(t, writeUsers(t, "users", "alice:"+hashes[3], "bob:"+hashes[4]), nil)}
	now := time.Now()
	if got, _ := settle(r, headOf(t, login("bob", password)), far, now); got.Refusal != nil {
		t.Fatal(got.Refusal)
	}
	failed := 0
	for range 100 {
		got, worker := settle(r, headOf(t, login("alice", "guess")), far, now)
		switch {
		case got.Why == WrongLogin:
			failed++
		case got.Why != Guessing || got.Refusal.Status != 429 || got.Refusal.After <= 0 || worker:
			t.Fatalf("%+v %+v", got, got.Refusal)
		}
	}
	if failed != 1+guessBurst {
		t.Errorf("%d guesses were verified", failed)
	}
	for who, want := range map[string]Reason{"alice": Guessing, "bob": ""} {
		if got, _ := settle(r, headOf(t, login(who, password)), far, now); got.Why != want {
			t.Errorf("%s, of the same address: %q", who, got.Why)
		}
	}
	if got, _ := settle(r, headOf(t, login("alice", password)), near, now); got.Refusal != nil {
		t.Errorf("of another address: %v", got.Refusal)
	}
	now = now.Add(2 * fresh)
	if got, worker := settle(r, headOf(t, login("bob", password)), far, now); got.Refusal != nil || !worker {
		t.Errorf("a login that is known, when the file has to be looked at again: %v", got.Refusal)
	}
	now = now.Add(guessEvery)
	if got, worker := settle(r, headOf(t, login("alice", password)), far, now); got.Refusal != nil && worker {
		t.Errorf("later: %v", got.Refusal)
	}
}

func TestRules(t *testing.T) {
	addresses, err := NewAddresses([]string{"10.0.0.0/8"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	basic := newBasic(t, writeUsers(t, "users", "alice:"+hashes[3]), nil)
	good, bad := headOf(t, login("alice", password)), headOf(t, login("alice", "x"))
	for _, tt := range []struct {
		name   string
		rules  *Rules
		head   *http1.Head
		client netip.Addr
		status int
	}{
		{"none", nil, bad, far, 0},
		{"empty", &Rules{}, bad, far, 0},
		{"address", &Rules{Addresses: addresses}, bad, near, 0},
		{"another address", &Rules{Addresses: addresses}, good, far, 403},
		{"another address, 404", &Rules{Addresses: addresses, Status: 404}, good, far, 404},
		{"unix socket", &Rules{Addresses: addresses}, good, netip.Addr{}, 403},
		{"both", &Rules{Addresses: addresses, Basic: basic}, good, near, 0},
		{"both, without a login", &Rules{Addresses: addresses, Basic: basic}, bad, near, 401},
		{"both, without an address", &Rules{Addresses: addresses, Basic: basic}, good, far, 403},
		{"any, by address", &Rules{Addresses: addresses, Basic: basic, Any: true}, bad, near, 0},
		{"any, by login", &Rules{Addresses: addresses, Basic: basic, Any: true}, good, far, 0},
		{"any, by neither", &Rules{Addresses: addresses, Basic: basic, Any: true}, bad, far, 401},
		{"any, without addresses", &Rules{Basic: basic, Any: true}, bad, far, 401},
		{"any, without basic", &Rules{Addresses: addresses, Any: true}, good, far, 403},
	} {
		got, _ := settle(tt.rules, tt.head, tt.client, time.Now())
		status := statusOf(got)
		if status != tt.status {
			t.Errorf("%s: %d; want %d", tt.name, status, tt.status)
		}
	}
}

func TestBadFiles(t *testing.T) {
	if _, err := NewBasic(BasicOptions{File: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a file that is not there")
	}
	if _, err := NewBasic(BasicOptions{File: t.TempDir()}); err == nil {
		t.Error("a directory")
	}
	if _, err := NewBasic(BasicOptions{File: writeUsers(t, "users", "a:"+hashes[3]), Realm: "a\r\nb"}); err == nil {
		t.Error("a realm with a line break")
	}
	var log bytes.Buffer
	file := writeUsers(t, "users", "alice:secret", "bob:"+hashes[3])
	r := &Rules{Basic: newBasic(t, file, slog.New(slog.NewTextHandler(&log, nil)))}
	if got, _ := settle(r, headOf(t, login("alice", "secret")), far, time.Now()); got.Why != WrongLogin {
		t.Errorf("a password that is not hashed: %+v", got)
	}
	if got, _ := settle(r, headOf(t, login("bob", password)), far, time.Now()); got.Refusal != nil {
		t.Errorf("the other line: %v", got.Refusal)
	}
	if !strings.Contains(log.String(), "line 1: has a password that is not hashed") || strings.Contains(log.String(), "secret") {
		t.Error(log.String())
	}
	for _, tt := range []struct{ file, want string }{
		{file, "line 1"}, {writeUsers(t, "users", "# nobody"), "has no users"}, {"/nonexistent", "no such file"}, {writeUsers(t, "users", "bob:"+hashes[3]), ""},
	} {
		err := CheckUsers(tt.file)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("CheckUsers: %v; want %q", err, tt.want)
		}
	}
}

// TestKnownLoginIsCheap: what every request of a page costs.
func TestKnownLoginIsCheap(t *testing.T) {
	r := &Rules{Basic: newBasic(t, writeUsers(t, "users", "alice:"+hashes[3]), nil)}
	now := time.Now()
	h := headOf(t, login("alice", password))
	settle(r, h, far, now)
	if n := testing.AllocsPerRun(100, func() { r.Decide(h, far, now) }); n > 4 {
		t.Errorf("%v allocations", n)
	}
	none := (*Rules)(nil)
	if n := testing.AllocsPerRun(100, func() { none.Decide(h, far, now) }); n != 0 {
		t.Errorf("%v allocations without rules", n)
	}
}
