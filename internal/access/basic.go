package access

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/rate"
	"holdfast/internal/throttle"
)

const (
	fresh       = time.Second     // for how long a look at the file is good
	guessEvery  = 6 * time.Second // an address may fail that often
	guessBurst  = 10              // and so many times more at once
	maxPassword = 1 << 10         // bytes; more are hashed for nobody
)

// NewGuesses returns a limit on the failed logins of each address, for all Basics of a process: an address that has failed too
// often gets 429 without a look at its password.
func NewGuesses() *rate.Limiter { return rate.NewEvery(guessEvery, guessBurst) }

// BasicOptions of a Basic.
type BasicOptions struct {
	File    string // of htpasswd
	Realm   string // what browsers show; empty: "Restricted"
	Guesses *rate.Limiter
	Log     *slog.Logger
}

// Basic verifies logins by the Basic scheme (RFC 7617). Any goroutine may use it.
type Basic struct {
	o         BasicOptions
	challenge []byte

	users   atomic.Pointer[users] // nil: the file cannot be read
	checked atomic.Int64          // when the file was looked at, in Unix nanoseconds

	mu   sync.Mutex // guards what follows, and reading the file
	info os.FileInfo
	bad  throttle.Throttle
}

// NewBasic reads the file. Bad lines are logged, and their users have no access.
func NewBasic(o BasicOptions) (*Basic, error) {
	if o.Realm == "" {
		o.Realm = "Restricted"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if !ValidRealm(o.Realm) {
		return nil, errors.New("access: the realm has a control character")
	}
	b := &Basic{o: o}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(o.Realm)
	b.challenge = fmt.Appendf(nil, "WWW-Authenticate: Basic realm=\"%s\", charset=\"UTF-8\"\r\n", quoted)
	if _, err := b.read(time.Now()); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	return b, nil
}

// ValidRealm reports whether a text can be a realm.
func ValidRealm(s string) bool { return validUser(s) }

// read reads the file if it has changed, and returns its users.
func (b *Basic) read(now time.Time) (*users, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	info, err := os.Stat(b.o.File)
	if was := b.info; err == nil && was != nil && os.SameFile(was, info) && was.Size() == info.Size() && was.ModTime().Equal(info.ModTime()) {
		b.checked.Store(now.UnixNano())
		return b.users.Load(), nil
	}
	u, info, bad, err := readUsers(b.o.File)
	if err != nil {
		b.info = nil
		b.users.Store(nil)
		if total, due := b.bad.Due(now); due {
			b.o.Log.Error("file of users not read; nobody has access", "key", "basic_auth", "file", b.o.File, "error", err, "total", total)
		}
		return nil, err
	}
	for i, err := range bad {
		if i == 10 {
			b.o.Log.Warn("more lines of the file of users are bad", "file", b.o.File, "total", len(bad))
			break
		}
		b.o.Log.Warn("line of the file of users left out", "key", "basic_auth", "file", b.o.File, "error", err)
	}
	b.info = info
	u.keep(b.users.Load())
	b.users.Store(u)
	b.checked.Store(now.UnixNano())
	return u, nil
}

// Attempt is a login that has to be verified.
type Attempt struct {
	basic          *Basic
	user, password string
	login          [32]byte
	client         netip.Addr
}

// parseLogin reads the Authorization of a request, of which there must be one.
func parseLogin(h *http1.Head) (user, password string, ok bool) {
	n := 0
	var value []byte
	for i := range h.Fields {
		if f := &h.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "authorization") {
			value = f.Value
			n++
		}
	}
	scheme, value, _ := bytes.Cut(value, []byte(" "))
	if n != 1 || !http1.EqualFold(scheme, "basic") {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(string(http1.TrimOWS(value)))
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(text), ":")
	return user, password, ok && user != "" && validUser(user)
}

// decide returns the result for a request, or what has to be verified first.
func (b *Basic) decide(h *http1.Head, client netip.Addr, now time.Time) (Result, *Attempt) {
	user, password, ok := parseLogin(h)
	if !ok {
		return b.refuse(NoLogin, ""), nil
	}
	a := &Attempt{basic: b, user: user, password: password, login: hashLogin(user, password), client: client}
	isFresh := now.UnixNano()-b.checked.Load() < int64(fresh)
	u := b.users.Load()
	known := u != nil && u.knows(a.login, now)
	if known && isFresh {
		return Result{User: user}, nil
	}
	if r, ok := b.guesses(client, now); !ok && !known { // who is known has not guessed, whoever else has the address
		r.User = user
		return r, nil
	}
	return Result{}, a
}

// guesses refuses an address that has failed too often.
func (b *Basic) guesses(client netip.Addr, now time.Time) (Result, bool) {
	wait, ok := b.o.Guesses.Room(client, now)
	if ok {
		return Result{}, true
	}
	return Result{Why: Guessing, Refusal: &http1.Refusal{Status: 429, Reason: "too many failed logins of this address; see basic_auth", After: wait}}, false
}

// Verify verifies the login. It may block, and take long.
func (a *Attempt) Verify(now time.Time) Result {
	b := a.basic
	u, err := b.read(now)
	switch {
	case err != nil:
		return Result{Why: NoFile, User: a.user, Refusal: &http1.Refusal{Status: 500, Reason: "file of basic_auth cannot be read"}}
	case u.knows(a.login, now):
		return Result{User: a.user}
	}
	if r, ok := b.guesses(a.client, now); !ok { // others may have failed meanwhile
		r.User = a.user
		return r
	}
	if len(a.password) > maxPassword || !u.verify(a.user, a.password) {
		b.o.Guesses.Admit(a.client, now)
		return b.refuse(WrongLogin, a.user)
	}
	u.remember(a.user, a.login, now)
	return Result{User: a.user}
}

var reasons = map[Reason]string{
	NoLogin:    "no login, which basic_auth requires",
	WrongLogin: "unknown user or wrong password; see basic_auth",
}

func (b *Basic) refuse(why Reason, user string) Result {
	return Result{Why: why, User: user, Challenge: b.challenge, Refusal: &http1.Refusal{Status: 401, Reason: reasons[why]}}
}
