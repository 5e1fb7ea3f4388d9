package balance

import (
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/throttle"
)

// Notice is a fault of an app that Holdfast accepts or works around.
type Notice uint8

const (
	BoundLogin Notice = iota
	ClosedLogin
	firstOddity // from here on, http1.Oddities
	noticeCount = firstOddity + Notice(len(http1.Oddities))
)

// text returns the label of a notice in metrics, and its line in the log.
func (n Notice) text() (label, line string) {
	switch n {
	case BoundLogin:
		return "login_bound", "the app logs in connections (NTLM, Negotiate); each client gets one of its own"
	case ClosedLogin:
		return "login_closed", "the app logs in connections (NTLM, Negotiate); behind a trusted proxy each is closed after use (trusted_proxies)"
	}
	o := http1.Oddities[n-firstOddity]
	return o.Label, o.Line
}

// notices counts those of one upstream.
type notices [noticeCount]throttle.Throttle

// counts returns how often each was made, by its label.
func (s *notices) counts() map[string]int64 {
	m := make(map[string]int64, noticeCount)
	for i := range s {
		label, _ := Notice(i).text()
		m[label] = s[i].Total()
	}
	return m
}

// Notice counts a fault of a server, and logs it at times. path is that of its route.
func (s *Set) Notice(server *Server, n Notice, path string, now time.Time) {
	if total, due := server.notices[n].Due(now); due {
		label, line := n.text()
		s.o.Log.Warn(line, "upstream", server.String(), "kind", label, "path", path, "total", total)
	}
}

// NoticeAll is Notice for each oddity of a response.
func (s *Set) NoticeAll(server *Server, odd http1.Oddity, path string, now time.Time) {
	for n := firstOddity; odd != 0; n, odd = n+1, odd>>1 {
		if odd&1 != 0 {
			s.Notice(server, n, path, now)
		}
	}
}
