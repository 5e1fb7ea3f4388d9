package watch

import (
	"time"

	"holdfast/internal/throttle"
)

// restless is how many changes in a row make a value that is never the same.
const restless = 20

// notices keep what happens to many channels from filling the log: one line a minute for each rule and reason.
type notices struct {
	failures  map[string]*throttle.Throttle // by reason; not changed
	recovered throttle.Throttle
	cookie    throttle.Throttle
	restless  throttle.Throttle
}

// refuse takes note of a channel whose name has no URL.
func (w *Watcher) refuse(r *rule, channel string, err error, now time.Time) {
	w.mu.Lock()
	w.stats.Failures[BadName]++
	w.mu.Unlock()
	if total, due := r.notices.failures[BadName].Due(now); due {
		w.log.Info("channel not watched: its name does not fit the URL", "key", r.Key, "channel", channel, "error", err, "total", total)
	}
}

func newNotices() *notices {
	n := &notices{failures: make(map[string]*throttle.Throttle)}
	for _, reason := range Reasons {
		n.failures[reason] = new(throttle.Throttle)
	}
	return n
}

// noticeFull logs that a channel waits.
func (w *Watcher) noticeFull(waiting int, now time.Time) {
	if total, due := w.full.Due(now); due {
		w.log.Warn("too many watched channels: some are not asked for; see push.watch_channels", "limit", w.o.MaxChannels, "waiting", waiting, "total", total)
	}
}

// noticeFailure logs that a request has failed, if the one before has not, or for another reason.
func (w *Watcher) noticeFailure(e *entry, f *failure, wait time.Duration, now time.Time) {
	if w.reasonOf(e) == f.reason {
		return
	}
	total, due := e.rule.notices.failures[f.reason].Due(now)
	if !due {
		return
	}
	w.log.Warn("watched URL failed; retrying", "key", e.rule.Key, "channel", e.channel, "reason", f.reason, "error", f,
		"retry_in", wait.Round(time.Millisecond), "total", total)
}

// noticeRecovery logs that a channel's request has not failed any more.
func (w *Watcher) noticeRecovery(e *entry, now time.Time) {
	if total, due := e.rule.notices.recovered.Due(now); due {
		w.log.Info("watched URL is back", "key", e.rule.Key, "channel", e.channel, "total", total)
	}
}

// noticeCookie logs that each request may begin a session.
func (w *Watcher) noticeCookie(e *entry) {
	if _, due := e.rule.notices.cookie.Due(time.Now()); due {
		w.log.Warn("watched URL sets a cookie: each request may begin a session; see as", "key", e.rule.Key, "channel", e.channel)
	}
}

// noticeRestless logs that a value is never the same.
func (w *Watcher) noticeRestless(e *entry) {
	if _, due := e.rule.notices.restless.Due(time.Now()); due {
		w.log.Warn("watched data changes with every request: a time or a token may be in it; see data", "key", e.rule.Key, "channel", e.channel)
	}
}

// reasonOf returns why the request before the present one failed; empty: it did not.
func (w *Watcher) reasonOf(e *entry) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return e.reason
}
