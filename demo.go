package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/demo"
	"holdfast/internal/server"
)

// runDemo serves the embedded parcel app with Holdfast in front, all on loopback.
func runDemo(args []string, out, errs io.Writer) error {
	f := newFlags("demo", "", errs)
	address := f.String("listen", "127.0.0.1:8080", "`address` of the page; port 0 takes a free one")
	hooksAddress := f.String("hooks", "127.0.0.1:9090", "`address` of the API listener; port 0 takes a free one")
	move := f.Duration("move", 20*time.Second, "how often the parcel moves by itself; 0: never")
	if err := parseFlags(f, args); err != nil {
		return err
	}
	if err := noArguments(f); err != nil {
		return err
	}
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("demo: the app's listener: %w", err)
	}
	defer app.Close()
	c, err := config.Parse("the demo's configuration", fmt.Appendf(nil, `
listen: %q
upstream: "http://%s"
hooks: {listen: %q}
log: {level: warn}
%s`, freePort(f, "listen", *address), app.Addr(), freePort(f, "hooks", *hooksAddress), demo.Rules()))
	if err != nil {
		return err
	}
	log, _ := server.NewLog(c, errs)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	s, err := server.New(c, log)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	parcels := demo.New(demo.Options{
		HooksURL: "http://" + s.HooksAddr().String(), PushPath: c.Push.Path, AutoMove: *move, Log: log,
	})
	appc := make(chan error, 1)
	go func() { // ends with Shutdown below
		appc <- parcels.Serve(app)
		stop()
	}()
	fmt.Fprintf(out, `
  The parcel, followed in six ways from polling to push:

      http://%[1]s/

  Move it, from another terminal:

      curl -X POST http://%[1]s/parcels/HF-2041/move

  Hold a connection and push to it:

      curl -N -H 'Accept: text/event-stream' 'http://%[1]s/_push?channel=public.hello'
      curl -d 'hello' 'http://%[2]s/publish?channel=public.hello'

  See what is held, and what it costs:

      http://%[2]s/

  Ctrl-C ends it.

`, s.Addr(), s.HooksAddr())
	err = s.Serve(ctx)
	end, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	parcels.Shutdown(end)
	if appErr := <-appc; err == nil && !errors.Is(appErr, demo.ErrClosed) {
		err = appErr
	}
	return err
}

// freePort returns the address to listen on: the one in the flag, or, if the default is in use, one with a free port.
func freePort(f *flag.FlagSet, name, address string) string {
	asked := false
	f.Visit(func(x *flag.Flag) { asked = asked || x.Name == name })
	ln, err := net.Listen("tcp", address)
	if err != nil && !asked {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return address // server.New reports what is wrong with it
	}
	defer ln.Close()
	return ln.Addr().String()
}
