package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/internal/auth"
	"holdfast/internal/strictjson"
)

const (
	maxToken = 8 << 10 // bytes: as much as other servers take of a field
	maxUser  = 255     // bytes, as of an authorization's
	maxAge   = 10 * 365 * 24 * time.Hour
)

// Why a token is refused.
var (
	ErrTooLong   = fmt.Errorf("token is longer than %d bytes", maxToken)
	ErrMalformed = errors.New("malformed JWT: want three parts in base64url without padding, two of JSON, and claims of the right type")
	ErrAlgorithm = errors.New("signed with another algorithm than push.jwt has the key for (alg)")
	ErrNoKeyID   = errors.New("names no key of push.jwt.keys (kid)")
	ErrKeyID     = errors.New("names a key that push.jwt.keys does not have (kid)")
	ErrCritical  = errors.New("has a critical extension that is not supported (crit)")
	ErrSignature = errors.New("the signature is wrong: another key, or changed since")
	ErrClaim     = errors.New("invalid claim")
	ErrNoExpiry  = errors.New("has no expiry time (exp)")
	ErrExpired   = errors.New("expired (exp)")
	ErrNotYet    = errors.New("not valid yet (nbf)")
	ErrFuture    = errors.New("issued in the future; compare the clocks (iat)")
	ErrAudience  = errors.New("for another audience than push.jwt.audience (aud)")
	ErrIssuer    = errors.New("from another issuer than push.jwt.issuer (iss)")
)

// Options of a Verifier. Secret or PublicKey is required, and not both, unless there are Keys.
type Options struct {
	Secret    string // of HS256
	PublicKey []byte // PEM; RSA is for RS256, Ed25519 for EdDSA

	Keys map[string]Key // for tokens that name one (kid, RFC 7515 §4.1.4); the one above is then for the others

	Issuer, Audience string        // what a token must have; empty: anything
	Leeway           time.Duration // by how much the clocks may differ

	ValidPattern func(string) error // nil: every one is
}

// Key is one of several. Secret or PublicKey is required, and not both.
type Key struct {
	Secret    string // of HS256
	PublicKey []byte // PEM
}

// Verifier checks tokens. Any number of goroutines may use it.
type Verifier struct {
	key      *key           // nil: none for tokens that name no key
	keys     map[string]key // by kid; empty: what tokens name does not matter
	leeway   time.Duration
	valid    func(string) error
	issuer   bool // has to be there
	audience bool // the same
	parser   *jwt.Parser
}

// New returns a verifier. The error is an ErrKey.
func New(o Options) (*Verifier, error) {
	v := &Verifier{keys: map[string]key{}, leeway: o.Leeway, valid: o.ValidPattern, issuer: o.Issuer != "", audience: o.Audience != ""}
	var methods []string
	if o.Secret != "" || o.PublicKey != nil || len(o.Keys) == 0 {
		k, err := newKey(o.Secret, o.PublicKey)
		if err != nil {
			return nil, err
		}
		v.key, methods = &k, append(methods, k.algorithm)
	}
	for id, one := range o.Keys {
		k, err := newKey(one.Secret, one.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", id, err)
		}
		v.keys[id], methods = k, append(methods, k.algorithm)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithStrictDecoding(), jwt.WithLeeway(o.Leeway),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	v.parser = jwt.NewParser(options...)
	return v, nil
}

// claims are what is read of a token.
type claims struct {
	jwt.RegisteredClaims
	Channels []string // nil: the token has no such claim
}

// UnmarshalJSON reads claims by their exact names, each once. The library takes names in any case, the last of several, and
// times that are text (RFC 7519 §2 and §4).
func (c *claims) UnmarshalJSON(b []byte) error {
	object, err := strictjson.Object(b)
	if err != nil {
		return err
	}
	return object.Members(func(name string, m strictjson.Value) (err error) {
		if string(m.Raw()) == "null" { // a serializer's word for a claim that is not there
			return nil
		}
		switch name {
		case "exp":
			c.ExpiresAt, err = date(m)
		case "nbf":
			c.NotBefore, err = date(m)
		case "iat":
			c.IssuedAt, err = date(m)
		case "sub":
			c.Subject, err = m.Text()
		case "iss":
			c.Issuer, err = m.Text()
		case "aud":
			var list []string
			list, err = m.StringOrStrings()
			c.Audience = list
		case "channels":
			c.Channels, err = m.Strings()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// date returns a time in seconds since 1970, perhaps with a fraction.
func date(m strictjson.Value) (*jwt.NumericDate, error) {
	if _, err := m.Number(); err != nil {
		return nil, err
	}
	d := new(jwt.NumericDate)
	return d, d.UnmarshalJSON(m.Raw())
}

// Verify returns what a token allows, or why it is refused: one of this package's errors, which may be sent to the
// client.
func (v *Verifier) Verify(text string) (auth.TokenGrant, error) {
	if len(text) > maxToken {
		return auth.TokenGrant{}, ErrTooLong
	}
	if strings.ContainsAny(text, "\r\n") { // which base64 would skip
		return auth.TokenGrant{}, ErrMalformed
	}
	var c claims
	_, err := v.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // RFC 7515 §4.1.11; none is known here
			return nil, ErrCritical
		}
		k, err := v.keyOf(t)
		if err != nil {
			return nil, err
		}
		return k.key, nil
	})
	if err != nil {
		return auth.TokenGrant{}, v.why(text, &c, err)
	}
	if !strictHeader(text) {
		return auth.TokenGrant{}, ErrMalformed
	}
	return v.read(&c)
}

// strictHeader reports whether the first part of a token that the library takes is an object without a name that comes
// twice.
func strictHeader(text string) bool {
	part, _, _ := strings.Cut(text, ".")
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return false
	}
	object, err := strictjson.Object(b)
	return err == nil && object.Members(func(string, strictjson.Value) error { return nil }) == nil
}

// keyOf returns the key that a token is to be checked with. It is the only one that counts, and for its algorithm alone:
// no other is tried.
func (v *Verifier) keyOf(t *jwt.Token) (key, error) {
	k := v.key
	if id, given := t.Header["kid"]; given && len(v.keys) > 0 {
		name, _ := id.(string)
		named, ok := v.keys[name]
		if !ok {
			return key{}, ErrKeyID
		}
		k = &named
	}
	switch {
	case k == nil:
		return key{}, ErrNoKeyID
	case t.Method.Alg() != k.algorithm:
		return key{}, ErrAlgorithm
	}
	return *k, nil
}

// why translates the library's errors. The order matters: the signature comes before what the token says.
func (v *Verifier) why(text string, c *claims, err error) error {
	for _, e := range []struct{ is, why error }{
		{ErrCritical, ErrCritical},
		{ErrKeyID, ErrKeyID},
		{ErrNoKeyID, ErrNoKeyID},
		{ErrAlgorithm, ErrAlgorithm},
		{jwt.ErrTokenMalformed, ErrMalformed},
		{jwt.ErrTokenUnverifiable, ErrAlgorithm},
		{jwt.ErrTokenSignatureInvalid, ErrSignature},
		{jwt.ErrTokenExpired, ErrExpired},
		{jwt.ErrTokenNotValidYet, ErrNotYet},
		{jwt.ErrTokenUsedBeforeIssued, ErrFuture},
		{jwt.ErrTokenInvalidAudience, ErrAudience},
		{jwt.ErrTokenInvalidIssuer, ErrIssuer},
	} {
		if !errors.Is(err, e.is) {
			continue
		}
		if e.why == ErrSignature { // also of an algorithm that no key has
			if err := v.keyProblem(text); err != nil {
				return err
			}
		}
		return e.why
	}
	if !errors.Is(err, jwt.ErrTokenRequiredClaimMissing) {
		return ErrClaim
	}
	switch { // the library says which by its text alone
	case c.ExpiresAt == nil:
		return ErrNoExpiry
	case v.audience && len(c.Audience) == 0:
		return ErrAudience
	case v.issuer && c.Issuer == "":
		return ErrIssuer
	}
	return ErrClaim
}

// keyProblem returns why there is no key to check the token with; nil if there is one.
func (v *Verifier) keyProblem(text string) error {
	t, _, err := v.parser.ParseUnverified(text, &claims{})
	if err != nil {
		return ErrMalformed
	}
	_, err = v.keyOf(t)
	return err
}

// read checks what the library does not know.
func (v *Verifier) read(c *claims) (auth.TokenGrant, error) {
	t := auth.TokenGrant{User: c.Subject, ExpiresAt: c.ExpiresAt.Add(v.leeway)}
	if limit := time.Now().Add(maxAge); t.ExpiresAt.After(limit) {
		t.ExpiresAt = limit
	}
	if len(t.User) > maxUser || strings.ContainsFunc(t.User, unicode.IsControl) {
		return auth.TokenGrant{}, fmt.Errorf("%w: sub: want text of at most %d bytes without control characters", ErrClaim, maxUser)
	}
	if c.Channels == nil {
		return t, nil
	}
	for _, pattern := range c.Channels {
		if v.valid != nil && v.valid(pattern) != nil {
			return auth.TokenGrant{}, fmt.Errorf("%w: channels: %.100q is neither a name nor a pattern", ErrClaim, pattern)
		}
	}
	t.Channels = c.Channels
	return t, nil
}
