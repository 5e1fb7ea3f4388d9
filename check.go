package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"holdfast/internal/explain"
	"holdfast/internal/server"
	"holdfast/internal/warnings"
)

// check validates the configuration and prints what it sets up.
func check(args []string, out, errs io.Writer) error {
	f, path := configFlags("check", errs)
	request := f.String("explain", "", "say what becomes of a `request`, such as 'GET https://app.test/a/b.php?x', and where each setting comes from")
	if err := parseFlags(f, args); err != nil {
		return err
	}
	c, from, err := loadConfig(f, *path)
	if err != nil {
		return err
	}
	if err := server.Check(c); err != nil {
		return err
	}
	fmt.Fprintf(out, "configuration: %s\n", from)
	if *request != "" {
		text, err := explain.Request(c, *request)
		if err != nil {
			return err
		}
		fmt.Fprint(out, text)
		return nil
	}
	for _, warning := range slices.Concat(warnings.Missing(c), warnings.TLS(c), warnings.Sites(c), warnings.Watch(c), warnings.Cache(c), warnings.Cookies(c)) {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
	for _, note := range server.Notes(c) {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	behind := c.Responder()
	if n := len(c.Sites); n > 0 {
		behind = fmt.Sprintf("%d sites", n)
	}
	fmt.Fprintf(out, "ok: %s in front of %s, hooks on %s, push under %s with %d channel rules\n",
		c.Listen, behind, c.Hooks.Listen, strings.Join(c.Push.AllPaths(), " and "), len(c.Channels))
	return nil
}
