package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"holdfast/internal/config"
	"holdfast/internal/notify"
	"holdfast/internal/server"
	"holdfast/internal/service"
	"holdfast/internal/takeover"
)

// run serves until SIGINT, SIGTERM, SIGQUIT or the service manager of Windows ends it, each of which drains.
func run(args []string, errs io.Writer) error {
	return service.Run(errs, func(ctx context.Context, errs io.Writer, ready func()) error {
		return runUntil(ctx, args, errs, ready)
	})
}

// runUntil serves until ctx ends, and calls ready once clients are served.
func runUntil(ctx context.Context, args []string, errs io.Writer, ready func()) error {
	f, path := configFlags("run", errs)
	if err := parseFlags(f, args); err != nil {
		return err
	}
	taker, err := takeover.Inherit()
	if err != nil {
		return err
	}
	c, _, err := loadConfig(f, *path)
	if err == nil {
		err = taker.Begin(server.Version())
	}
	if err != nil {
		taker.Refuse(err)
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // the reader of the logs may end; then only the write fails
	lines := server.NewLogWriter(errs)
	defer lines.Close()
	log, level := server.NewLog(c, lines)
	s, err := server.Take(ctx, c, log, taker)
	if errors.Is(err, syscall.EROFS) {
		err = fmt.Errorf("%w: this user may not write there; with ProtectSystem= in a systemd unit, only below StateDirectory=, LogsDirectory= and ReadWritePaths=", err)
	}
	if err != nil {
		taker.Refuse(err)
		return err
	}
	s.StartWith(successor)
	s.ReloadFrom(func() (*config.Config, error) {
		c, _, err := loadConfig(f, *path)
		return c, err
	}, level)
	where := []any{"upstream", c.Responder()}
	if len(c.Sites) > 0 {
		where = []any{"sites", len(c.Sites)}
	}
	log.Info("holdfast is up", append(where, "listen", strings.Join(s.Addrs(), " "), "hooks", s.HooksAddr(), "push", strings.Join(c.Push.AllPaths(), " "))...)
	tell := func(say func() error) {
		if err := say(); err != nil {
			log.Warn("systemd can't be told", "error", err, "hint", "with Type=notify it would wait, and end the service; NOTIFY_SOCKET names its socket")
		}
	}
	if taker == nil { // otherwise the old process says which one goes on
		tell(notify.Ready)
	}
	s.OnStopping(func() { tell(notify.Stopping) })
	ready()
	return s.Serve(ctx)
}

// successor returns the command of a new process that takes over from this one: the same again, by whatever binary has its
// name now.
func successor() (*exec.Cmd, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{Path: path, Args: os.Args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}, nil
}
