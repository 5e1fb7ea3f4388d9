package succession

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/hooks"
	"holdfast/internal/apigate"
	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/headread"
	"holdfast/internal/hub"
	"holdfast/internal/notify"
	"holdfast/internal/park"
	"holdfast/internal/presence"
	"holdfast/internal/request"
	"holdfast/internal/takeover"
)

// Options are what a server has that moves to another process, or stays.
type Options struct {
	Poller *park.Poller
	API    *Listener // of Hooks

	// Listeners returns how many of the poller's listeners, its first ones, are for this process only, and the names of the
	// others, in their order.
	Listeners func() (own int, names []string)

	Token    string // of the API; empty: none
	Hooks    *hooks.Server
	Hub      *hub.Hub
	Presence *presence.Tracker    // nil: none
	Events   *appcall.EventSender // nil: none
	Auth     *auth.Cache          // nil: none

	Held   takeover.Part // the queues of held connections; frozen before all others
	Left   func()        // is called when the connections are another process's, while no loop runs
	Kinds  func() (layers, kinds []takeover.Kind)
	Alone  func(f func())                    // runs f while the configuration stays as it is
	Reader func(*park.Loop) *headread.Reader // has the connections that wait for a request

	Publish  Publisher        // takes what the old process publishes later
	Sessions request.Sessions // takes what responses there say of sessions
	Clear    func()           // drops the app's responses that are stored; nil: none are

	Version string
	Limits  takeover.Limits // zero: their defaults, but no longer than an API request waits
}

// Succession is the part that one process has in replacing another, or in being replaced.
type Succession struct {
	History *History // nil: history is in memory only; set before the server serves

	o       Options
	log     *slog.Logger
	changes sync.RWMutex // held for reading while the hub is changed by what is neither a loop nor the API

	// Set before the server serves.
	command  func() (*exec.Cmd, error) // nil: nothing is started
	taker    *takeover.Taker           // nil: this process has not taken over
	importer *hub.Importer             // the same

	image *hub.Image // set while the loops are frozen
	reply []byte     // of the new process, set then

	mu      sync.Mutex // guards what follows
	serving bool
	ended   bool                    // no take-over begins any more
	cancel  context.CancelCauseFunc // of the one in progress; nil: none is
	group   sync.WaitGroup          // of those in progress

	movedc chan struct{}                   // closed when another process has everything
	passer atomic.Pointer[takeover.Passer] // nil: there is no other process
	other  *takeover.Handover              // to that process; set before movedc is closed
	stats  stats
}

// New returns a Succession. taker is that of a process that was started to take over; nil: this one was not.
func New(log *slog.Logger, taker *takeover.Taker) *Succession {
	return &Succession{log: log, taker: taker, movedc: make(chan struct{})}
}

// Use sets what moves, before anything does.
func (s *Succession) Use(o Options) {
	if o.Limits.Total == 0 {
		o.Limits.Total = apigate.MaxHold - time.Second // so that no API request is refused because of it
	}
	s.o = o
}

// First reports whether this process is the first of its succession.
func (s *Succession) First() bool { return s.taker == nil }

// StartWith has TakeOver start what command returns. Call it before the server serves.
func (s *Succession) StartWith(command func() (*exec.Cmd, error)) { s.command = command }

// Serving says that the loops run: from now on another process may take over.
func (s *Succession) Serving() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = true
}

// Moved returns a channel that is closed when another process has everything.
func (s *Succession) Moved() <-chan struct{} { return s.movedc }

// Gone reports whether another process has everything.
func (s *Succession) Gone() bool { return s.passer.Load() != nil }

// Why no take-over begins.
var (
	errFirst    = errors.New("this is process 1, and its container ends with it: start a new container instead")
	errCommand  = errors.New("this command can't be replaced while it runs: restart it instead")
	errStarting = errors.New("this process has not begun to serve")
	errRunning  = errors.New("another take-over is in progress")
	errEnded    = errors.New("this process shuts down")
	errLeft     = errors.New("another process has taken over already")
)

// begin returns the context of a take-over that begins. end must follow.
func (s *Succession) begin() (ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.Gone():
		return nil, errLeft
	case s.ended:
		return nil, errEnded
	case os.Getpid() == 1:
		return nil, errFirst
	case s.command == nil:
		return nil, errCommand
	case !s.serving:
		return nil, errStarting
	case s.cancel != nil:
		return nil, errRunning
	}
	ctx, s.cancel = context.WithCancelCause(context.Background())
	s.group.Add(1)
	return ctx, nil
}

func (s *Succession) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel(nil)
	s.cancel = nil
	s.group.Done()
}

// TakeOver starts a new process and has it take over everything. It returns when that has it, or after an error, when this
// process goes on as before. It writes the result to the log.
func (s *Succession) TakeOver() (done apigate.TakenOver, err error) {
	h, result, err := s.takeOver()
	s.stats.count(result)
	if err != nil && s.Gone() {
		s.log.Error("take-over failed when everything had moved; this process ends too", "error", err, "hint", "held connections are closed: start Holdfast again; lines of the new process are in this log")
		return done, fmt.Errorf("%w: %w", apigate.ErrNotTakenOver, err)
	}
	if err != nil {
		s.log.Error("take-over failed; this process continues", "error", err, "hint", hintOf(err))
		return done, fmt.Errorf("%w: %w", apigate.ErrNotTakenOver, err)
	}
	pause := s.stats.lastPause()
	s.log.Info("another process has taken over; requests in progress end here", "pid", h.PID, "version", h.Binary,
		"connections", h.Conns, "stayed", h.Stayed, "pause", pause.Round(100*time.Microsecond))
	return apigate.TakenOver{PID: h.PID, Version: h.Binary, Connections: h.Conns, Stayed: h.Stayed, Pause: pause.Seconds()}, nil
}

// Begin is TakeOver that does not wait.
func (s *Succession) Begin() {
	go s.run()
}

// run is a goroutine: it waits for a new process, and has it take over.
func (s *Succession) run() { _, _ = s.TakeOver() } // it logs its result

// hintOf returns what to do about an error.
func hintOf(err error) string {
	switch {
	case errors.Is(err, errFirst), errors.Is(err, errCommand), errors.Is(err, errStarting), errors.Is(err, errRunning),
		errors.Is(err, errEnded), errors.Is(err, errLeft), errors.Is(err, takeover.ErrUnsupported):
		return "nothing was started"
	}
	return "lines of the new process are in this log; holdfast check by the new binary examines the configuration; a restart works without a take-over, and closes the connections"
}

// takeOver is TakeOver without the log.
func (s *Succession) takeOver() (h *takeover.Handover, result result, err error) {
	ctx, err := s.begin()
	if err != nil {
		return nil, refused, err
	}
	defer s.end()
	cmd, err := s.command()
	if err != nil {
		return nil, failed, err
	}
	s.o.Alone(func() { h, err = s.give(ctx, cmd) })
	if err != nil {
		return nil, failed, err
	}
	s.other = h
	defer close(s.movedc)
	if err := h.Err(); err != nil {
		return nil, failed, err
	}
	if err := notify.MainPID(h.PID); err != nil {
		s.log.Warn("systemd can't be told", "error", err, "pid", h.PID, "hint", "it takes the old process for the service, and the service for ended when that ends; NOTIFY_SOCKET names its socket")
	}
	return h, moved, nil
}

// give starts a new process and gives it everything.
func (s *Succession) give(ctx context.Context, cmd *exec.Cmd) (*takeover.Handover, error) {
	g, release, err := s.giver()
	if err != nil {
		return nil, err
	}
	defer release()
	s.log.Info("take-over begins", "program", cmd.Path)
	return g.Run(ctx, cmd)
}

// giver returns what gives everything to a new process. release must follow.
func (s *Succession) giver() (g *takeover.Giver, release func(), err error) {
	descriptors := s.o.Poller.ListenerDescriptors()
	own, names := s.o.Listeners()
	if len(descriptors) != own+len(names) {
		return nil, nil, takeover.ErrUnsupported
	}
	fd, release, err := s.o.API.descriptor()
	if err != nil {
		return nil, nil, err
	}
	list := []takeover.Listener{{Name: s.o.API.name, Descriptor: fd}}
	for i, name := range names {
		list = append(list, takeover.Listener{Name: name, Descriptor: descriptors[own+i]})
	}
	layers, kinds := s.o.Kinds()
	return &takeover.Giver{
		Poller: s.o.Poller, Listeners: list, Parts: s.parts(), Layers: layers, Kinds: kinds,
		Binary: s.o.Version, Limits: s.o.Limits, Log: s.log, Moved: s.leave,
	}, release, nil
}

// leave gives everything up, while no loop runs: from here on, it is the other process's.
func (s *Succession) leave(h *takeover.Handover) {
	p := h.Passer()
	s.reply = h.Reply
	s.image.Moved()
	s.o.Left()
	for _, l := range s.o.Poller.Loops() {
		s.o.Reader(l).Pass = p.Pass
	}
	s.o.Poller.KeepSocketFiles(true)
	own, _ := s.o.Listeners()
	s.o.Poller.ReleaseListeners(own)
	s.o.API.leave()
	s.passer.Store(p)
}

// End has no take-over begin any more, ends one in progress, and reports whether another process has taken over.
func (s *Succession) End() bool {
	s.mu.Lock()
	s.ended = true
	if s.cancel != nil {
		s.cancel(errEnded)
	}
	s.mu.Unlock()
	s.group.Wait()
	return s.Gone()
}

// leaveWait is between two looks at what is left; it grows.
const (
	minLeaveWait = 10 * time.Millisecond
	maxLeaveWait = time.Second
)

// Leave waits until no client and no connection of the API is left, or until limit is over, or drain after stopc is
// closed. Connections that come to rest are passed on meanwhile; those that can't move are closed then. The error is that
// the other process has failed: nobody accepts connections any more.
func (s *Succession) Leave(limit, drain time.Duration, stopc <-chan struct{}) error {
	by, wait := time.Now().Add(limit), minLeaveWait
	endedc := s.other.Ended()
	for {
		s.o.Poller.VisitAll(nil, s.pass)()
		left := time.Until(by)
		if s.o.Poller.Stats().Clients == 0 && hooks.Open(s.o.Hooks) == 0 || left <= 0 {
			return s.other.Err()
		}
		select {
		case <-endedc:
			if err := s.other.Err(); err != nil {
				return err
			}
			endedc = nil // a third process may have everything
		case <-stopc:
			stopc = nil
			if last := time.Now().Add(drain); last.Before(by) {
				by = last
			}
		case <-time.After(min(wait, left)):
			wait = min(2*wait, maxLeaveWait)
		}
	}
}

// pass gives c to the other process, or closes it if it only waits for a request.
func (s *Succession) pass(c *park.Conn) {
	if !s.passer.Load().Pass(c) {
		headread.Close(c)
	}
}

// Close ends the connection between the two processes, after the loops have ended, and writes to the log what could not be
// sent by it.
func (s *Succession) Close() {
	p := s.passer.Load()
	if p == nil {
		return
	}
	p.Close()
	for what, n := range s.stats.losses() {
		s.log.Error("the process that has taken over was not told; that is lost", "what", what, "count", n)
	}
}
