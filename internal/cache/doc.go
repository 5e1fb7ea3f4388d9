// Package cache keeps responses of the app in memory, for rules (package rules) of two kinds: cache, which follows RFC 9111 as
// a shared cache, and polls, whose responses are good for as long as the rule says. It does no I/O and starts no goroutine,
// and any goroutine may call it. A call holds one mutex for a short, bounded time, so it may be made on an event loop.
//
// How a request meets it:
//
//	rules.Set.Match ── none ──► the app
//	   │
//	rules.Rule.Key ─── a Reason: passed ──► the app
//	   │
//	Store.Find ── Fresh ──► Entry: AppendHead, AppendAge, AppendHit, Body; or Unchanged and AppendNotModified
//	   │ Miss, Stale or Pass
//	Store.Begin ─ Hit ──► Entry, as above
//	   │    ├──── Wait ──► Waiter.Wake: an Entry, Lead, Again or Alone
//	   │    └──── Busy ──► the stale Entry: somebody else fetches
//	   Lead ──► the app; Judge at the head of its response
//	               ├─ kept ──► at its end NewEntry and Store.Finish
//	               ├─ not kept ──► Store.Abandon at once: nobody waits for the body
//	               ├─ an error ──► Store.Fail: a stale entry instead; or Store.Share at its end, if it may be shared
//	               ├─ the response is cut ──► Store.Cut
//	               └─ the client is gone before it ──► Store.HandOver
//
// A poll whose client has the entry already can be kept open: Store.Watch. Store.Sweep is to be called in each second.
//
// Three things make an answer wrong: it is another user's, it is older than a change, or it was made for another
// request.
//
// Whose it is: without session among the parts of a rule's key, a request that may belong to a session is passed,
// unless the rule is shared. Set-Cookie is never kept. A login that belongs to a connection (NTLM) is in no field, so the
// caller passes what goes by such a connection.
//
// Changes: every invalidation has a number, and so has every fetch. What a fetch brings is not kept if something that it
// is about was invalidated after the fetch began. Requests that waited before that may have it, later ones may not.
//
// Other requests: a key has the whole URL, Host as it came, and whatever else the app is told of the client by fields
// that a client can choose and that say where it is. Requests that tell an app to take them for others are passed.
package cache
