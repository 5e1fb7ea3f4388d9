package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tg123/go-htpasswd"
	"golang.org/x/crypto/bcrypt"
)

const (
	maxFile     = 8 << 20   // bytes of a file of users
	maxLine     = 4 << 10   // bytes of a line
	maxCost     = 16        // of bcrypt: some seconds
	maxRounds   = 1_000_000 // of SHA-crypt: about a second
	maxVerified = 4096      // logins that are known
	verifiedFor = time.Hour
)

// ErrUsers is what all errors of parseUsers are.
var ErrUsers = errors.New("bad line in a file of users")

type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string        { return fmt.Sprintf("line %d: %s", e.line, e.text) }
func (e *lineError) Is(target error) bool { return target == ErrUsers }

// users is the content of one version of a file.
type users struct {
	passwords map[string]storedPassword
	dummy     htpasswd.EncodedPasswd // verified for a user that there is not, so that this takes as long; nil: the file is empty

	mu       sync.Mutex              // guards what follows
	verified map[[32]byte]knownLogin // by the keyed hashes of logins
}

// storedPassword is that of a user, with its hash as the file has it.
type storedPassword struct {
	htpasswd.EncodedPasswd
	hash string
}

// knownLogin is a login that was verified.
type knownLogin struct {
	user  string
	until int64 // in Unix nanoseconds
}

// parseUsers reads a file of htpasswd. Lines that are bad are left out, and reported; of lines with the same user, the first
// counts.
func parseUsers(data []byte) (*users, []error) {
	u := &users{passwords: map[string]storedPassword{}, verified: map[[32]byte]knownLogin{}}
	var bad []error
	seen := map[string]bool{} // users that had a line
	n, best := 0, 0
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimRight(string(line), "\r\n")
		if trimmed := strings.TrimSpace(text); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		user, hash, found := strings.Cut(text, ":")
		hash, _, _ = strings.Cut(hash, ":") // what follows is a comment, as for nginx
		hash = strings.TrimSpace(hash)
		p, cost, err := htpasswd.EncodedPasswd(nil), 0, error(nil)
		switch {
		case len(text) > maxLine:
			err = errors.New("is longer than 4 KB")
		case !found:
			err = errors.New("has no colon; want user:hash")
		case user == "" || !validUser(user):
			err = errors.New("has no user, or one with a control character")
		default:
			p, cost, err = parseHash(hash)
		}
		twice := seen[user]
		seen[user] = true
		if err != nil {
			bad = append(bad, &lineError{n, err.Error()})
			continue
		}
		if !twice {
			u.passwords[user] = storedPassword{p, hash}
		}
		if cost > best {
			u.dummy, best = p, cost
		}
	}
	return u, bad
}

// validUser reports whether a name has no control character, which no app expects in REMOTE_USER.
func validUser(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

const hashLetters = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	errPlain = errors.New("has a password that is not hashed, or by an unknown method; make the line by htpasswd -B, which hashes by bcrypt")
	errHash  = errors.New("has a hash that is cut off or damaged")
)

// parseHash reads a hash. cost grows with the time that it takes to verify it. The form is checked here, as what does not have
// it is a fault in the library's functions.
func parseHash(s string) (p htpasswd.EncodedPasswd, cost int, err error) {
	var accept htpasswd.PasswdParser
	switch {
	case strings.HasPrefix(s, "$2"):
		c, err := bcrypt.Cost([]byte(s))
		switch {
		case err != nil || len(s) != 60 || strings.Trim(s[7:], hashLetters) != "":
			return nil, 0, errHash
		case c > maxCost:
			return nil, 0, fmt.Errorf("has a bcrypt hash of cost %d; want at most %d", c, maxCost)
		}
		accept, cost = htpasswd.AcceptBcrypt, 1<<c*100
	case strings.HasPrefix(s, "$5$"), strings.HasPrefix(s, "$6$"):
		length := 43
		if s[1] == '6' {
			length = 86
		}
		if cost, err = checkSHACrypt(s[3:], length); err != nil {
			return nil, 0, err
		}
		accept = htpasswd.AcceptCryptSha
	case strings.HasPrefix(s, "$apr1$"), strings.HasPrefix(s, "$1$"):
		salt, hash, ok := strings.Cut(s[strings.IndexByte(s[1:], '$')+2:], "$")
		if !ok || len(salt) > 8 || len(hash) != 22 || strings.Trim(salt+hash, hashLetters) != "" {
			return nil, 0, errHash
		}
		accept, cost = htpasswd.AcceptMd5, 1000
	case strings.HasPrefix(s, "{SHA}"):
		accept, cost = htpasswd.AcceptSha, 1
	case strings.HasPrefix(s, "{SSHA}"):
		accept, cost = htpasswd.AcceptSsha, 1
	default:
		return nil, 0, errPlain
	}
	if p, err = accept(s); err != nil || p == nil {
		return nil, 0, errHash // not err, which has the hash
	}
	return p, cost, nil
}

// checkSHACrypt checks what follows $5$ or $6$: the number of rounds, the salt, and a hash of that length.
func checkSHACrypt(s string, length int) (rounds int, err error) {
	rounds = 5000
	if rest, ok := strings.CutPrefix(s, "rounds="); ok {
		number, after, _ := strings.Cut(rest, "$")
		rounds, err = strconv.Atoi(number)
		switch {
		case err != nil || strconv.Itoa(rounds) != number:
			return 0, errHash
		case rounds < 1000 || rounds > maxRounds:
			return 0, fmt.Errorf("has a hash of %d rounds; want 1000 to %d", rounds, maxRounds)
		}
		s = after
	}
	salt, hash, ok := strings.Cut(s, "$")
	if !ok || salt == "" || len(salt) > 16 || len(hash) != length || strings.Trim(hash, hashLetters) != "" || !validUser(salt) {
		return 0, errHash
	}
	return rounds, nil
}

// verify reports whether a user has a password. It takes as long for a user that there is not.
func (u *users) verify(user, password string) bool {
	p, ok := u.passwords[user]
	if !ok {
		if u.dummy != nil {
			u.dummy.MatchesPassword(password)
		}
		return false
	}
	return p.MatchesPassword(password)
}

// secret is the key of the hashes of logins.
var secret = func() (key [32]byte) {
	rand.Read(key[:])
	return key
}()

// hashLogin returns the keyed hash of a login.
func hashLogin(user, password string) [32]byte {
	b := make([]byte, 0, 256)
	b = append(b, secret[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(user)))
	return sha256.Sum256(append(append(b, user...), password...))
}

// knows reports whether a login was verified.
func (u *users) knows(login [32]byte, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	l, ok := u.verified[login]
	return ok && now.UnixNano() < l.until
}

// remember notes that a user's login was verified.
func (u *users) remember(user string, login [32]byte, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.verified) >= maxVerified {
		at := now.UnixNano()
		maps.DeleteFunc(u.verified, func(_ [32]byte, l knownLogin) bool { return l.until <= at })
		for l := range u.verified {
			if len(u.verified) < maxVerified {
				break
			}
			delete(u.verified, l)
		}
	}
	u.verified[login] = knownLogin{user, now.Add(verifiedFor).UnixNano()}
}

// keep takes over the logins of an earlier version of the file, nil if there is none, whose users have the same hashes still:
// otherwise a user that is added would have all others verified again.
func (u *users) keep(was *users) {
	if was == nil {
		return
	}
	was.mu.Lock()
	defer was.mu.Unlock()
	for login, l := range was.verified {
		if p, ok := u.passwords[l.user]; ok && p.hash == was.passwords[l.user].hash {
			u.verified[login] = l
		}
	}
}

// readUsers reads a file.
func readUsers(name string) (u *users, info os.FileInfo, bad []error, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, nil, fmt.Errorf("%s is no plain file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, nil, nil, err
	case len(data) > maxFile:
		return nil, nil, nil, fmt.Errorf("%s is larger than %d MB", name, maxFile>>20)
	}
	u, bad = parseUsers(data)
	return u, info, bad, nil
}

// CheckUsers returns what is wrong with a file of users: that it cannot be read, or bad lines.
func CheckUsers(name string) error {
	u, _, bad, err := readUsers(name)
	switch {
	case err != nil:
		return err
	case len(bad) > 0:
		return fmt.Errorf("%s: %w", name, bad[0])
	case len(u.passwords) == 0:
		return fmt.Errorf("%s has no users; add one by htpasswd -B", name)
	}
	return nil
}
