package upgrade

import (
	"bytes"
	"hash/maphash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/http1"
)

// Credential tells the session that a request came with from every other one's: the first of LogoutCookies that it
// has, also as ;jsessionid= in the path. Zero: it has none. Any goroutine may call it.
func (k *Keeper) Credential(cookies [][]byte, target []byte) uint64 {
	if list := k.credentials(cookies, target); len(list) > 0 {
		return list[0]
	}
	return 0
}

// maxCredentials of one client are known.
const maxCredentials = 4

// credentials returns all that Credential chooses from: of a cookie that comes twice, for two paths, nobody but the app
// knows which one counts.
func (k *Keeper) credentials(cookies [][]byte, target []byte) (list []uint64) {
	add := func(name string, value []byte) {
		if c := k.credential(name, value); c != 0 && len(list) < maxCredentials && !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	for _, wanted := range k.o.LogoutCookies {
		for _, line := range cookies {
			for pair := range bytes.SplitSeq(line, []byte(";")) {
				n, value, ok := bytes.Cut(pair, []byte("="))
				if name := http1.TrimOWS(n); ok && isCookie(wanted, name) {
					add(string(name), bytes.Trim(http1.TrimOWS(value), `"`))
				}
			}
		}
		if wanted == "JSESSIONID" {
			if _, value, ok := bytes.Cut(target, []byte(";jsessionid=")); ok {
				if i := bytes.IndexAny(value, ";/?#"); i >= 0 {
					value = value[:i]
				}
				add(wanted, value)
			}
		}
	}
	return list
}

// isCookie reports whether a cookie's name is the wanted one, or begins as that does before a trailing asterisk.
func isCookie(wanted string, name []byte) bool {
	if prefix, ok := strings.CutSuffix(wanted, "*"); ok {
		return bytes.HasPrefix(name, []byte(prefix))
	}
	return string(name) == wanted
}

func (k *Keeper) credential(name string, value []byte) uint64 {
	if len(value) == 0 {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(k.seed)
	_, _ = h.WriteString(name)
	_ = h.WriteByte(0)
	_, _ = h.Write(value)
	return max(h.Sum64(), 1)
}

// Answered looks at what the app answered to a request that came with a credential: the fields of Set-Cookie, and the
// request's path. It may be called on any goroutine.
func (k *Keeper) Answered(credential uint64, path []byte, cookies [][]byte) {
	ask := false
	for _, p := range k.o.LogoutPaths {
		ask = ask || string(path) == p
	}
	if ask {
		k.endings.add(credential)
	}
	gone := map[string]bool{} // by the name of a cookie: it was taken back, and not set anew
	for _, line := range cookies {
		name, fate := k.tookBack(line)
		switch {
		case fate == cleared && !gone[name]:
			_, set := gone[name]
			gone[name] = !set
		case fate == changed:
			gone[name] = false
		}
		// A cookie that is set anew is no logout, whatever was taken back before; the app is asked.
		ask = ask || fate != untouched && !slices.Contains(k.o.OwnPaths, string(path))
	}
	for _, over := range gone {
		if over {
			k.LogOut(credential)
			return
		}
	}
	if ask {
		k.AskAgain(credential)
	}
}

// fate is what a Set-Cookie does to a session.
type fate uint8

const (
	untouched fate = iota
	changed        // there is another
	cleared
)

// tookBack reads a Set-Cookie (RFC 6265 §5.2).
func (k *Keeper) tookBack(line []byte) (cookie string, f fate) {
	pair, _, _ := bytes.Cut(line, []byte(";"))
	name, _, ok := bytes.Cut(pair, []byte("="))
	name = http1.TrimOWS(name)
	if !ok || !slices.ContainsFunc(k.o.LogoutCookies, func(wanted string) bool { return isCookie(wanted, name) }) {
		return "", untouched
	}
	if takesBack(line) {
		return string(name), cleared
	}
	return string(name), changed
}

// takesBack reports whether a Set-Cookie ends its cookie.
func takesBack(line []byte) bool {
	pair, attributes, _ := bytes.Cut(line, []byte(";"))
	_, value, _ := bytes.Cut(pair, []byte("="))
	if v := string(bytes.Trim(http1.TrimOWS(value), `"`)); v == "" || v == "deleted" { // PHP writes that
		return true
	}
	for a := range bytes.SplitSeq(attributes, []byte(";")) {
		n, v, _ := bytes.Cut(a, []byte("="))
		n, v = http1.TrimOWS(n), http1.TrimOWS(v)
		switch {
		case http1.EqualFold(n, "max-age"):
			if age, err := strconv.Atoi(string(v)); err == nil && age <= 0 {
				return true
			}
		case http1.EqualFold(n, "expires"):
			if t, err := http.ParseTime(string(v)); err == nil && t.Before(time.Now()) {
				return true
			}
			if t, err := time.Parse("Mon, 02-Jan-2006 15:04:05 MST", string(v)); err == nil && t.Before(time.Now()) {
				return true // as old apps write it
			}
		}
	}
	return false
}

// LogOut closes what is held with a credential.
func (k *Keeper) LogOut(credential uint64) {
	k.endings.add(credential)
	k.verdicts.dropCredential(credential)
	k.each(credential, func(x *held) { x.expel(401, "logged out", loggedOut) })
}

// AskAgain asks the app whether what is held with a credential is still allowed.
func (k *Keeper) AskAgain(credential uint64) {
	k.verdicts.dropCredential(credential)
	k.each(credential, (*held).reconsider)
}

// userID is a user as endings knows it.
func (k *Keeper) userID(user string) uint64 { return k.credential("", []byte(user)) }

// each runs f with every connection of a credential, on its loop.
func (k *Keeper) each(credential uint64, f func(*held)) {
	for i, l := range k.o.Poller.Loops() {
		l.Post(func() {
			var list []*held
			for x := k.registers[i].credentials[credential]; x != nil; x = x.session.sameCredential.next {
				list = append(list, x)
			}
			for x := range k.registers[i].more[credential] {
				list = append(list, x)
			}
			for _, x := range list {
				if x.session != nil { // f may have ended several
					f(x)
				}
			}
		})
	}
}
