package upgrade

import (
	"slices"

	"holdfast/internal/auth"
	"holdfast/internal/park"
)

// Credential tells the session that a request came with from every other one's: the first of LogoutCookies that it
// has, also as ;jsessionid= in the path. Zero: it has none. Any goroutine may call it.
func (k *Keeper) Credential(cookies [][]byte, target []byte) uint64 {
	return append(k.auth.Credentials.Of(cookies, target), 0)[0]
}

// OnResponse looks at what the app answered to a request that came with a credential: the fields of Set-Cookie, and the
// request's path. It may be called on any goroutine.
func (k *Keeper) OnResponse(credential uint64, path []byte, cookies [][]byte) {
	ask := slices.Contains(k.o.LogoutPaths, string(path))
	if ask {
		k.auth.Revoke(auth.Revocation{Credential: credential})
	}
	cleared, changed := k.auth.Credentials.Effect(cookies)
	if cleared {
		k.LogOut(credential)
		return
	}
	// A cookie that is set anew is no logout, whatever was cleared before; the app is asked.
	ask = ask || changed && !slices.Contains(k.o.OwnPaths, string(path))
	if ask {
		k.AskAgain(credential)
	}
}

// LogOut closes what is held with a credential.
func (k *Keeper) LogOut(credential uint64) {
	if credential == 0 {
		return
	}
	k.auth.Revoke(auth.Revocation{Credential: credential})
	k.each(credential, func(x *held) { x.closeWithStatus(401, "logged out", loggedOut) })
}

// AskAgain asks the app whether what is held with a credential is still allowed.
func (k *Keeper) AskAgain(credential uint64) {
	k.auth.Cache.EvictCredential(credential)
	k.each(credential, func(x *held) {
		if !x.session.AskOnceMore() { // what the app is just being asked may be answered as of before
			x.reauthorize()
		}
	})
}

// each runs f with every connection of a credential, on its loop.
func (k *Keeper) each(credential uint64, f func(*held)) {
	for i, l := range k.o.Poller.Loops() {
		l.Post(func() {
			var list []park.Ref
			for _, x := range k.indexes[i].OfCredential(credential) {
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
