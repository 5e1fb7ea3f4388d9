package auth

import (
	"slices"
	"time"

	"holdfast/internal/channel"
)

// TokenGrant is what a valid token allows.
type TokenGrant struct {
	User      string    // empty: none
	ExpiresAt time.Time // the token is invalid from then on
	Channels  []string  // names and patterns; nil: the token has no list, and allows its user's own channels
}

// Allows reports whether the token lets its bearer subscribe to the name. A nil grant allows nothing.
func (g *TokenGrant) Allows(r *channel.Rules, name string) bool {
	if g == nil {
		return false
	}
	if g.Channels == nil {
		owner, owned := r.Owner(name)
		return owned && g.User != "" && owner == g.User
	}
	return slices.ContainsFunc(g.Channels, func(pattern string) bool { return channel.Covers(pattern, name) })
}

// Expired reports whether the token has expired.
func (g *TokenGrant) Expired(now time.Time) bool { return !g.ExpiresAt.After(now) }

// Authorizer sends authorization requests to the app. An error means that the app has neither allowed nor denied; the
// client must not subscribe.
type Authorizer interface {
	Authorize(Request) (Result, error)
}

// Verifier verifies tokens. Its errors may be sent to the client.
type Verifier interface {
	Verify(text string) (TokenGrant, error)
}
