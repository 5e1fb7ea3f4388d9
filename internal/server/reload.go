package server

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/hooks"
	"holdfast/internal/certs"
	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/config/changes"
	"holdfast/internal/metric"
)

// liveKeys are the keys that a reload applies, at the top and in every site and route. A change of any other key is
// refused, by its name.
var liveKeys = []string{
	"timeouts.drain", "tls.certificates", "tls.folder", "hooks.token", "hooks.hosts",
	"push.authorize_grace", "push.jwt", "push.origins", "push.heartbeat", "push.poll_wait", "push.poll_max_wait",
	"push.max_channels", "push.max_message", "push.message_rate", "push.send_queue", "push.send_queue_total",
	"push.receive_timeout", "push.max_connections", "channels", "log.level", "log.access_log",
}

// reloads is what the reloads of a Server share.
type reloads struct {
	mu    sync.Mutex // held during a reload: there is one at a time
	load  func() (*config.Config, error)
	level *slog.LevelVar

	counts [reloadResults]atomic.Int64
	last   atomic.Int64 // when the configuration in use was loaded, in Unix seconds
}

// reloadResult is the result of a reload, as the label of a metric.
type reloadResult uint8

const (
	reloadApplied reloadResult = iota
	reloadInvalid              // the configuration, or a file that it names, is not valid
	reloadRefused              // something has changed that needs a restart, or Holdfast shuts down
	reloadResults
)

func (r reloadResult) String() string {
	return [reloadResults]string{"applied", "invalid", "refused"}[r]
}

var errNoSource = errors.New("this process was not told where its configuration is")

// ReloadFrom has Reload read the configuration with load, and set level to its log level. Call it before Serve.
func (s *Server) ReloadFrom(load func() (*config.Config, error), level *slog.LevelVar) {
	s.reloads.mu.Lock()
	defer s.reloads.mu.Unlock()
	s.reloads.load, s.reloads.level = load, level
}

// Reload reads the configuration again and puts it to use, all of it or nothing. It returns when what follows from it is
// done. Requests in progress keep the settings with which they began, and connections stay, except held ones with a
// channel that the rules do not allow any more. It writes the result to the log.
func (s *Server) Reload() (hooks.Reloaded, error) {
	x := &s.reloads
	x.mu.Lock()
	defer x.mu.Unlock()
	done, result, err := x.apply(s)
	x.counts[result].Add(1)
	if err != nil {
		s.log.Error("configuration not reloaded; the old one stays in use", "error", err)
		return done, fmt.Errorf("%w: %w", hooks.ErrNotReloaded, err)
	}
	x.last.Store(time.Now().Unix())
	s.log.Info("configuration reloaded", "changed", strings.Join(done.Changed, " "), "config", s.conf().Digest())
	return done, nil
}

// apply is Reload for one caller at a time.
func (x *reloads) apply(s *Server) (done hooks.Reloaded, result reloadResult, err error) {
	switch {
	case s.draining.Load():
		return done, reloadRefused, errDraining
	case x.load == nil:
		return done, reloadRefused, errNoSource
	}
	c, err := x.load()
	if err != nil {
		return done, reloadInvalid, err
	}
	next, err := prepare(s, c)
	if err != nil {
		return done, reloadInvalid, err
	}
	old := s.conf()
	done.Changed = append([]string{}, changes.Keys(old, c)...)
	if frozen := frozen(old, c, done.Changed); len(frozen) > 0 {
		return done, reloadRefused, fmt.Errorf("needs a restart: %s", strings.Join(frozen, ", "))
	}
	if err := s.accessLog.Move(c.Log.Access); err != nil {
		return done, reloadInvalid, fmt.Errorf("log.access_log: %w", err)
	}
	use(s, next)
	return done, reloadApplied, nil
}

// prepare makes everything of a configuration that may fail, and changes nothing.
func prepare(s *Server, c *config.Config) (*state, error) {
	next, err := newState(c)
	if err != nil {
		return nil, err
	}
	if s.tls != nil {
		if err := certs.Readable(certPairs(c), c.TLS.Folder); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	_, err = Sites(c)
	return next, err
}

// use puts a configuration to use.
func use(s *Server, next *state) {
	c := next.config
	s.reloads.level.Set(levelOf(c))
	s.tls.use(certPairs(c), c.TLS.Folder)
	s.secure.files.Reload()
	s.state.Store(next)
	s.hooks.Use(next.api())
	set := next.subscribing()
	s.keeper.Use(&set)
}

// frozen returns which of the changed keys can't be applied while Holdfast runs, each with a reason if it is not the key
// as such.
func frozen(old, c *config.Config, changed []string) []string {
	list := changes.Without(changed, liveKeys...)
	if (old.Log.Access == "") != (c.Log.Access == "") {
		list = append(list, "log.access_log (whether there is one)")
	}
	if old.Hooks.Token != c.Hooks.Token && c.Events.Key == "" && (c.Events.URL != "" || c.Push.Message != "") {
		list = append(list, "hooks.token (webhooks are signed with it; set events.key)")
	}
	if !slices.Equal(observed(old, c), observed(c, old)) {
		list = append(list, "channels (rules with presence or occupancy_events, and those that match the same channels)")
	}
	if c.Push.HistoryFile != "" && ruleText(old) != ruleText(c) {
		list = append(list, "channels (which of them have history, with push.history_file)")
	}
	wild := func(r *channel.Rule) bool { return r.Wildcards }
	if c.Rules().Any(wild) && !old.Rules().Any(wild) {
		list = append(list, "channels (the first rule with wildcards)")
	}
	return list
}

// observed returns what the rules of c say of presence and occupancy, of those that may decide about a channel for which
// any rule of c or other says something.
func observed(c, other *config.Config) (list []string) {
	says := func(r *config.Channel) bool {
		return r.Events || r.Presence != "" && r.Presence != channel.PresenceOff
	}
	all := slices.Concat(c.Channels, other.Channels)
	for i := range c.Channels {
		r := &c.Channels[i]
		if slices.ContainsFunc(all, func(o config.Channel) bool { return says(&o) && channel.Overlaps(o.Match, r.Match) }) {
			list = append(list, fmt.Sprint(r.Match, r.Events, r.Presence))
		}
	}
	return list
}

// write writes the counts of reloads, and which configuration is in use.
func (x *reloads) write(w *metric.Writer, digest string) {
	counts := map[string]int64{}
	for r := range reloadResults {
		counts[r.String()] = x.counts[r].Load()
	}
	w.Ints("holdfast_config_reloads_total", "result", counts)
	w.Int("holdfast_config_load_timestamp_seconds", x.last.Load())
	w.Int("holdfast_config_info", 1, "digest", digest)
}
