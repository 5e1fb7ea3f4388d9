package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const (
	slowPage  = 500 * time.Millisecond // a page that takes less shows no lock
	lockDelay = 100 * time.Millisecond // until the page has begun its session
	lockPause = 300 * time.Millisecond // between two authorization requests while the page runs
	maxProbes = 4                      // of these
	maxPage   = 20 * time.Second
)

// checkLock looks whether an authorization request waits for another request of the same session, which takes usual
// before.
func (v *visit) checkLock(ctx context.Context, channel string, usual time.Duration) {
	target, err := pageBeside(v.page, v.Page)
	if err != nil {
		v.report.skip("a lock of the session: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxPage)
	defer cancel()
	started := time.Now()
	donec := make(chan time.Time, 1)
	go v.loadSlowly(ctx, target, donec)
	var longest, ended time.Duration // the longest authorization request, and when it ended
	var over time.Time
	failure := ""
	for i := 0; i < maxProbes && over.IsZero(); i++ {
		select {
		case over = <-donec:
			continue
		case <-time.After(max(lockDelay, time.Duration(i)*lockPause)):
		}
		a := v.authorize(ctx, fmt.Sprintf("lock-%d", i), channel, v.Cookie)
		if a == nil {
			return
		}
		if a.Error != "" {
			failure = a.Hint + a.Error
		}
		if took := time.Duration(a.Millis) * time.Millisecond; took > longest {
			longest, ended = took, time.Since(started)
		}
	}
	if over.IsZero() {
		over = <-donec
	}
	v.judgeLock(target, over.Sub(started), longest, ended, usual, failure)
}

// loadSlowly visits a page with the cookie, and sends when that is done.
func (v *visit) loadSlowly(ctx context.Context, target *url.URL, donec chan<- time.Time) {
	// Whatever it answers, and also if it fails, it was in progress until then.
	_, _ = v.front.get(ctx, target.String(), v.Cookie, http.Header{"Accept": {"text/html"}})
	donec <- time.Now()
}

// judgeLock reports the result: the page took page, and the longest authorization request while it ran took longest and
// ended so long after the page had begun. Alone, it takes usual.
func (v *visit) judgeLock(target *url.URL, page, longest, ended, usual time.Duration, failure string) {
	f := Finding{
		Kind: WillBite, Check: checkLock, Title: "Authorization waits while another request of the same user runs: the app locks the session.",
		Sent: "GET " + target.Path + ", and authorization requests while it ran",
		Seen: fmt.Sprintf("the page took %d ms, authorization up to %d ms, and %d ms alone", page.Milliseconds(), longest.Milliseconds(), usual.Milliseconds()),
		Change: []Change{{In: "the app, in PHP", Lines: []string{
			"session_write_close();    // in slow pages, once they have read the session",
			"session_start(['read_and_close' => true]);    // in the script of push.authorize_path",
		}}},
	}
	apart := (ended - page).Abs() // of a lock, both end together
	switch {
	case failure != "":
		f.Kind, f.Title, f.Seen = Broken, "While another request of the same user runs, the app does not answer authorization requests.", clip(failure)
	case page < slowPage:
		v.report.skip("a lock of the session: the page took only %d ms. -page PATH of a slow one, such as a poll.", page.Milliseconds())
		return
	case longest < usual+page/3 || apart > page/4:
		f = Finding{Kind: Fine, Check: checkLock, Title: "Authorization does not wait for other requests of the same user."}
	}
	v.report.add(f)
}
