package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
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
	"holdfast/internal/listening"
	"holdfast/internal/metric"
	"holdfast/internal/serving"
)

// reloads is what the reloads of a Server share.
type reloads struct {
	mu     sync.Mutex  // held during a reload, of which there is one at a time, and during a take-over
	giving atomic.Bool // a take-over has mu, or waits for it: no reload may wait for that, as it waits for API requests

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
	done, result, err := x.turn(s)
	x.counts[result].Add(1)
	if err != nil {
		s.log.Error("configuration not reloaded; the old one stays in use", "error", err)
		return done, fmt.Errorf("%w: %w", hooks.ErrNotReloaded, err)
	}
	x.last.Store(time.Now().Unix())
	s.log.Info("configuration reloaded", "changed", strings.Join(done.Changed, " "), "config", s.conf().Digest())
	return done, nil
}

var errGiving = errors.New("a take-over is in progress, and its new process reads the configuration: reload when it has ended, if that is still needed")

// nextTurn is how often a reload looks whether another one has ended.
const nextTurn = 5 * time.Millisecond

// turn waits for other reloads, and applies the configuration.
func (x *reloads) turn(s *Server) (done hooks.Reloaded, result reloadResult, err error) {
	for !x.mu.TryLock() {
		if x.giving.Load() {
			return done, reloadRefused, errGiving
		}
		time.Sleep(nextTurn)
	}
	defer x.mu.Unlock()
	return x.apply(s)
}

// alone runs f while there is no reload.
func (x *reloads) alone(f func()) {
	x.giving.Store(true)
	defer x.giving.Store(false)
	x.mu.Lock()
	defer x.mu.Unlock()
	f()
}

// apply is Reload for one caller at a time.
func (x *reloads) apply(s *Server) (done hooks.Reloaded, result reloadResult, err error) {
	switch {
	case s.draining.Load(), s.succession.Gone():
		return done, reloadRefused, errDraining
	case x.load == nil:
		return done, reloadRefused, errNoSource
	}
	c, err := x.load()
	if err != nil {
		return done, reloadInvalid, err
	}
	s.lines.Hide(secrets(c)...) // before anything of it may be logged
	done.Changed = append([]string{}, changes.Keys(s.conf(), c)...)
	if frozen := frozen(s, c, done.Changed); len(frozen) > 0 {
		return done, reloadRefused, fmt.Errorf("needs a take-over (holdfast takeover) or a restart: %s", strings.Join(frozen, ", "))
	}
	next, err := prepare(s, c)
	if err != nil {
		return done, reloadInvalid, err
	}
	if err := s.accessLog.Move(c.Log.Access); err != nil {
		next.cancel(s)
		return done, reloadInvalid, fmt.Errorf("log.access_log: %w", err)
	}
	use(s, next, done.Changed)
	return done, reloadApplied, nil
}

// lookupTime is how long the names of new upstreams may take to resolve before the first request for them.
const lookupTime = 3 * time.Second

// prepared is what prepare makes.
type prepared struct {
	*state
	front *serving.State
	plan  *listening.Plan
}

// prepare makes everything of a configuration that may fail, and changes nothing.
func prepare(s *Server, c *config.Config) (next prepared, err error) {
	if next.state, err = newState(c); err != nil {
		return next, err
	}
	if next.tls = s.tls(); next.tls == nil {
		if next.tls, err = newTLS(s, c); err != nil {
			return next, err
		}
	} else if err := certs.Readable(certPairs(c), c.TLS.Folder); err != nil {
		return next, fmt.Errorf("tls: %w", err)
	}
	if next.plan, err = s.listeners.Prepare(c); err != nil {
		return next, err
	}
	next.at = next.plan.Addrs
	if next.secure, err = secureOf(s).next(c, s.poller, s.log); err != nil {
		next.plan.Cancel()
		return next, err
	}
	if err = prepareRest(s, &next); err != nil {
		next.cancel(s)
	}
	return next, err
}

// cancel undoes what prepare has done.
func (x *prepared) cancel(s *Server) {
	x.plan.Cancel()
	x.secure.without(secureOf(s))
}

// prepareRest makes what needs to know the listeners.
func prepareRest(s *Server, next *prepared) (err error) {
	if next.calls, err = newCalls(next.state); err != nil {
		return err
	}
	o, gates, err := s.proxying(next.state, s.state.Load().gates)
	if err != nil {
		return err
	}
	next.gates = gates
	if next.front, err = s.proxy.Prepare(o); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	next.front.Servers.ResolveNew(ctx)
	return next.plan.Open(s.poller)
}

// use puts a configuration to use, which has changed some keys.
func use(s *Server, next prepared, changed []string) {
	c := next.config
	s.reloads.level.Set(levelOf(c))
	if s.tls() == nil {
		next.tls.listen(s, c)
	}
	next.tls.use(certPairs(c), c.TLS.Folder)
	next.secure.files.Reload()
	old := s.state.Load()
	s.state.Store(next.state)
	s.proxy.Use(next.front)
	if s.cache != nil && len(changes.Without(changed, changes.SameResponses...)) > 0 {
		s.cache.Store.Clear()
	}
	select {
	case s.upstreams <- struct{}{}:
	default:
	}
	s.hooks.Use(next.api())
	set := next.subscribing()
	s.keeper.Use(&set)
	useListeners(s, next.plan, next.tls) // last: what comes by new ones follows the new rules
	old.secure.without(next.secure)
	warn(s, c)
}

// frozen returns which of the changed keys can't be applied while Holdfast runs, each with a reason if it is not the key
// as such.
func frozen(s *Server, c *config.Config, changed []string) []string {
	old, live := s.conf(), changes.Live
	if s.tls() == nil {
		live = slices.Concat(changes.Live, changes.FirstTLS)
	}
	list := changes.Without(changed, live...)
	add := func(differs bool, text string) {
		if differs {
			list = append(list, text)
		}
	}
	add(!reflect.DeepEqual(old.CacheRules(), c.CacheRules()) && len(changes.Without(list, "polls", "cache")) == len(list), "polls and cache (their place in sites and routes)")
	add((old.Log.Access == "") != (c.Log.Access == ""), "log.access_log (whether there is one)")
	add(changes.Observed(old, c), "channels (rules with presence or occupancy_events, and those that match the same channels)")
	add(c.Push.HistoryFile != "" && ruleText(old) != ruleText(c), "channels (which of them have history, with push.history_file)")
	wild := func(r *channel.Rule) bool { return r.Wildcards }
	add(c.Rules().Any(wild) && !old.Rules().Any(wild), "channels (the first rule with wildcards)")
	add(c.Push.Headers && old.Push.MaxMessage != c.Push.MaxMessage, "push.max_message (with push.headers)")
	add(s.cache.polls() != nil && old.Timeouts.HalfClose != c.Timeouts.HalfClose, "timeouts.half_close (with hold of polls)")
	add(secureOf(s).client != nil && old.Timeouts.Connect != c.Timeouts.Connect, "timeouts.connect (with an upstream that has https)")
	for i := range min(len(old.Watch), len(c.Watch)) {
		_, before := s.state.Load().appEndpoint(old.Watch[i].URL)
		_, after := (&state{config: c, at: s.state.Load().at}).appEndpoint(c.Watch[i].URL)
		add(before != after, fmt.Sprintf("watch[%d] (the path that its route makes of url)", i))
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
