package cache

// Reason says why a request is passed, a response is not kept, or a stored one is dropped. Its text is the label in
// metrics and the detail of Cache-Status.
type Reason uint8

// The reasons. None is that there is nothing against it.
const (
	None Reason = iota

	// Requests that are passed.
	OtherMethod  // the rule is not for the method
	Conditional  // Range, If-Range, If-Match or If-Unmodified-Since
	Upgrade      // it asks for another protocol
	Disguised    // a field tells the app to take it for another request
	OtherForm    // its body has not the fields that the rule is about
	HasBody      // a body that is not in the key, is too large for it or is not complete
	HasSession   // a session or a login that is not in the key of a rule that is not shared
	ManySessions // more session cookies than are looked at
	Ambiguous    // a value of the channel comes twice
	PassDue      // the rule has one request of each session pass that often
	WaitedLong   // for what another request fetches

	// Responses that are not kept.
	OtherStatus
	Streams // it may have no end
	NoStore
	Private
	Authorized   // to a request with a login, and not marked as good for others
	SetsCookie   // or clears what the client has stored
	VariesAlways // Vary: *, or by what is not known here
	NotFresh     // no freshness, and nothing to validate it with
	Malformed    // Cache-Control can't be read, or too many groups
	TooLarge
	Incomplete // cut, or the app failed
	Failed     // an error of the app that is given to all who wait
	OtherThan  // a 304 that is about another response than the stored one
	Elsewhere  // it is a file, or what another route has responded
	Changed    // something that it is about was invalidated while it was fetched
	Superseded // a newer one is stored
	NoRoom     // making room would have taken too long

	// Stored responses that are dropped.
	Full         // room for another
	SessionFull  // room for another of the same session
	VariantsFull // room for another variant of the same key
	Expired
	Replaced
	Purged // by URL, prefix or rule
	GroupChanged
	ChannelChanged
	SessionChanged

	reasons
)

var reasonTexts = [reasons]string{
	"none", "method", "conditional", "upgrade", "disguised", "form", "body", "session", "many_sessions", "ambiguous",
	"pass_due", "waited",
	"status", "stream", "no_store", "private", "authorization", "set_cookie", "vary", "stale", "malformed", "too_large",
	"incomplete", "error", "mismatch", "elsewhere", "changed", "superseded", "no_room",
	"full", "session_full", "variants_full", "expired", "replaced", "purged", "group", "channel", "session_changed",
}

// String returns the label of a reason.
func (r Reason) String() string {
	if r < reasons {
		return reasonTexts[r]
	}
	return "unknown"
}
