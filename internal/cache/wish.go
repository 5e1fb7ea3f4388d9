package cache

import (
	"time"

	"holdfast/internal/cache/headers"
	"holdfast/internal/http1"
)

// Wish is what a client says in Cache-Control of its request. Of it, only-if-cached counts always: without an entry that may
// be given out, the answer is a 504. The rest counts only if a rule says so. Otherwise, as with nginx and Varnish, any client
// could have the app asked as often as it likes by a header that every browser sends at a reload, and polls by
// XMLHttpRequest send it each time.
type Wish struct{ d headers.Directives }

// WishOf reads it. Pragma: no-cache counts where there is no Cache-Control (RFC 9111 §5.4).
func WishOf(fields []http1.Field) Wish {
	w := Wish{d: headers.ParseDirectives(fields)}
	if !headers.Has(fields, "cache-control") {
		pragma, _ := headers.Value(fields, "pragma")
		w.d.NoCache = http1.HasToken(pragma, "no-cache")
	}
	return w
}

// OnlyCached reports whether the app is not to be asked.
func (w *Wish) OnlyCached() bool { return w.d.OnlyIfCached }

// MayKeep reports whether the response may be kept. Whether one that is kept already may be given out is another matter.
func (w *Wish) MayKeep() bool { return !w.d.NoStore }

// Accepts reports whether the client takes an entry that is fresh.
func (w *Wish) Accepts(e *Entry, now time.Time) bool {
	d := &w.d
	return !d.NoCache && (d.MaxAge == headers.Absent || e.Age(now) <= headers.Seconds(d.MaxAge)) &&
		(d.MinFresh == headers.Absent || e.TTL(now) >= headers.Seconds(d.MinFresh))
}
