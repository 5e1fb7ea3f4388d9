package proxy

import (
	"sync/atomic"
	"time"
)

// notice is something that an app does and that Holdfast puts up with or works around.
type notice uint8

const (
	boundLogin notice = iota
	closedLogin
	noticeCount
)

// notices are the label of each in metrics, and its line in the log.
var notices = [noticeCount]struct{ label, line string }{
	boundLogin:  {"login_bound", "the app logs in connections (NTLM, Negotiate); each client gets one of its own"},
	closedLogin: {"login_closed", "the app logs in connections (NTLM, Negotiate); behind a trusted proxy each is closed after use (trusted_proxies)"},
}

// noticed counts the notices of one upstream.
type noticed [noticeCount]struct {
	n    atomic.Int64
	next atomic.Int64 // no line before, in Unix nanoseconds
}

// noticeEvery is how often a notice of one upstream goes to the log at most.
const noticeEvery = time.Minute

// notice counts n, and tells of it now and then.
func (x *exchange) notice(n notice) {
	s := x.server
	if s == nil {
		return
	}
	c, now := &s.noticed[n], x.f.loop.Now().UnixNano()
	c.n.Add(1)
	if next := c.next.Load(); now >= next && c.next.CompareAndSwap(next, now+int64(noticeEvery)) {
		x.f.p.o.Log.Warn(notices[n].line, "upstream", s.String(), "kind", notices[n].label, "path", x.route.match, "count", c.n.Load())
	}
}

// counts returns how often each notice was made, by its label.
func (s *noticed) counts() map[string]int64 {
	m := make(map[string]int64, noticeCount)
	for i := range s {
		m[notices[i].label] = s[i].n.Load()
	}
	return m
}
