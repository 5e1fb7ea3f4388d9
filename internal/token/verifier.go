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
	ErrMalformed = errors.New("not a JWT as it should be: three parts in base64url without padding, two of JSON, claims of the right type")
	ErrAlgorithm = errors.New("signed with another algorithm than push.jwt has the key for (alg)")
	ErrCritical  = errors.New("an extension that must be understood is not (crit)")
	ErrSignature = errors.New("the signature is wrong: another key, or changed since")
	ErrClaim     = errors.New("a claim is not as it should be")
	ErrNoExpiry  = errors.New("the time is missing when it expires (exp)")
	ErrExpired   = errors.New("expired (exp)")
	ErrNotYet    = errors.New("not valid yet (nbf)")
	ErrFuture    = errors.New("issued in the future; compare the clocks (iat)")
	ErrAudience  = errors.New("for another audience than push.jwt.audience (aud)")
	ErrIssuer    = errors.New("from another issuer than push.jwt.issuer (iss)")
)

// Options of a Verifier. Secret or PublicKey is required, and not both.
type Options struct {
	Secret    string // of HS256
	PublicKey []byte // PEM; RSA is for RS256, Ed25519 for EdDSA

	Issuer, Audience string        // what a token must have; empty: anything
	Leeway           time.Duration // by how much the clocks may differ

	ValidPattern func(string) error // nil: every one is
}

// Verifier checks tokens. Any number of goroutines may use it.
type Verifier struct {
	key      key
	leeway   time.Duration
	valid    func(string) error
	issuer   bool // has to be there
	audience bool // the same
	parser   *jwt.Parser
}

// New returns a verifier. The error is an ErrKey.
func New(o Options) (*Verifier, error) {
	v := &Verifier{leeway: o.Leeway, valid: o.ValidPattern, issuer: o.Issuer != "", audience: o.Audience != ""}
	var err error
	switch {
	case o.Secret != "" && o.PublicKey != nil:
		err = fmt.Errorf("%w: there are two", ErrKey)
	case o.Secret != "":
		v.key, err = secretKey(o.Secret)
	default:
		v.key, err = publicKey(o.PublicKey)
	}
	if err != nil {
		return nil, err
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{v.key.algorithm}), jwt.WithStrictDecoding(), jwt.WithLeeway(o.Leeway),
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

// Verify returns what a token says, or why it is refused: one of this package's errors, which may be shown to whoever
// sent it.
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
		return v.key.key, nil
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

// why translates the library's errors. The order matters: the signature comes before what the token says.
func (v *Verifier) why(text string, c *claims, err error) error {
	for _, e := range []struct{ is, why error }{
		{ErrCritical, ErrCritical},
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
		if e.why == ErrSignature && !v.ours(text) {
			return ErrAlgorithm
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

// ours reports whether the token names the algorithm of the key.
func (v *Verifier) ours(text string) bool {
	t, _, err := v.parser.ParseUnverified(text, &claims{})
	return err == nil && t.Method.Alg() == v.key.algorithm
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
