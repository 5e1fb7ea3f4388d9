package auth

import (
	"slices"
	"time"

	"holdfast/internal/channel"
)

// TokenGrant is what a token that was found good is good for.
type TokenGrant struct {
	User      string    // empty: nobody in particular
	ExpiresAt time.Time // from then on it is good for nothing
	Channels  []string  // names and patterns; nil: the token does not say, and allows its user's own channels
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

// Expired reports whether the token is over.
func (g *TokenGrant) Expired(now time.Time) bool { return !g.ExpiresAt.After(now) }

// Authorizer asks the app. An error means that there is neither a yes nor a no, and that the client must not get in.
type Authorizer interface {
	Authorize(Request) (Result, error)
}

// Verifier reads tokens. Its errors may be shown to whoever sent the token.
type Verifier interface {
	Verify(text string) (TokenGrant, error)
}
