package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// silence is connections on which Holdfast sends nothing: streams, and a poll that it answers after pollFor.
type silence struct {
	streams []*conn
	poll    *conn
	pollFor time.Duration
}

func (v *visit) beginSilence(ctx context.Context) *silence {
	pollFor := v.Wait.Truncate(time.Second)
	if most := v.server.Settings.PollWait.Duration(); most > 0 { // nobody waits for longer
		pollFor = min(pollFor, most)
	}
	return &silence{
		streams: []*conn{
			v.front.fetch(ctx, "streams", v.pushURL(v.quiet, "silent-sse", "silent", "1"), "text/event-stream"),
			v.front.webSocket(ctx, "WebSockets", v.pushURL(v.quiet, "silent-websocket", "silent", "1")),
		},
		poll:    v.front.fetch(ctx, "long polls", v.pushURL(v.quiet, "silent-poll", "wait", fmt.Sprint(int(pollFor/time.Second))), "application/json"),
		pollFor: pollFor,
	}
}

// awaitSilence waits until the connections have been silent for long enough, or are cut.
func (v *visit) awaitSilence(ctx context.Context, s *silence) {
	defer func() {
		for _, c := range append(s.streams, s.poll) {
			c.cancel()
			<-c.donec
		}
	}()
	var cut []string
	least := v.Wait
	tested := 0
	for _, c := range s.streams {
		c.wait(ctx, requestTimeout, func() bool { return c.status != 0 })
		c.wait(ctx, time.Until(c.lastAt().Add(v.Wait)), func() bool { return false })
		c.mu.Lock()
		lasted, over, status := c.ended.Sub(c.last), c.err != nil, c.status
		c.mu.Unlock()
		if status != http.StatusOK && status != http.StatusSwitchingProtocols {
			continue // another check has it
		}
		if tested++; over {
			cut = append(cut, c.name)
			least = min(least, lasted)
		}
	}
	if lasted, ok := s.pollLasted(ctx); !ok {
		if len(cut) == 0 {
			v.pollCut(lasted, s.pollFor)
			return
		}
		cut, least = append(cut, s.poll.name), min(least, lasted)
	}
	switch {
	case tested == 0:
		v.report.skip("how long a stream may be silent: none could be opened.")
	case len(cut) == 0:
		v.stayedOpen()
	default:
		v.wasCut(cut, least)
	}
}

// pollLasted waits for the response to the poll. It reports whether that is Holdfast's; if not, after how long the poll
// was cut.
func (s *silence) pollLasted(ctx context.Context) (lasted time.Duration, ok bool) {
	c := s.poll
	c.wait(ctx, time.Until(c.made.Add(s.pollFor+arriveTimeout)), func() bool { return c.status != 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.status == 0 && c.err == nil:
		return time.Since(c.made), false
	case c.status == 0:
		return c.ended.Sub(c.made), false
	}
	return c.began.Sub(c.made), c.status < http.StatusInternalServerError
}

// pollCut reports that only long polls are cut.
func (v *visit) pollCut(lasted, pollFor time.Duration) {
	lasted = lasted.Round(100 * time.Millisecond)
	v.report.add(Finding{
		Kind: Broken, Check: checkSilence, Title: fmt.Sprintf("Long polls are cut after %v, before Holdfast's response.", lasted),
		Sent: fmt.Sprintf("a long poll of %v", pollFor), Seen: fmt.Sprintf("it ended after %v; push.poll_wait is %v", lasted, v.server.Settings.PollWait.Duration()),
		Change: append(v.cutChanges(), inConfig(fmt.Sprintf("push: {poll_wait: %v}", half(lasted)))),
	})
}

// cutChanges returns what to write in the program in front that cuts.
func (v *visit) cutChanges() []Change {
	return v.changes([]string{"proxy_read_timeout 1h;"},
		[]string{"timeout client 60s", "timeout server 60s", "timeout tunnel 1h"},
		[]string{"ProxyTimeout 3600"})
}

// half returns half of a duration, in whole seconds.
func half(d time.Duration) time.Duration { return max((d / 2).Round(time.Second), time.Second) }

// stayedOpen reports that nothing was cut.
func (v *visit) stayedOpen() {
	heartbeat := v.server.Settings.Heartbeat.Duration()
	v.report.add(Finding{Kind: Fine, Check: checkSilence, Title: fmt.Sprintf("Connections may be silent for %v.", v.Wait)})
	switch {
	case heartbeat == 0:
		v.report.skip("silence of more than %v. push.heartbeat is 0, so connections can be silent for ever: -wait 5m.", v.Wait)
	case v.Wait <= heartbeat:
		v.report.skip("silence of more than %v. Holdfast sends something every %v; -wait %v tells whether that is enough.", v.Wait, heartbeat, (heartbeat + heartbeat/4).Round(time.Second))
	}
}

// wasCut reports after how much silence connections were cut.
func (v *visit) wasCut(cut []string, least time.Duration) {
	least = least.Round(100 * time.Millisecond)
	heartbeat := v.server.Settings.Heartbeat.Duration()
	what := listOf(cut) + " are"
	f := Finding{
		Kind: Broken, Check: checkSilence, Title: fmt.Sprintf("%s cut after %v of silence, before Holdfast's next heartbeat.", what, least),
		Sent: "a connection without data", Seen: fmt.Sprintf("it was closed after %v; push.heartbeat is %v", least, heartbeat),
		Change: append(v.cutChanges(), inConfig(fmt.Sprintf("push: {heartbeat: %v, poll_wait: %[1]v}", half(least)))),
	}
	switch {
	case heartbeat == 0:
		f.Title = fmt.Sprintf("%s cut after %v of silence, and Holdfast sends no heartbeats.", what, least)
	case least > heartbeat+heartbeat/5:
		f = Finding{Kind: Fine, Check: checkSilence, Title: fmt.Sprintf("%s cut after %v of silence; the heartbeat every %v prevents it.", what, least, heartbeat)}
	case least > heartbeat:
		f.Kind, f.Title = WillBite, fmt.Sprintf("%s cut after %v of silence, hardly later than Holdfast's heartbeat.", what, least)
	}
	v.report.add(f)
}

// listOf returns a list as the beginning of a sentence.
func listOf(names []string) string {
	text := strings.Join(names, ", ")
	if i := strings.LastIndex(text, ", "); i >= 0 {
		text = text[:i] + " and" + text[i+1:]
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
