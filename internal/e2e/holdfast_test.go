//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// holdfast is a running Holdfast.
type holdfast struct {
	*process
	addr   string // where clients come in
	url    string // http://addr
	hooks  string // http://host:port of the API listener
	ended  bool   // checkEnd has stopped it
	config string // the file; empty: none
}

// startHoldfast runs Holdfast in front of upstream. The channels public.** are open to all; if
// authorize, a path of the app, is not empty, it is asked about private.**.
func startHoldfast(t *testing.T, upstream, authorize string) *holdfast {
	t.Helper()
	return startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		config := fmt.Sprintf(`
listen: %s
upstream: %s
hooks:
  listen: %s
channels:
  - match: "public.**"
    access: public
`, listen, upstream, hooks)
		if authorize != "" {
			config += fmt.Sprintf(`
  - match: "private.**"
    access: authorize
push:
  authorize_path: %s
`, authorize)
		}
		return config
	})
}

// startHoldfastAt runs Holdfast with the configuration that config returns for two addresses. An
// app that publishes has to know that of the hooks before Holdfast, which is in front, is started.
func startHoldfastAt(t *testing.T, listen, hooks string, config func(listen, hooks string) string) *holdfast {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, config(listen, hooks))
	h := startHoldfastCommand(t, exec.Command(executable, "-config", file), listen, hooks)
	h.config = file
	return h
}

func startHoldfastCommand(t *testing.T, cmd *exec.Cmd, listen, hooks string) *holdfast {
	t.Helper()
	h := &holdfast{
		process: start(t, "holdfast", cmd),
		addr:    listen,
		url:     "http://" + listen,
		hooks:   "http://" + hooks,
	}
	t.Cleanup(func() { h.checkEnd(t) }) // runs before the one that start has registered
	h.waitListening(t, listen)
	h.waitListening(t, hooks)
	return h
}

var calamity = regexp.MustCompile(`(?m)^(panic:|fatal error:|SIGSEGV|WARNING: DATA RACE|goroutine \d+ \[)`)

// checkEnd stops Holdfast, once, and wants a clean end and a log without a stack trace.
func (h *holdfast) checkEnd(t *testing.T) {
	t.Helper()
	if h.ended {
		return
	}
	h.ended = true
	select {
	case <-h.done:
		t.Errorf("holdfast ended by itself: %v", h.err)
	default:
		h.stop(t)
		if h.err != nil {
			t.Errorf("holdfast after SIGTERM: %v, want exit code 0", h.err)
		}
	}
	if at := calamity.FindStringIndex(h.log.String()); at != nil {
		t.Errorf("the log of holdfast has %q", h.log.String()[at[0]:at[1]])
	}
}
