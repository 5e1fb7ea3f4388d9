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

	"holdfast/internal/throttle"
)

// refusalLog lets one refusal per second and status into the log, so that refused requests can't fill the disk.
type refusalLog struct {
	mu       sync.Mutex // guards what follows
	byStatus map[int]*throttle.Throttle
}

func newRefusalLog() *refusalLog { return &refusalLog{byStatus: make(map[int]*throttle.Throttle)} }

// due reports whether a refusal is to be logged now, and how many with this status there were since the start.
func (l *refusalLog) due(status int, now time.Time) (total int64, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.byStatus[status]
	if t == nil {
		t = &throttle.Throttle{Every: time.Second}
		l.byStatus[status] = t
	}
	return t.Due(now)
}

// logRefusal logs a refused request. It leaves out the query, which may have a token by mistake.
func (s *Server) logRefusal(ctx *fasthttp.RequestCtx, status int, err error) {
	total, due := s.refusals.due(status, time.Now())
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
	s.log.Log(ctx, level, "API request refused", "status", status, "reason", err.Error(),
		"method", clip(string(ctx.Method())), "path", clip(path), "client", ctx.RemoteAddr().String(), "total", total)
}

// logEnd logs a connection that ended with an error. It leaves out the text of fasthttp's own errors, as they quote
// what was sent.
func (s *Server) logEnd(c *conn, err error) {
	if !errors.Is(err, fasthttp.ErrConcurrencyLimit) {
		reason := "not a valid HTTP request"
		if network := (net.Error)(nil); errors.As(err, &network) {
			reason = network.Error()
		}
		s.log.Debug("API connection ended", "client", c.RemoteAddr().String(), "reason", reason)
		return
	}
	s.countStatus(fasthttp.StatusServiceUnavailable)
	if total, due := s.refusals.due(fasthttp.StatusServiceUnavailable, time.Now()); due {
		s.log.Warn("API connection refused", "reason", "too many connections", "limit", maxConns,
			"client", c.RemoteAddr().String(), "total", total)
	}
}

// engineLog receives fasthttp's log, at level debug.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Printf(format string, args ...any) {
	l.log.Debug("API engine", "text", clip(fmt.Sprintf(format, args...)))
}

// clip shortens a caller's text for the log.
func clip(s string) string { return s[:min(len(s), 200)] }
