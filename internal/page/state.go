package page

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"holdfast/internal/metric"
)

// state is what the page shows of one moment. Rates and times are those of the last seconds; see window.
type state struct {
	Time     int64   `json:"time"` // Unix milliseconds
	Version  string  `json:"version"`
	Uptime   string  `json:"uptime"`
	NotReady string  `json:"not_ready,omitempty"` // why clients are not served
	Publish  bool    `json:"publish"`             // the page may publish
	Seconds  float64 `json:"seconds"`             // that rates and times are about; 0: there are none yet

	Held     map[string]float64 `json:"held"` // by transport
	Figures  map[string]float64 `json:"figures"`
	Requests *timing            `json:"requests,omitempty"`
	Delivery *timing            `json:"delivery,omitempty"`

	Refusals  []refusal          `json:"refusals"`
	Upstreams []upstream         `json:"upstreams"`
	Cache     map[string]float64 `json:"cache,omitempty"` // responses by result; absent without polls and cache
	Watch     bool               `json:"watch"`           // there are watched URLs
}

// timing has the times of what was measured in the last seconds.
type timing struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"` // milliseconds
	P99   float64 `json:"p99"`
}

// upstream is one of the app's servers.
type upstream struct {
	Name    string  `json:"name"`
	Up      bool    `json:"up"`
	Active  float64 `json:"active"`
	Notices float64 `json:"notices"` // faults in its responses that were corrected
	Time    *timing `json:"time,omitempty"`
}

// gauges and counters of the page, by the names that its script has for them. Of counters it gets the rates.
var (
	gauges = map[string]string{
		"connections": "holdfast_connections", "channels": "holdfast_channels", "in_flight": "holdfast_proxy_requests_in_flight",
		"queued": "holdfast_proxy_queue_length", "tunnels": "holdfast_proxy_tunnels", "send_queue": "holdfast_send_queue_bytes",
		"history": "holdfast_history_messages", "history_bytes": "holdfast_history_bytes",
		"polls_held": "holdfast_cache_polls_held", "entries": "holdfast_cache_entries", "cache_bytes": "holdfast_cache_bytes",
		"watched": "holdfast_watch_channels", "watch_failing": "holdfast_watch_channels_failing",
		"fds": "process_open_fds", "max_fds": "process_max_fds", "memory": "process_resident_memory_bytes",
	}
	rates = map[string]string{
		"requests": "holdfast_proxy_requests_total", "published": "holdfast_messages_published_total",
		"delivered":      "holdfast_messages_delivered_total",
		"watch_requests": "holdfast_watch_requests_total", "watch_changes": "holdfast_watch_changes_total",
	}
)

// state returns the state of a moment; before is the sample that rates begin with, nil: there is none.
func (p *Page) state(now, before *sample) *state {
	s := &state{
		Time: now.at.UnixMilli(), Version: p.o.Version, Uptime: uptime(now.at.Sub(p.started)),
		Held: now.by("holdfast_connections_held"), Figures: map[string]float64{},
		Refusals: p.refusals(now, before), Upstreams: upstreams(now, before), Watch: now.has("holdfast_watch_channels"),
	}
	if p.o.Ready != nil {
		if err := p.o.Ready(); err != nil {
			s.NotReady = err.Error()
		}
	}
	s.Publish = p.o.Publish != nil && p.o.Publish()
	for name, of := range gauges {
		if now.has(of) {
			s.Figures[name] = now.total(of)
		}
	}
	if before != nil {
		s.Seconds = now.at.Sub(before.at).Seconds()
		for name, of := range rates {
			s.Figures[name+"_rate"] = now.rate(before, of)
		}
		s.Requests = timingOf(now.times.Requests, before.times.Requests)
		s.Delivery = timingOf(now.times.Delivery, before.times.Delivery)
	}
	if now.has("holdfast_cache_requests_total") {
		s.Cache = now.by("holdfast_cache_requests_total")
	}
	return s
}

// upstreams returns the app's servers, by name.
func upstreams(now, before *sample) []upstream {
	list := []upstream{}
	notices := now.by("holdfast_upstream_notices_total")
	up := now.by("holdfast_upstream_up")
	for name, active := range now.by("holdfast_upstream_active") {
		u := upstream{Name: name, Up: up[name] > 0, Active: active, Notices: notices[name]}
		if before != nil {
			u.Time = timingOf(now.times.Upstreams[name], before.times.Upstreams[name])
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b upstream) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// timingOf returns the times that were measured between two snapshots; nil: there are none.
func timingOf(now, before metric.Histogram) *timing {
	recent := now.Since(&before)
	if recent.Count() == 0 {
		return nil
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return &timing{Count: recent.Count(), P50: ms(recent.Quantile(0.5)), P99: ms(recent.Quantile(0.99))}
}

// render returns a state as JSON, which can't be wrong.
func (s *state) render() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a map of floats from counters
	}
	return b
}
