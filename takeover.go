package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"holdfast/internal/apigate"
	"holdfast/internal/config"
)

// takeOverTimeout is for a new process that takes its time to begin.
const takeOverTimeout = 2 * time.Minute

// takeOver has a new process take over from a running Holdfast, and prints what it has now.
func takeOver(args []string, out, errs io.Writer) error {
	f := newFlags("takeover", "", errs)
	path := f.String("config", "", "configuration `file` of the running Holdfast, for the API's address and token, instead of -hooks and -token")
	post := apiFlags(f)
	if err := parseFlags(f, args); err != nil {
		return err
	}
	if err := noArguments(f); err != nil {
		return err
	}
	if *path != "" {
		c, err := config.Load(*path)
		if err != nil {
			return err
		}
		if err := setAPI(f, c); err != nil {
			return err
		}
	}
	body, err := post("/takeover", nil, takeOverTimeout)
	if err != nil {
		return fmt.Errorf("takeover: %w", reasonOf(err))
	}
	var done apigate.TakenOver
	if err := json.Unmarshal(body, &done); err != nil {
		return fmt.Errorf("takeover: response of the API: %w", err)
	}
	pause := time.Duration(done.Pause * float64(time.Second)).Round(100 * time.Microsecond)
	fmt.Fprintf(out, "taken over: process %d, %s; connections moved: %d, left in the old one: %d; pause %v\n",
		done.PID, done.Version, done.Connections, done.Stayed, pause)
	return nil
}
