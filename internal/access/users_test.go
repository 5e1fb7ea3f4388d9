package access

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const password = "pa:ss wörd"

// hashes are of password, made by htpasswd, openssl and crypt(3).
var hashes = []string{
	"$2y$05$nLPqvX8tFtSR1iG5bQSqquqAODhQalXtwDeCNjGOpwyT/6vx2nwSu",
	"$apr1$B/yv96/2$iA3.3T6nfiGf93wjW0om5.",
	"$1$abcdefgh$628452QtYZlNKJP3TsuUq.",
	"{SHA}cRQ3iPZN/cUFUyAxdC91S5hcXvA=",
	"{SSHA}kReu26RNVwPkug6K03BhQwuEHhxzYWx0",
	"$5$bapM4mAnUS1dM0Mq$2b0Ik3KjlHVqXUD9pvxTU.57ORPUBLpszpW4gGAT6Z9",
	"$6$Y2W.GkQJqEqJd3V4$HtCesz7Uy8Z7j6.C.OhdrpEag79ur1n1iQQlYWNiZDLP4YtCThErJeGRJckX3yEyj1pJoXqhSvd.D9XpM29yz0",
	"$6$saltstring$MPZ4cFGdNvHk0bJ.0Ia0APNt0HyoJZuywo4HX7ND22OZfYHM5QguLTRYGd58NDbiuEXH9Kz3IlKdFvSVdrw/F0",
	"$6$rounds=1500$abcdefghijklmnop$jCI9fJC0yKv3Y2TIs.67a6gQXmfa2acla.vg0LFUVuQL6OvZS1L8XFc9qNctt9TButyz86b88Mw2NcsNDWNOw.",
}

func TestUsers(t *testing.T) {
	var file strings.Builder
	file.WriteString("# a comment\n\n   \r\n")
	for i, h := range hashes {
		fmt.Fprintf(&file, "user%d:%s:a comment\r\nuser%d:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", i, h, i) // the first line of a user counts
	}
	file.WriteString("üser name:" + hashes[0] + "\nempty:$2y$05$oT7ZtyXEyoMjmhHADUkoS.JAzGcNxoSra8TEAFyYS/iZmrG3tCx9.")
	u, bad := parseUsers([]byte(file.String()))
	if len(bad) > 0 || len(u.passwords) != len(hashes)+2 {
		t.Fatalf("%d users, errors %v", len(u.passwords), bad)
	}
	for i := range hashes {
		for p, want := range map[string]bool{password: true, "pa": false, "": false, password + " ": false, strings.ToUpper(password): false} {
			if u.verify(fmt.Sprint("user", i), p) != want {
				t.Errorf("%s with %q: %v", hashes[i], p, !want)
			}
		}
	}
	if !u.verify("üser name", password) || u.verify("User0", password) || u.verify("nobody", password) || u.verify("", "") {
		t.Error("users are mixed up")
	}
	if !u.verify("empty", "") || u.verify("empty", "x") {
		t.Error("an empty password")
	}
}

func TestBadLines(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"alice", "has no colon"},
		{":" + hashes[0], "has no user"},
		{"a\tb:" + hashes[0], "control character"},
		{"a:secret", "is not hashed"},
		{"a:", "is not hashed"},
		{"a:rqXexS6ZhobKA", "by an unknown method"}, // crypt(3) with DES
		{"a:{PLAIN}secret", "is not hashed"},
		{"a:{SHA}cRQ3", "damaged"},
		{"a:{SHA}!!!", "damaged"},
		{"a:{SSHA}cRQ3", "damaged"},
		{"a:$2y$05$nLPqvX8tFtSR1iG5bQSqq", "damaged"},
		{"a:$2y$99$nLPqvX8tFtSR1iG5bQSqquqAODhQalXtwDeCNjGOpwyT/6vx2nwSu", "damaged"},
		{"a:$2y$17$nLPqvX8tFtSR1iG5bQSqquqAODhQalXtwDeCNjGOpwyT/6vx2nwSu", "cost 17"},
		{"a:$2y$05$nLPqvX8tFtSR1iG5bQSqquqAODhQalXtwDeCNjGOpwyT/6vx2nw!u", "damaged"},
		{"a:$6$", "damaged"}, {"a:$6$salt", "damaged"}, {"a:$6$salt$short", "damaged"}, {"a:$5$$" + strings.Repeat("a", 43), "damaged"},
		{"a:$6$rounds=999$salt$" + strings.Repeat("a", 86), "999 rounds"},
		{"a:$6$rounds=999999999$salt$" + strings.Repeat("a", 86), "rounds"},
		{"a:$6$rounds=05000$salt$" + strings.Repeat("a", 86), "damaged"},
		{"a:$6$rounds=x$salt$" + strings.Repeat("a", 86), "damaged"},
		{"a:$6$saltsaltsaltsalts$" + strings.Repeat("a", 86), "damaged"},
		{"a:$5$salt$" + strings.Repeat("a", 86), "damaged"},
		{"a:$apr1$toolongsalt$" + strings.Repeat("a", 22), "damaged"}, {"a:$apr1$salt", "damaged"}, {"a:$1$", "damaged"},
		{"a:$argon2id$v=19$m=1$x$y", "by an unknown method"},
		{"a:" + strings.Repeat("x", 5000), "longer"},
	} {
		u, bad := parseUsers([]byte("ok:" + hashes[3] + "\n" + tt.line + "\n"))
		if len(bad) != 1 || !errors.Is(bad[0], ErrUsers) || !strings.Contains(bad[0].Error(), tt.want) || !strings.HasPrefix(bad[0].Error(), "line 2: ") {
			t.Errorf("%s: errors %v; want %q", tt.line, bad, tt.want)
		} else if _, hash, _ := strings.Cut(tt.line, ":"); hash != "" && len(hash) > 6 && strings.Contains(bad[0].Error(), hash) {
			t.Errorf("%s: the message has the hash", tt.line)
		}
		if len(u.passwords) != 1 || !u.verify("ok", password) {
			t.Errorf("%s: the other line is lost", tt.line)
		}
	}
}

// TestTwoLines: the first line of a user counts, also if it is bad, as one is that somebody has put out of use.
func TestTwoLines(t *testing.T) {
	for _, first := range []string{"a:!" + hashes[3], "a:", "a", "a:" + strings.Repeat("x", 5000), "a:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA="} {
		if u, _ := parseUsers([]byte(first + "\na:" + hashes[3] + "\n")); u.verify("a", password) {
			t.Errorf("%.20s: the second line counts", first)
		}
	}
	if u, _ := parseUsers([]byte("#a:x\na:" + hashes[3] + "\n")); !u.verify("a", password) {
		t.Error("a comment counts")
	}
}

// TestKnownLogins: what is known is bounded, ends, and is one pair of user and password.
func TestKnownLogins(t *testing.T) {
	u, _ := parseUsers(nil)
	now := time.Unix(1000, 0)
	u.remember("a", hashLogin("a", "bc"), now)
	if !u.knows(hashLogin("a", "bc"), now) || u.knows(hashLogin("ab", "c"), now) || u.knows(hashLogin("", "abc"), now) {
		t.Error("another login is known")
	}
	if u.knows(hashLogin("a", "bc"), now.Add(verifiedFor)) {
		t.Error("a login is known for ever")
	}
	for i := range 3 * maxVerified {
		u.remember("u", hashLogin("u", fmt.Sprint(i)), now)
	}
	if len(u.verified) > maxVerified {
		t.Errorf("%d logins are known", len(u.verified))
	}
	if !u.knows(hashLogin("u", fmt.Sprint(3*maxVerified-1)), now) {
		t.Error("the newest login is not known")
	}
}

// FuzzUsers: no file panics, and no password that is not in it is accepted.
func FuzzUsers(f *testing.F) {
	for _, h := range hashes {
		f.Add("a:"+h, "x")
	}
	f.Add("a:$6$rounds=1000$$", "")
	f.Fuzz(func(t *testing.T, file, password string) {
		u, _ := parseUsers([]byte(file))
		for user := range u.passwords {
			if !strings.Contains(file, "$2") && !strings.Contains(file, "rounds=") { // they take long
				u.verify(user, password)
			}
			if !validUser(user) || user == "" {
				t.Errorf("user %q", user)
			}
		}
	})
}
