package proxy

import (
	"holdfast/internal/http1"
	"holdfast/internal/throttle"
)

// notice is something that an app does and that Holdfast puts up with or works around.
type notice uint8

const (
	boundLogin notice = iota
	closedLogin
	firstOddity // from here on, http1.Oddities
	noticeCount = firstOddity + notice(len(http1.Oddities))
)

// text returns the label of a notice in metrics, and its line in the log.
func (n notice) text() (label, line string) {
	switch n {
	case boundLogin:
		return "login_bound", "the app logs in connections (NTLM, Negotiate); each client gets one of its own"
	case closedLogin:
		return "login_closed", "the app logs in connections (NTLM, Negotiate); behind a trusted proxy each is closed after use (trusted_proxies)"
	}
	o := http1.Oddities[n-firstOddity]
	return o.Label, o.Line
}

// noticeAll counts what is odd in the head of an answer, or in its body.
func (x *exchange) noticeAll(odd http1.Oddity) {
	for n := firstOddity; odd != 0; n, odd = n+1, odd>>1 {
		if odd&1 != 0 {
			x.notice(n)
		}
	}
}

// noticed counts the notices of one upstream.
type noticed [noticeCount]throttle.Throttle

// notice counts n, and logs it now and then.
func (x *exchange) notice(n notice) {
	s := x.app.server
	if s == nil {
		return
	}
	if total, due := x.f.p.noticed[s.Index][n].Due(x.f.loop.Now()); due {
		label, line := n.text()
		x.f.p.o.Log.Warn(line, "upstream", s.String(), "kind", label, "path", x.route.paths.Match, "total", total)
	}
}

// counts returns how often each notice was made, by its label.
func (s *noticed) counts() map[string]int64 {
	m := make(map[string]int64, noticeCount)
	for i := range s {
		label, _ := notice(i).text()
		m[label] = s[i].Total()
	}
	return m
}
