package main

import (
	"fmt"
	"io"
	"net/url"
	"time"
)

// publish posts one message to the API listener.
func publish(args []string, in io.Reader, out, errs io.Writer) error {
	f := newFlags("publish", "CHANNEL [DATA]", errs)
	post := apiFlags(f)
	event := f.String("event", "", "`name` of the event")
	if err := parseFlags(f, args); err != nil {
		return err
	}
	if f.NArg() < 1 || f.NArg() > 2 {
		f.Usage()
		return errUsage
	}
	data := []byte(f.Arg(1))
	if f.NArg() == 1 {
		var err error
		if data, err = io.ReadAll(in); err != nil {
			return fmt.Errorf("publish: standard input: %w", err)
		}
	}
	query := url.Values{"channel": {f.Arg(0)}}
	if *event != "" {
		query.Set("event", *event)
	}
	answer, err := post("/publish?"+query.Encode(), data, 10*time.Second)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	_, err = out.Write(answer)
	return err
}
