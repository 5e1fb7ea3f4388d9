package upgrade

import (
	"slices"

	"holdfast/internal/auth"
	"holdfast/internal/park"
)

// Credentials tells the sessions that a request may belong to from all others: by all of LogoutCookies that it has, and by
// ;jsessionid= in the path. Any goroutine may call it.
func (k *Keeper) Credentials(cookies [][]byte, target []byte) []uint64 {
	return k.auth.Credentials.Of(cookies, target)
}

// OnResponse looks at what the app answered to a request that came with credentials: the fields of Set-Cookie, and the
// request's path. What ends is all of them: a connection may have begun when another of the cookies had another value. It
// may be called on any goroutine.
func (k *Keeper) OnResponse(credentials []uint64, path []byte, cookies [][]byte) {
	ask := slices.Contains(k.o.LogoutPaths, string(path))
	if ask {
		for _, credential := range credentials {
			k.auth.Revoke(auth.Revocation{Credential: credential})
		}
	}
	cleared, changed := k.auth.Credentials.Effect(cookies)
	if cleared {
		k.LogOut(credentials)
		return
	}
	// A cookie that is set anew is no logout, whatever was cleared before; the app is asked.
	ask = ask || changed && !slices.Contains(k.o.OwnPaths, string(path))
	if ask {
		k.AskAgain(credentials)
	}
}

// LogOut closes what is held with any of the credentials.
func (k *Keeper) LogOut(credentials []uint64) {
	for _, credential := range credentials {
		k.auth.Revoke(auth.Revocation{Credential: credential})
	}
	k.each(credentials, func(x *held) { x.closeWithStatus(401, "logged out", loggedOut) })
}

// AskAgain asks the app whether what is held with any of the credentials is still allowed.
func (k *Keeper) AskAgain(credentials []uint64) {
	for _, credential := range credentials {
		k.auth.Cache.EvictCredential(credential)
	}
	k.each(credentials, func(x *held) {
		if !x.session.AskOnceMore() { // what the app is just being asked may be answered as of before
			x.reauthorize()
		}
	})
}

// each runs f with every connection of one of the credentials, once, on its loop.
func (k *Keeper) each(credentials []uint64, f func(*held)) {
	for i, l := range k.o.Poller.Loops() {
		l.Post(func() {
			var list []park.Ref
			for _, x := range k.indexes[i].OfCredentials(credentials) {
				list = append(list, x.c.Ref())
			}
			l.Visit(list, func(c *park.Conn) {
				if x, ok := c.Handler().(*held); ok && x.session != nil {
					step(x, func() { f(x) })
				}
			}, func() {})
		})
	}
}
