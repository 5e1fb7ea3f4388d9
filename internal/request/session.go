package request

import "holdfast/internal/http1"

// Sessions is notified when a response of the app may end a client's session.
type Sessions interface {
	// Credentials returns the sessions of the app that a request may belong to; none if no connection depends on them.
	Credentials(cookies [][]byte, target []byte) []uint64

	// OnResponse is called with the app's response to such a request, before the client receives it. The slices are
	// valid during the call only.
	OnResponse(credentials []uint64, path []byte, cookies [][]byte)
}

// Session is the session of the app that a request belongs to. The zero value is that of none.
type Session struct {
	of          Sessions
	credentials []uint64
	path        string // of the request
}

// SessionOf returns the session that a request belongs to; that of none if s is nil.
func SessionOf(s Sessions, h *http1.Head) (x Session) {
	if s == nil {
		return x
	}
	var buf [4][]byte
	cookies := http1.AppendValues(buf[:0], h.Fields, "cookie")
	if x.credentials = s.Credentials(cookies, h.Target); len(x.credentials) > 0 {
		x.of, x.path = s, string(h.Path)
	}
	return x
}

// OnResponse notifies the Sessions of the app's response.
func (x *Session) OnResponse(a *http1.Answer) {
	if len(x.credentials) > 0 {
		var buf [4][]byte
		x.of.OnResponse(x.credentials, []byte(x.path), http1.AppendValues(buf[:0], a.Fields, "set-cookie"))
	}
}
