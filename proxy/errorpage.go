package proxy

import (
	"errors"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/route"
)

var errIntercepted = errors.New("error page instead of the app's")

// errorPage renders a response of Holdfast's own, as http1.Page does, with the page of the settings.
func (f *Front) errorPage(s *route.Settings, status int, after time.Duration, connection string, body bool, fields ...byte) []byte {
	text, kind := s.Pages.Of(status, f.loop.Now(), f.loop.Poller().Go)
	return s.Fields.Rewrite(http1.PageOf(text, kind, status, after, connection, body, fields...))
}

// intercepted reports whether a page stands for the app's response, of which this is the head. bodyless says that it has no more.
func (x *exchange) intercepted(a *http1.Answer, bodyless bool) bool {
	if !x.route.Pages.Intercepts(a.Status, x.f.loop.Now(), x.f.loop.Poller().Go) {
		return false
	}
	status, fields := a.Status, a.AppendNamed(nil, "www-authenticate", "retry-after", "allow")
	x.leaveApp(bodyless)
	x.fetch.Elsewhere(x.f.loop.Now())
	x.later(func() { x.finishFields(status, 0, fields, errIntercepted) }) // not within the reading of the response
	return true
}
