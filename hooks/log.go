package hooks

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// refusalLog lets one refusal a second through to the log, for each status: whoever can make Holdfast
// refuse must not be able to fill the disk.
type refusalLog struct {
	mu      sync.Mutex
	logged  map[int]time.Time
	skipped map[int]int
}

func newRefusalLog() *refusalLog {
	return &refusalLog{logged: make(map[int]time.Time), skipped: make(map[int]int)}
}

// due reports whether a refusal is to be logged now, and how many were not since the last one.
func (l *refusalLog) due(status int, now time.Time) (skipped int, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.logged[status]) < time.Second {
		l.skipped[status]++
		return 0, false
	}
	skipped = l.skipped[status]
	l.logged[status], l.skipped[status] = now, 0
	return skipped, true
}

// logRefusal writes a line about a request that was refused. The query stays out: a token may have
// strayed there.
func (s *Server) logRefusal(ctx *fasthttp.RequestCtx, status int, err error) {
	skipped, due := s.refusals.due(status, time.Now())
	if !due {
		return
	}
	level := slog.LevelWarn
	switch {
	case status == fasthttp.StatusInternalServerError:
		level = slog.LevelError
	case status == fasthttp.StatusNotFound, errors.Is(err, errNotReady):
		level = slog.LevelDebug
	}
	path, _, _ := strings.Cut(string(ctx.Request.Header.RequestURI()), "?")
	s.log.Log(ctx, level, "hooks call refused", "status", status, "reason", err.Error(),
		"method", clip(string(ctx.Method())), "path", clip(path), "client", ctx.RemoteAddr().String(), "skipped", skipped)
}

// logEnd writes a line about a connection that ended with an error. Of the engine's own errors only the fact is
// told: their text quotes what was sent.
func (s *Server) logEnd(c *conn, err error) {
	if !errors.Is(err, fasthttp.ErrConcurrencyLimit) {
		reason := "not a valid HTTP request"
		if network := (net.Error)(nil); errors.As(err, &network) {
			reason = network.Error()
		}
		s.log.Debug("hooks connection ended", "client", c.RemoteAddr().String(), "reason", reason)
		return
	}
	s.countStatus(fasthttp.StatusServiceUnavailable)
	if skipped, due := s.refusals.due(fasthttp.StatusServiceUnavailable, time.Now()); due {
		s.log.Warn("hooks connection refused", "reason", "too many connections", "limit", maxConns,
			"client", c.RemoteAddr().String(), "skipped", skipped)
	}
}

// engineLog takes what the engine has to say; none of it is of interest on a good day.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Printf(format string, args ...any) {
	l.log.Debug("hooks engine", "text", clip(fmt.Sprintf(format, args...)))
}

// clip shortens what a caller sent, for the log.
func clip(s string) string { return s[:min(len(s), 200)] }
