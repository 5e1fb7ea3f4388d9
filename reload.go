package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"holdfast/hooks"
)

// reloadTimeout is for a configuration with very many held connections to look at.
const reloadTimeout = 2 * time.Minute

// reload has a running Holdfast read its configuration again, and prints what that has changed.
func reload(args []string, out, errs io.Writer) error {
	f := newFlags("reload", "", errs)
	post := apiFlags(f)
	if err := parseFlags(f, args); err != nil {
		return err
	}
	if err := noArguments(f); err != nil {
		return err
	}
	body, err := post("/reload", nil, reloadTimeout)
	if err != nil {
		return fmt.Errorf("reload: %w", reasonOf(err))
	}
	var done hooks.Reloaded
	if err := json.Unmarshal(body, &done); err != nil {
		return fmt.Errorf("reload: response of the API: %w", err)
	}
	if len(done.Changed) == 0 {
		fmt.Fprintln(out, "reloaded: no key has changed")
	} else {
		fmt.Fprintln(out, "reloaded:", strings.Join(done.Changed, " "))
	}
	return nil
}
