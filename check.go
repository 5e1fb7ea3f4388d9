package main

import (
	"fmt"
	"io"

	"holdfast/internal/server"
)

// check validates the configuration and prints what it sets up.
func check(args []string, out, errs io.Writer) error {
	f := newFlags("check", "", errs)
	path := f.String("config", "", "configuration `file`; default config.yaml, or the defaults without one")
	if err := parseFlags(f, args); err != nil {
		return err
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	if err := server.Check(c); err != nil {
		return err
	}
	for _, warning := range server.Warnings(c) {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
	fmt.Fprintf(out, "ok: %s in front of %s, hooks on %s, push under %s with %d channel rules\n",
		c.Listen, c.Upstream.Address, c.Hooks.Listen, c.Push.Path, len(c.Channels))
	return nil
}
