package watch

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/hub"
)

// Why a request has no value that can be published; also the reason of the metric.
const (
	Unreachable = "unreachable" // no connection
	TimedOut    = "timeout"     // no response in time
	Cut         = "cut"         // a response that is not complete, or no HTTP
	Redirected  = "redirect"    // as a rule to a login
	Denied      = "denied"      // 401, 403
	NotFound    = "not_found"   // 404, 410
	BadStatus   = "status"      // any other
	BadContent  = "content"     // not what data names
	TooLarge    = "too_large"
	Unpublished = "publish"  // the hub has refused it
	BadName     = "name"     // the channel's name has no URL
	Internal    = "internal" // an error in Holdfast
)

// Reasons are all of the above.
var Reasons = []string{
	Unreachable, TimedOut, Cut, Redirected, Denied, NotFound, BadStatus, BadContent, TooLarge, Unpublished, BadName, Internal,
}

// failure is a request without a value.
type failure struct {
	reason string
	hint   string        // the likely cause, or the key to look at
	err    error         // nil: the hint says it all
	after  time.Duration // that the app wants to be asked after; zero: it does not say
}

// Error returns the error, if there is one, and the hint.
func (f *failure) Error() string {
	switch {
	case f.err == nil:
		return f.hint
	case f.hint == "":
		return f.err.Error()
	}
	return f.err.Error() + "; " + f.hint
}

// result is what has become of a channel's turn.
type result struct {
	requests int    // zero: it was put off
	changed  bool   // a value was published
	reason   string // of a failure; empty: none
	wait     time.Duration
}

// poll is a channel's turn.
func (w *Watcher) poll(e *entry) (r result) {
	began := time.Now()
	defer func() {
		if p := recover(); p != nil { // it must not cost the process all its connections
			w.log.Error("panic while a watched URL was asked", "channel", e.channel, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			r = result{requests: max(r.requests, 1), reason: Internal, wait: maxBackoff}
		}
	}()
	if !w.takeUrgent(e) && w.putOff(e) {
		return result{wait: e.rule.Every}
	}
	var failed *failure
	for range 2 {
		r.requests++
		var stale bool
		if r.changed, stale, failed = w.ask(e, r.requests == 1); !stale || !w.held(e) {
			break
		}
	}
	now := time.Now()
	switch {
	case failed != nil && failed.reason == stopped:
		return result{wait: e.rule.Every}
	case failed != nil:
		e.failures++
		r.reason, r.wait = failed.reason, max(backoff(e.rule.Every, e.failures), min(failed.after, maxWait))
		w.noticeFailure(e, failed, r.wait, now)
		return r
	case e.failures > 0:
		e.failures = 0
		w.noticeRecovery(e, now)
	}
	r.wait = e.rule.next(began, now, !e.begun)
	e.begun = true
	return r
}

// takeUrgent reports whether the app has said that the state has changed, since it was asked last.
func (w *Watcher) takeUrgent(e *entry) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	urgent := e.urgent
	e.urgent = false
	return urgent
}

func (w *Watcher) held(e *entry) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return e.held
}

// putOff reports whether a message of somebody else puts the request off.
func (w *Watcher) putOff(e *entry) bool {
	_, id := w.o.Last(e.channel)
	if id == e.last || !e.begun || e.failures > 0 || e.putOffs == maxPutOffs {
		e.putOffs = 0
		return false
	}
	e.last = id
	e.putOffs++
	return true
}

// ask requests the URL once and publishes what is new. Again says that it may be asked once more; stale, that it should be:
// a message has been published meanwhile, which may be newer than the answer, or the connection has ended without one, as
// it does when the app closes it in the moment in which it is used.
func (w *Watcher) ask(e *entry, again bool) (changed, stale bool, failed *failure) {
	kept, id := w.o.Last(e.channel)
	if e.last = id; kept == nil && e.kept && e.failures > 0 {
		e.known = false // it has left the history while the app failed, and later subscribers would not find it
	}
	known := e.valid
	if !e.known {
		known = appcall.Validators{}
	}
	page, err := e.rule.Get(e.path, known)
	if err != nil {
		failed = failureOf(err)
		return false, again && failed.reason == Cut, failed
	}
	if page.SetsCookie && !e.rule.Cookies {
		w.noticeCookie(e)
	}
	if unchanged(page.Status, known) {
		w.same(e)
		return false, false, nil
	}
	if failed := statusFailure(&page); failed != nil {
		return false, false, failed
	}
	v, err := e.rule.Data.find(&page)
	if err != nil {
		return false, false, &failure{reason: BadContent, hint: err.Error()}
	}
	sum := v.sum()
	if e.known && sum == e.sum {
		if e.valid = page.Validators; w.same(e) {
			return false, false, nil
		}
	}
	kept, id = w.o.Last(e.channel)
	if again && id != e.last {
		return false, true, nil
	}
	if changed, failed = w.publish(e, v, kept, e.lost && sum == e.sum); failed == nil {
		e.lost, e.known, e.sum, e.valid = false, true, sum, page.Validators
	}
	return changed, false, failed
}

// same takes note that the value is what it was. It reports false if it has to be stored once more: other messages have
// followed it, and it has left the history, where later subscribers would look for it.
func (w *Watcher) same(e *entry) bool {
	e.changes = 0
	if now := time.Now(); !w.o.Renew(e.channel, e.message) && e.kept && !now.Before(e.again.at) {
		e.again.wait = min(max(2*e.again.wait, minAgain), maxAgain)
		e.again.at = now.Add(e.again.wait) // where history has no room for it, it must not drive out others all the time
		e.known, e.lost = false, true
	}
	return e.known
}

// publish publishes a new value, unless the channel's newest message has the same data. Quiet says that all who have subscribed
// have it.
func (w *Watcher) publish(e *entry, v value, kept *hub.Message, quiet bool) (changed bool, failed *failure) {
	if kept != nil && kept.JSON == v.json && bytes.Equal(kept.Data, v.data) {
		e.message, e.kept = kept.ID, true
		w.same(e)
		return false, nil
	}
	receipt, err := w.o.Publish(hub.Draft{Channels: []string{e.channel}, Data: v.data, JSON: v.json, Quiet: quiet})
	if err != nil {
		return false, &failure{reason: Unpublished, hint: "the change is published later", err: err}
	}
	e.message = receipt.ID
	kept, e.last = w.o.Last(e.channel)
	e.kept = kept != nil
	if e.known {
		e.again.wait, e.again.at = 0, time.Time{}
		if e.changes++; e.changes == restless {
			w.noticeRestless(e)
		}
	}
	return !quiet, nil
}

// next returns how long a channel waits after a request that did not fail. Not longer than the interval; but an app that
// takes long is left alone for as long as it took, up to the interval. The first wait is random.
func (r *rule) next(began, now time.Time, first bool) time.Duration {
	if first {
		return rand.N(r.Every)
	}
	took := now.Sub(began)
	return max(r.Every-took, min(took, r.Every))
}

// sum is a hash of the value.
func (v value) sum() [sha256.Size]byte {
	if v.json {
		return sha256.Sum256(append([]byte{1}, v.data...))
	}
	return sha256.Sum256(append([]byte{0}, v.data...))
}

// unchanged reports whether a status says that the value is what it was.
func unchanged(status int, known appcall.Validators) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified && known != appcall.Validators{}
}

// statusFailure returns why a response has no value, nil if it may have one.
func statusFailure(p *appcall.Page) *failure {
	f := &failure{after: p.RetryAfter, hint: fmt.Sprintf("the app answered status %d", p.Status)}
	switch status := p.Status; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		f.reason, f.hint = Denied, f.hint+"; a login for the request goes into as"
	case status == http.StatusNotFound, status == http.StatusGone:
		f.reason = NotFound
	case status >= 300 && status < 400 && status != http.StatusNotModified:
		f.reason, f.hint = Redirected, f.hint+", a redirect, as to a login or another host; a login, or a Host, goes into as"
	case status != http.StatusOK && status != http.StatusNonAuthoritativeInfo:
		f.reason = BadStatus
	case len(p.Body) == 0 && p.EndedByClose:
		f.reason, f.hint = Cut, "the app closed the connection without a response, as a crash would"
	default:
		return nil
	}
	return f
}

// stopped is the reason of a request that the shutdown has ended; it is no failure.
const stopped = "stopped"

// failureOf returns what an error of Rule.Get is.
func failureOf(err error) *failure {
	for _, known := range []struct {
		err          error
		reason, hint string
	}{
		{appcall.ErrGetterStopped, stopped, ""},
		{appcall.ErrUnreachable, Unreachable, "see upstream"},
		{appcall.ErrTimeout, TimedOut, "see push.watch_timeout"},
		{appcall.ErrTooLarge, TooLarge, "see push.watch_max_reply"},
	} {
		if errors.Is(err, known.err) {
			return &failure{reason: known.reason, hint: known.hint, err: err}
		}
	}
	return &failure{reason: Cut, err: err}
}
