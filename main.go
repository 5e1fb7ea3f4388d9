// Holdfast is a reverse proxy that adds push to a web app. It forwards requests to the app, holds WebSocket, SSE and
// long-poll connections, and delivers the messages that the app publishes over a local HTTP API.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"holdfast/internal/config"
	"holdfast/internal/quiet"
	"holdfast/internal/server"
)

const usage = `Holdfast adds push to an app that you need not change.

  holdfast [run] [-config FILE]     serve; FILE is config.yaml if there is one
  holdfast reload                   have a running Holdfast read its configuration again
  holdfast takeover                 have a new process take over from a running Holdfast
  holdfast check [FILE]             validate the configuration, or explain a request
  holdfast demo                     start a parcel-tracking app with polling and push
  holdfast publish CHANNEL [DATA]   publish DATA, or standard input
  holdfast tail URL CHANNEL...      print messages as they are published
  holdfast doctor [URL]             find out whether all of it works from where visitors are
  holdfast version                  print the version, the commit and its date

"holdfast COMMAND -h" lists a command's flags.
`

// errUsage means that the command line was wrong and the flag set has said how.
var errUsage = errors.New("usage")

// errFound means that doctor has found and reported something that is broken.
var errFound = errors.New("something is broken")

func main() {
	quiet.End()
	err := command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case errors.Is(err, errFound):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// command runs one command. Errors are for people.
func command(args []string, in io.Reader, out, errs io.Writer) error {
	name := "run"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		name = "help"
	} else if len(args) == 1 && (args[0] == "-version" || args[0] == "--version") {
		name, args = "version", nil
	}
	switch name {
	case "run":
		return run(args, errs)
	case "check":
		return check(args, out, errs)
	case "reload":
		return reload(args, out, errs)
	case "takeover":
		return takeOver(args, out, errs)
	case "demo":
		return runDemo(args, out, errs)
	case "publish":
		return publish(args, in, out, errs)
	case "tail":
		return tail(args, out, errs)
	case "doctor":
		return examine(args, in, out, errs)
	case "version":
		f := newFlags("version", "", errs)
		if err := parseFlags(f, args); err != nil {
			return err
		}
		if err := noArguments(f); err != nil {
			return err
		}
		fmt.Fprintln(out, "holdfast", server.Version())
		return nil
	case "help":
		fmt.Fprint(out, usage)
		return nil
	}
	fmt.Fprintf(errs, "holdfast: there is no command %q\n\n%s", name, usage)
	return errUsage
}

// newFlags makes a command's flag set, which reports to errs.
func newFlags(name, arguments string, errs io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("holdfast "+name, flag.ContinueOnError)
	f.SetOutput(errs)
	f.Usage = func() {
		fmt.Fprintf(errs, "usage: holdfast %s [flags] %s\n", name, arguments)
		f.PrintDefaults()
	}
	return f
}

// parseFlags turns a flag error, which is already printed, into errUsage.
func parseFlags(f *flag.FlagSet, args []string) error {
	err := f.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return errUsage
	}
	return err
}

// configFlags makes the flags of a command that reads the configuration, and returns where -config goes.
func configFlags(name string, errs io.Writer) (f *flag.FlagSet, path *string) {
	f = newFlags(name, "[FILE]", errs)
	return f, f.String("config", "", "configuration `file`, as FILE; default config.yaml, or the defaults without one")
}

// loadConfig reads the file named by -config or by the only argument, or config.yaml; without these, it returns the
// defaults. from says which.
func loadConfig(f *flag.FlagSet, path string) (c *config.Config, from string, err error) {
	empty := f.NArg() == 1 && f.Arg(0) == ""
	f.Visit(func(g *flag.Flag) { empty = empty || g.Name == "config" && path == "" })
	switch {
	case empty: // as from a variable that is not set: the default file is not meant
		fmt.Fprintf(f.Output(), "%s: the name of the configuration file is empty\n", f.Name())
		return nil, "", errUsage
	case f.NArg() > 1, f.NArg() == 1 && path != "":
		fmt.Fprintf(f.Output(), "%s: more than one configuration file: %q\n", f.Name(), f.Args())
		f.Usage()
		return nil, "", errUsage
	case f.NArg() == 1:
		path = f.Arg(0)
	}
	if path == "" {
		if _, err := os.Stat("config.yaml"); err != nil {
			return config.Default(), "the defaults, as there is no config.yaml here", nil
		}
		path = "config.yaml"
	}
	c, err = config.Load(path)
	return c, path, err
}

// noArguments refuses what a command would ignore.
func noArguments(f *flag.FlagSet) error {
	if f.NArg() == 0 {
		return nil
	}
	fmt.Fprintf(f.Output(), "%s: takes no argument %q\n", f.Name(), f.Arg(0))
	f.Usage()
	return errUsage
}
