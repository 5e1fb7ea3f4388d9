package watch

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// schedule has channels by the time when they are due; it is a heap.
type schedule []*entry

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

func (s *schedule) Push(x any) {
	e := x.(*entry)
	e.index = len(*s)
	*s = append(*s, e)
}

func (s *schedule) Pop() any {
	last := len(*s) - 1
	e := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	e.index = -1
	return e
}

// hold takes note that somebody holds a channel.
func (w *Watcher) hold(r *rule, channel string, now time.Time) {
	path, err := r.URL.URL(channel)
	if err != nil {
		w.refuse(r, channel, err, now)
		return
	}
	w.mu.Lock()
	full := false
	switch e := w.channels[channel]; {
	case e == nil:
		e = &entry{channel: channel, rule: r, path: path, index: -1, held: true, due: now, placed: now}
		w.channels[channel] = e
		if len(w.channels)-w.inLineLocked() > w.o.MaxChannels && !w.forgetLocked() {
			e.place, full = w.waiting.PushBack(e), true
			break
		}
		w.scheduleLocked(e)
	case !e.held:
		e.held = true
		if !e.asked {
			w.resting.Remove(e.place)
			e.place, e.placed = nil, now
			w.scheduleLocked(e)
		}
	}
	waiting := w.inLineLocked()
	w.mu.Unlock()
	if full {
		w.noticeFull(waiting, now)
	}
}

// leave takes note that nobody holds a channel any more.
func (w *Watcher) leave(channel string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.channels[channel]
	switch {
	case e == nil || !e.held:
		return
	case e.place != nil: // in line
		w.waiting.Remove(e.place)
		w.failing.Remove(e.place) // it is in one of them
		w.failedLocked(e, "")
		delete(w.channels, channel)
		return
	}
	if e.held = false; e.index >= 0 {
		heap.Remove(&w.due, e.index)
		w.restLocked(e, now)
	}
}

// restLocked puts a channel aside that nobody holds. Its place goes to one that waits.
func (w *Watcher) restLocked(e *entry, now time.Time) {
	e.since, e.place = now, w.resting.PushBack(e)
	if w.inLineLocked() > 0 {
		w.forgetLocked()
		w.nextLocked(now, now)
	}
	if w.resting.Len() == 1 {
		w.wake()
	}
}

// forgetLocked drops the channel that has rested for longest, if there is one.
func (w *Watcher) forgetLocked() bool {
	first := w.resting.Front()
	if first == nil {
		return false
	}
	e := w.resting.Remove(first).(*entry)
	e.place = nil
	delete(w.channels, e.channel)
	w.failedLocked(e, "")
	return true
}

// inLineLocked returns how many channels wait for a place.
func (w *Watcher) inLineLocked() int { return w.waiting.Len() + w.failing.Len() }

// nextLocked gives the channel that has waited for longest a place, if one is free. It is not asked before a time. Those that
// have failed and are due take turns with the others.
func (w *Watcher) nextLocked(now, earliest time.Time) {
	if len(w.channels)-w.inLineLocked() >= w.o.MaxChannels {
		return
	}
	line, failed := &w.waiting, w.failing.Front()
	if failed != nil && (line.Len() == 0 || w.failed && !failed.Value.(*entry).due.After(now)) {
		line = &w.failing
	}
	first := line.Front()
	if first == nil {
		return
	}
	w.failed = line == &w.waiting
	e := line.Remove(first).(*entry)
	if e.place, e.placed = nil, now; e.due.Before(earliest) {
		e.due = earliest
	}
	w.scheduleLocked(e)
}

// scheduleLocked makes a channel that is held wait until it is due.
func (w *Watcher) scheduleLocked(e *entry) {
	heap.Push(&w.due, e)
	if e.index == 0 {
		w.wake()
	}
}

// failedLocked notes why the newest request for a channel failed; empty: it did not.
func (w *Watcher) failedLocked(e *entry, reason string) {
	switch {
	case e.reason == "" && reason != "":
		w.stats.Failing++
	case e.reason != "" && reason == "":
		w.stats.Failing--
	}
	e.reason = reason
}

// dispatch forgets what has rested for long enough, starts workers for what is due, and returns when to look again.
func (w *Watcher) dispatch(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := time.Hour
	for first := w.resting.Front(); first != nil; first = w.resting.Front() {
		if left := first.Value.(*entry).since.Add(restTime).Sub(now); left > 0 {
			wait = min(wait, left)
			break
		}
		w.forgetLocked()
	}
	for w.asking < w.o.InFlight {
		e := w.takeLocked(now)
		if e == nil {
			break
		}
		w.asking++
		w.group.Go(func() { w.work(e) })
	}
	if len(w.due) > 0 && w.asking < w.o.InFlight { // else a worker looks when it is done
		wait = min(wait, max(w.due[0].due.Sub(now), time.Millisecond))
	}
	return wait
}

// takeLocked returns the channel that is due for longest, to be asked; nil if none is.
func (w *Watcher) takeLocked(now time.Time) *entry {
	if w.stopped || len(w.due) == 0 || w.due[0].due.After(now) {
		return nil
	}
	e := heap.Pop(&w.due).(*entry)
	e.asked = true
	return e
}

// work asks for a channel, and then for what else is due.
func (w *Watcher) work(e *entry) {
	for e != nil {
		result := w.poll(e)
		now := time.Now()
		w.mu.Lock()
		w.doneLocked(e, result, now)
		if e = w.takeLocked(now); e == nil {
			w.asking--
			w.wake() // for what is due next
		}
		w.mu.Unlock()
	}
}

// doneLocked counts a result and schedules the next request.
func (w *Watcher) doneLocked(e *entry, r result, now time.Time) {
	w.stats.Requests += uint64(r.requests)
	switch {
	case r.reason != "":
		w.stats.Failures[r.reason]++
	case r.changed:
		w.stats.Changes++
	case r.requests > 0:
		w.stats.Unchanged++
	}
	if r.requests > 0 {
		w.failedLocked(e, r.reason)
		w.noteAppLocked(e.rule, r.reason, now)
	}
	if e.asked, e.due = false, now.Add(r.wait); e.urgent {
		e.due = now
	}
	switch {
	case !e.held:
		w.restLocked(e, now)
	case r.reason != "" && w.inLineLocked() > 0: // names that the app does not know must not keep others out
		e.place = w.failing.PushBack(e)
		w.nextLocked(now, now)
	case w.waiting.Len() > 0 && now.Sub(e.placed) >= max(turnTime, 10*e.rule.Every): // nor those that it answers to whatever they are
		e.place = w.waiting.PushBack(e)
		w.nextLocked(now, e.due) // no more requests than without a change of places
	default:
		w.scheduleLocked(e)
	}
}

// noteAppLocked notes whether the app can be reached. When it can again, all that has failed for that is due within the
// interval: the app was away as a whole, and is back as a whole.
func (w *Watcher) noteAppLocked(r *rule, reason string, now time.Time) {
	switch {
	case reason == Unreachable:
		r.down = true
	case r.down:
		r.down = false
		for _, e := range w.due {
			if back := now.Add(rand.N(r.Every)); e.rule == r && e.reason == Unreachable && back.Before(e.due) {
				e.due = back
			}
		}
		heap.Init(&w.due)
		w.wake()
	}
}
