package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/internal/auth"
)

const (
	maxToken = 8 << 10 // bytes: as much as other servers take of a field
	maxUser  = 255     // bytes, as of a verdict's
	maxAge   = 10 * 365 * 24 * time.Hour
)

// Why a token is refused.
var (
	ErrTooLong   = fmt.Errorf("token: longer than %d bytes", maxToken)
	ErrMalformed = errors.New("token: not a JWT as it should be: three parts in base64url without padding, two of JSON, claims of the right type")
	ErrAlgorithm = errors.New("token: signed with another algorithm than push.jwt has the key for (alg)")
	ErrCritical  = errors.New("token: an extension that must be understood is not (crit)")
	ErrSignature = errors.New("token: the signature is wrong: another key, or changed since")
	ErrClaim     = errors.New("token: a claim is not as it should be")
	ErrNoExpiry  = errors.New("token: the time is missing when it expires (exp)")
	ErrExpired   = errors.New("token: expired (exp)")
	ErrNotYet    = errors.New("token: not valid yet (nbf)")
	ErrFuture    = errors.New("token: issued in the future; compare the clocks (iat)")
	ErrAudience  = errors.New("token: for another audience than push.jwt.audience (aud)")
	ErrIssuer    = errors.New("token: from another issuer than push.jwt.issuer (iss)")
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
	key    key
	leeway time.Duration
	valid  func(string) error
	parser *jwt.Parser
}

// New returns a verifier. The error is an ErrKey.
func New(o Options) (*Verifier, error) {
	v := &Verifier{leeway: o.Leeway, valid: o.ValidPattern}
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
	Channels *[]*string `json:"channels"`
}

// UnmarshalJSON refuses times that are no JSON numbers (RFC 7519 §2), which the library takes.
func (c *claims) UnmarshalJSON(b []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	for name, raw := range members {
		switch strings.ToLower(name) { // in any case, as the library finds them
		case "exp", "nbf", "iat":
			if len(raw) > 0 && raw[0] == '"' {
				return fmt.Errorf("%s: want a number", name)
			}
		}
	}
	type plain claims
	return json.Unmarshal(b, (*plain)(c))
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
		return auth.TokenGrant{}, v.why(text, err)
	}
	return v.read(&c)
}

// why translates the library's errors. The order matters: the signature comes before what the token says.
func (v *Verifier) why(text string, err error) error {
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
	if errors.Is(err, jwt.ErrTokenRequiredClaimMissing) {
		return v.missing(err)
	}
	return ErrClaim
}

// ours reports whether the token names the algorithm of the key.
func (v *Verifier) ours(text string) bool {
	t, _, err := v.parser.ParseUnverified(text, &claims{})
	return err == nil && t.Method.Alg() == v.key.algorithm
}

// missing says which claim is. The library tells by its text alone.
func (v *Verifier) missing(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "exp claim"):
		return ErrNoExpiry
	case strings.Contains(text, "aud claim"):
		return ErrAudience
	case strings.Contains(text, "iss claim"):
		return ErrIssuer
	}
	return ErrClaim
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
	t.Channels = []string{}
	for _, pattern := range *c.Channels {
		if pattern == nil {
			return auth.TokenGrant{}, fmt.Errorf("%w: channels: want a list of names and patterns", ErrClaim)
		}
		if v.valid != nil && v.valid(*pattern) != nil {
			return auth.TokenGrant{}, fmt.Errorf("%w: channels: %.100q is neither a name nor a pattern", ErrClaim, *pattern)
		}
		t.Channels = append(t.Channels, *pattern)
	}
	return t, nil
}
