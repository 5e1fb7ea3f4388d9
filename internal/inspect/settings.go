package inspect

import "time"

// Settings are what doctor needs to know of the running process.
type Settings struct {
	Version        string   `json:"version"`
	Hooks          string   `json:"hooks"` // address of the API listener
	PushPaths      []string `json:"push_paths"`
	TrustedProxies []string `json:"trusted_proxies"`

	Heartbeat Seconds `json:"heartbeat"` // 0: none
	PollWait  Seconds `json:"poll_wait"`

	AuthorizePath    string   `json:"authorize_path"` // empty: none
	AuthorizeTimeout Seconds  `json:"authorize_timeout"`
	Rules            []Rule   `json:"rules"` // that need authorization by the app
	SessionCookies   []string `json:"session_cookies"`

	FileLimit      int   `json:"file_limit"`      // descriptors of the process; 0: not known
	MaxConnections int   `json:"max_connections"` // of clients; 0: no limit is known
	Connections    int64 `json:"connections"`     // of clients, now
}

// Seconds is a duration, in JSON a number of seconds.
type Seconds float64

// SecondsOf returns d in seconds.
func SecondsOf(d time.Duration) Seconds { return Seconds(d.Seconds()) }

// Duration returns s as a duration.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// Rule is a rule for channels.
type Rule struct {
	Match string `json:"match"`
}
