package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Events configures the event webhooks.
type Events struct {
	URL       string   `yaml:"url" eg:"/push/events"` // a path on the app, or http://127.0.0.1:port/path; empty: no events are sent
	Key       string   `yaml:"key" eg:"the output of \"openssl rand -hex 16\""`
	Types     []string `yaml:"types" eg:"[online, offline]"`
	Grace     Duration `yaml:"grace"` // 0: none
	Batch     int      `yaml:"batch"`
	Delay     Duration `yaml:"delay"` // 0: a batch is sent at once
	Timeout   Duration `yaml:"timeout"`
	Queue     int      `yaml:"queue"`
	QueueSize Size     `yaml:"queue_size"`
}

// The types of events.
const (
	Connect    = "connect"
	Disconnect = "disconnect"
	Occupied   = "occupied"
	Vacated    = "vacated"
	Online     = "online"
	Offline    = "offline"
)

var eventTypes = []string{Connect, Disconnect, Occupied, Vacated, Online, Offline}

const wantEventsURL = "a path on the app such as /push/events, or http://127.0.0.1:8090/events"

// Enabled reports whether the app gets events of one of these types.
func (e *Events) Enabled(types ...string) bool {
	return slices.ContainsFunc(types, func(t string) bool { return slices.Contains(e.Types, t) })
}

// Target returns where events are sent: a path of the app, or another address on this machine.
func (e *Events) Target(app Upstream) (to Upstream, path string, err error) {
	rest, absolute := strings.CutPrefix(e.URL, "http://")
	if !absolute {
		if problem := authorizeProblem(e.URL); problem != "" {
			return to, "", fmt.Errorf("%s %s", show(e.URL), problem)
		}
		return app, e.URL, nil
	}
	i := strings.Index(rest, "/")
	if i < 0 {
		return to, "", fmt.Errorf("%s has no path", show(e.URL))
	}
	if to, err = parseUpstream("http://" + rest[:i]); err != nil {
		return to, "", err
	}
	if host, _, _ := net.SplitHostPort(to.Address); !isLoopback(host) {
		return to, "", fmt.Errorf("%s is not on this machine: events would cross the network unencrypted", show(rest[:i]))
	}
	if problem := authorizeProblem(rest[i:]); problem != "" {
		return to, "", fmt.Errorf("%s %s", show(rest[i:]), problem)
	}
	return to, rest[i:], nil
}

func (d *decoder) events(c *Config) {
	e := &c.Events
	inRange(d, "events.grace", e.Grace, shortest, seconds(600), "off")
	inRange(d, "events.batch", e.Batch, 1, 1000, "")
	inRange(d, "events.delay", e.Delay, Duration(time.Millisecond), seconds(10), "off")
	inRange(d, "events.timeout", e.Timeout, shortest, seconds(60), "")
	inRange(d, "events.queue", e.Queue, 1, 1_000_000, "")
	inRange(d, "events.queue_size", e.QueueSize, 64*KB, 1*GB, "")
	if e.Queue < e.Batch {
		d.add(d.firstGiven("events.queue", "events.batch"), fmt.Sprintf("events.queue %d is less than events.batch %d", e.Queue, e.Batch))
	}
	for i, t := range e.Types {
		key := fmt.Sprintf("events.types[%d]", i)
		d.oneOf(key, t, eventTypes)
		if slices.Contains(e.Types[:i], t) {
			d.add(key, show(t)+" is listed twice")
		}
	}
	if problem := tokenProblem(e.Key); problem != "" {
		d.add("events.key", problem)
	}
	ruled := slices.ContainsFunc(c.Channels, func(r Channel) bool { return r.Events })
	switch _, _, err := e.Target(Upstream{}); {
	case e.URL == "" && len(e.Types) > 0:
		d.add("events.url", "missing, but events.types is set; want "+wantEventsURL)
	case e.URL == "":
	case err != nil:
		d.add("events.url", err.Error()+"; want "+wantEventsURL)
	case len(e.Types) == 0:
		d.add("events.types", "missing, but events.url is set; want any of "+strings.Join(eventTypes, ", "))
	case e.Key == "" && c.Hooks.Token == "" && !d.failed["events.key"] && !d.failed["hooks.token"]:
		d.add("events.key", "missing, and hooks.token is empty too; set one of them, so that the app can check who sent the events")
	case c.ProxyProtocol && c.Servers()[0].URL.FastCGI && strings.HasPrefix(e.URL, "/"):
		d.add("events.url", "cannot be a path of a fastcgi upstream while proxy_protocol is on")
	case e.Enabled(Occupied, Vacated) && !ruled:
		d.add("events.types", "occupied and vacated need a rule of channels with \"occupancy_events: true\"")
	}
	if ruled && !e.Enabled(Occupied, Vacated) {
		i := slices.IndexFunc(c.Channels, func(r Channel) bool { return r.Events })
		d.add(fmt.Sprintf("channels[%d].occupancy_events", i), "has no effect unless events.types has occupied or vacated")
	}
}

// tokenProblem says what is wrong with a secret that may be empty. It does not show it: errors go to logs.
func tokenProblem(token string) string {
	switch {
	case token != "" && len(token) < minToken:
		return fmt.Sprintf("%d characters; want at least %d", len(token), minToken)
	case strings.Trim(token, lettersDigits+"!#$%&'*+-.^_`|~/=:,;@?(){}<>") != "":
		return "has a space, a quote, a backslash or a character outside ASCII; want one that fits a header field as it is"
	}
	return ""
}
