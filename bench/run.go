package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/bench/measure"
	"holdfast/bench/peer"
	"holdfast/bench/report"
)

// caddyModule is what is built as the peer of that name.
const caddyModule = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9"

type options struct {
	quick, verbose   bool
	rounds, parallel int
	only, peers      []string
	out, name        string
	holdfast         string // path of a binary; empty: build it
}

func run(o options) error {
	for _, name := range o.only {
		if !slices.Contains(measures, name) {
			return fmt.Errorf("no measure is named %q", name)
		}
	}
	for _, name := range o.peers {
		if peer.ByName(name) == nil {
			return fmt.Errorf("no peer is named %q", name)
		}
	}
	if o.quick {
		o.rounds = 1
	}
	if o.name == "" {
		o.name = "latest"
		if o.only != nil || o.peers != nil {
			o.name = "partial"
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	begun := time.Now()
	bins, err := os.MkdirTemp("", "holdfast-bench-bin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bins)
	if err := build(bins, o); err != nil {
		return err
	}
	r := &report.Report{
		Date: begun.UTC().Format("2006-01-02 15:04 UTC"), Machine: machine(), Rounds: o.rounds, Quick: o.quick,
	}
	for _, p := range peer.All() {
		if o.peers == nil || slices.Contains(o.peers, p.Name) {
			r.Versions = append(r.Versions, report.Version{Peer: p.Name, Version: p.Version(peer.Options{Bins: bins})})
		}
	}
	for _, name := range measures {
		if o.only != nil && !slices.Contains(o.only, name) {
			continue
		}
		for round := range o.rounds {
			runCells(ctx, plan(name, round, o), bins, o, r)
			r.Took = time.Since(begun).Round(time.Second).String()
			if err := write(r, o); err != nil { // what there is outlives an interrupt
				return err
			}
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted; what was found is in %s.md", o.name)
			}
		}
	}
	r.Markdown(os.Stdout)
	if len(r.Failures) > 0 {
		return fmt.Errorf("%d cells failed; they are listed in %s.md", len(r.Failures), o.name)
	}
	return nil
}

// build makes Holdfast, the servers of cmd/ and Caddy.
func build(bins string, o options) error {
	type step struct {
		dir, bin string
		args     []string
	}
	steps := []step{{".", "", []string{"build", "-buildvcs=false", "-o", bins + "/", "./cmd/..."}}}
	if o.holdfast == "" {
		steps = append(steps, step{"..", "", []string{"build", "-buildvcs=false", "-o", filepath.Join(bins, "holdfast"), "."}})
	} else if path, err := filepath.Abs(o.holdfast); err != nil {
		return err
	} else if err := os.Symlink(path, filepath.Join(bins, "holdfast")); err != nil {
		return err
	}
	if o.peers == nil || slices.Contains(o.peers, "caddy") {
		steps = append(steps, step{".", bins, []string{"install", caddyModule}})
	}
	for _, s := range steps {
		cmd := exec.Command("go", s.args...)
		cmd.Dir = s.dir
		if s.bin != "" {
			cmd.Env = append(os.Environ(), "GOBIN="+s.bin)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(s.args, " "), err, out)
		}
	}
	return nil
}

// runCells runs the cells of one round, one at a time unless they may run together.
func runCells(ctx context.Context, specs []measure.Spec, bins string, o options, r *report.Report) {
	atOnce := 1
	if len(specs) > 0 && slices.Contains(together, specs[0].Measure) {
		atOnce = max(o.parallel, 1)
	}
	results := make([]result, len(specs))
	errs := make([]error, len(specs))
	var group sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i, spec := range specs {
		if ctx.Err() != nil {
			break
		}
		spec.Bins = bins
		places <- struct{}{}
		group.Go(func() {
			results[i], errs[i] = runCell(ctx, spec)
			if errs[i] != nil {
				fmt.Fprintf(os.Stderr, "%s: FAILED: %v\n", spec, errs[i])
			} else {
				fmt.Fprintf(os.Stderr, "%s: %.0f s\n", spec, results[i].Seconds)
			}
			<-places
		})
	}
	group.Wait()
	for i, spec := range specs { // in the order of the plan, whoever was first
		if errs[i] != nil {
			r.Failures = append(r.Failures, errs[i].Error())
		}
		for _, f := range results[i].Figures {
			r.Add(f.Section, f.Row, f.Unit, spec.Peer, f.Value)
			if o.verbose {
				fmt.Fprintf(os.Stderr, "\t%s: %s | %s: %s %s\n", spec.Peer, f.Section, f.Row, report.Number(f.Value), f.Unit)
			}
		}
	}
}

// runCell runs this program again for one cell.
func runCell(ctx context.Context, spec measure.Spec) (result, error) {
	var r result
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	input, err := json.Marshal(spec)
	if err != nil {
		return r, err
	}
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "cell")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt comes here, and ctx ends the cells
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("%s: %w: %s", spec, err, strings.TrimSpace(stderr.String()))
	}
	return r, json.Unmarshal(stdout.Bytes(), &r)
}
