package auth

import "time"

// Request is a client that wants to subscribe to channels, as the app is asked about it. Empty fields are not sent.
type Request struct {
	Channels []string

	// The client's own, as they came; several Cookie fields joined by "; ".
	Host, Cookie, Authorization, UserAgent, AcceptLanguage string

	Proto        string // "http" or "https": how the client came
	ClientAddr   string // the client's address, without port
	ForwardedFor string // value of X-Forwarded-For; empty means ClientAddr

	// The host and port that the client used, which is Host unless a proxy in front has changed it.
	ForwardedHost, ForwardedPort string
}

// Result is what the app says about a Request. The zero Result allows nothing.
type Result struct {
	Allowed bool
	Status  int // for the client when not Allowed: 401 or 403

	Channels []string      // what the client may subscribe to, a part of what was asked; nil: all of it
	User     string        // who the client is; empty: the app did not say
	Expires  time.Duration // how long this is good; zero: the app did not say

	// Fields of the app's response that are for the client.
	SetCookie  []string
	Challenge  []string // with 401: WWW-Authenticate
	RetryAfter string   // with an error, of a 503 or 429
}
