package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/doctor"
)

// examine finds out whether Holdfast works from where its clients are.
func examine(args []string, in io.Reader, out, errs io.Writer) error {
	f := newFlags("doctor", "[URL]", errs)
	o := doctor.Options{}
	path := f.String("config", "", "configuration `file` of the running Holdfast, for the API's address and token; default config.yaml")
	f.StringVar(&o.API, "hooks", "", "`URL` of the API listener, or unix:/path; default: that of the configuration")
	f.StringVar(&o.AppAPI, "app-hooks", "", "`URL` to which the app publishes, if it should be that of this Holdfast")
	f.StringVar(&o.Token, "token", "", "hooks.token; default $HOLDFAST_TOKEN, or that of the configuration")
	f.StringVar(&o.Cookie, "cookie", "", "`Cookie` header of a user who is logged in; - reads it from standard input; default $HOLDFAST_COOKIE")
	f.StringVar(&o.Channel, "channel", "", "`channel` that this user may subscribe to")
	f.StringVar(&o.Page, "page", "", "`path` of a slow page of the app, to look for a lock of its sessions; default: the page of URL")
	f.DurationVar(&o.Wait, "wait", 15*time.Second, "how long connections are silent")
	f.BoolVar(&o.Insecure, "insecure", false, "accept any certificate")
	asJSON := f.Bool("json", false, "write JSON")
	if err := parseFlags(f, args); err != nil {
		return err
	}
	if f.NArg() > 1 {
		f.Usage()
		return errUsage
	}
	if o.Token == "" { // not as defaults of the flags, which -h prints
		o.Token = os.Getenv("HOLDFAST_TOKEN")
	}
	if o.Cookie == "" {
		o.Cookie = os.Getenv("HOLDFAST_COOKIE")
	}
	c, err := doctorConfig(*path)
	if err != nil {
		return err
	}
	o.URL = f.Arg(0)
	if err := fillOptions(&o, c); err != nil {
		return err
	}
	if o.Cookie == "-" {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("doctor: standard input: %w", err)
		}
		o.Cookie = strings.TrimSpace(line)
	}
	o.Cookie = strings.TrimSpace(strings.TrimPrefix(o.Cookie, "Cookie:"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if !*asJSON {
		fmt.Fprintf(errs, "This takes about %v…\n", o.Wait+5*time.Second)
	}
	report, err := doctor.Run(ctx, o)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	write := report.WriteText
	if *asJSON {
		write = report.WriteJSON
	}
	if err := write(out); err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	if n := report.Count(doctor.Broken); n > 0 {
		return errFound
	}
	return nil
}

// doctorConfig reads the configuration of the running Holdfast, or returns the defaults.
func doctorConfig(path string) (*config.Config, error) {
	if path == "" {
		if _, err := os.Stat("config.yaml"); err != nil {
			return config.Default(), nil
		}
		path = "config.yaml"
	}
	return config.Load(path)
}

// fillOptions takes from the configuration what the command line does not say.
func fillOptions(o *doctor.Options, c *config.Config) error {
	if o.API == "" {
		o.API = apiURL(c)
	}
	if o.Token == "" {
		o.Token = c.Hooks.Token
	}
	if o.URL != "" {
		return nil
	}
	first := c.Listen[0]
	if first.Address.Network == "unix" {
		return errors.New("doctor: listen is a socket: say the URL that visitors use")
	}
	o.URL = "http://" + reachable(first.Address.Address)
	if first.TLS {
		o.URL = "https://" + reachable(first.Address.Address)
	}
	return nil
}

// reachable returns an address to connect to for one to listen on, which may be that of all interfaces.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}
