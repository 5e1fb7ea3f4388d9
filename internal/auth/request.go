package auth

import "time"

// Request is the content of an authorization request. Empty fields are not sent.
type Request struct {
	Channels []string

	// The client's own, unchanged; several Cookie fields joined by "; ".
	Host, Cookie, Authorization, UserAgent, AcceptLanguage string

	Proto        string // "http" or "https": how the client came
	ClientAddr   string // the client's address, without port
	ForwardedFor string // value of X-Forwarded-For; empty means ClientAddr

	// The host and port that the client used, which is Host unless a proxy in front has changed it.
	ForwardedHost, ForwardedPort string
}

// Result is the app's response to a Request. The zero Result allows nothing.
type Result struct {
	Allowed bool
	Status  int // for the client when not Allowed: 401 or 403

	Channels []string      // channels that the client may subscribe to, of those requested; nil: all of them
	User     string        // the client's user; empty: the app did not say
	Expires  time.Duration // how long the result is valid; zero: the app did not say

	// Fields of the app's response that are for the client.
	SetCookie  []string
	Challenge  []string // with 401: WWW-Authenticate
	RetryAfter string   // with an error, of a 503 or 429
}
