package upgrade

import (
	"holdfast/internal/auth"
	"holdfast/internal/ending"
)

// Credentials returns the sessions that a request may belong to: one for each of LogoutCookies that it has, and for
// ;jsessionid= in the path. Any goroutine may call it.
func (k *Keeper) Credentials(cookies [][]byte, target []byte) []uint64 {
	return k.auth.Credentials.Of(cookies, target)
}

// OnResponse handles the app's response to a request with credentials: its Set-Cookie fields, and the request's path. A
// logout concerns all of the credentials: a connection may have begun when another cookie had another value. Any
// goroutine may call it.
func (k *Keeper) OnResponse(credentials []uint64, path []byte, cookies [][]byte) {
	switch over, ask := k.auth.OnResponse(credentials, path, cookies); {
	case over:
		k.LogOut(credentials)
	case ask:
		k.AskAgain(credentials)
	}
}

// AuthCache returns the cache of authorizations, nil if there is none: it moves to another process.
func (k *Keeper) AuthCache() *auth.Cache { return k.auth.Cache }

// LogOut closes the connections that have any of the credentials.
func (k *Keeper) LogOut(credentials []uint64) {
	for _, credential := range credentials {
		k.auth.Revoke(auth.Revocation{Credential: credential})
	}
	k.each(credentials, func(x *held) { x.closeWithStatus(401, "logged out", ending.LoggedOut) })
}

// AskAgain authorizes the connections again that have any of the credentials.
func (k *Keeper) AskAgain(credentials []uint64) {
	for _, credential := range credentials {
		k.auth.Cache.EvictCredential(credential)
	}
	k.each(credentials, func(x *held) {
		if !x.session.AskOnceMore() { // the response to a request in progress may date from before
			x.reauthorize()
		}
	})
}

// each runs f with every connection of one of the credentials, once, on its loop.
func (k *Keeper) each(credentials []uint64, f func(*held)) {
	k.index.OfCredentials(credentials, func(x *held) {
		if x.session != nil {
			step(x, func() { f(x) })
		}
	})
}
