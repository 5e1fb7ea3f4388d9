//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// TestSignals: what may reach a process that serves does not end it, and what ends it drains.
func TestSignals(t *testing.T) {
	for name, tt := range map[string]struct {
		access string         // log.access_log
		unread bool           // nobody reads what it writes any more
		sent   syscall.Signal // 0: none
		said   string         // on standard error
		ends   syscall.Signal
	}{
		"SIGHUP":                            {sent: syscall.SIGHUP, said: "configuration reloaded", ends: syscall.SIGTERM},
		"SIGUSR1 without access log":        {sent: syscall.SIGUSR1, ends: syscall.SIGTERM},
		"SIGQUIT":                           {ends: syscall.SIGQUIT, said: "holdfast is shutting down"},
		"standard error and output go away": {access: "stdout", unread: true, ends: syscall.SIGTERM},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.yaml")
			text := fmt.Sprintf("listen: 127.0.0.1:0\nhooks: {listen: \"127.0.0.1:0\"}\nlog: {access_log: %q}\n", tt.access)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "run", "-config", path)
			cmd.Env = append(os.Environ(), childVariable+"=1")
			errs, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill() })
			lines := bufio.NewReader(errs)
			line, err := lines.ReadString('\n')
			m := regexp.MustCompile(`holdfast is up.* listen=(\S+) .*hooks=(\S+)`).FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("%q, %v", line, err)
			}
			said := ""
			if tt.unread {
				errs.Close()
				out.Close()
			}
			if tt.sent != 0 {
				cmd.Process.Signal(tt.sent)
			}
			if tt.sent == syscall.SIGHUP {
				said, _ = lines.ReadString('\n')
			}
			// Each request writes a line to both logs: the path is refused, and the app is not there.
			for _, url := range []string{"http://" + m[1] + "/_push", "http://" + m[1] + "/", "http://" + m[1] + "/_push", "http://" + m[2] + "/healthz"} {
				wiretest.Eventually(t, "it answers", func() bool {
					resp, err := http.Get(url)
					if err != nil {
						return false
					}
					resp.Body.Close()
					return true
				})
			}
			http.DefaultClient.CloseIdleConnections()
			cmd.Process.Signal(tt.ends)
			if !tt.unread {
				rest, _ := io.ReadAll(lines)
				said += string(rest)
			}
			if err := cmd.Wait(); err != nil || !strings.Contains(said, tt.said) {
				t.Errorf("%v; it said\n%s", err, said)
			}
		})
	}
}

// TestSystemd: systemd hears when clients are served, and when the shutdown begins.
func TestSystemd(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	path := filepath.Join(dir, "config.yaml")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hooks := l.Addr().String()
	l.Close()
	if err := os.WriteFile(path, fmt.Appendf(nil, "listen: 127.0.0.1:0\nhooks: {listen: %q}\n", hooks), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "run", "-config", path)
	cmd.Env = append(os.Environ(), childVariable+"=1", "NOTIFY_SOCKET="+socket)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	hear := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		conn.SetReadDeadline(time.Now().Add(3 * wiretest.Timeout))
		n, err := conn.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("systemd hears %q, %v; want %s", b[:n], err, want)
		}
	}
	hear("READY=1")
	// A systemd that is slow to read: the process waits with its end until it has been heard.
	others, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer others.Close()
	waiting := 0
	raw, err := others.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Write(func(fd uintptr) bool {
		for syscall.Sendto(int(fd), []byte("STATUS=x"), syscall.MSG_DONTWAIT, nil) == nil {
			waiting++
		}
		return true
	})
	if err != nil || waiting == 0 {
		t.Fatalf("%d messages wait, %v", waiting, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	wiretest.Eventually(t, "it no longer listens", func() bool {
		c, err := net.Dial("tcp", hooks)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	donec := make(chan error, 1)
	go func() { donec <- cmd.Wait() }()
	select {
	case err := <-donec:
		t.Fatalf("it has ended before systemd has heard of it: %v\n%s", err, said.String())
	case <-time.After(500 * time.Millisecond): // it would have ended
	}
	for range waiting {
		hear("STATUS=x")
	}
	hear("STOPPING=1")
	if err := <-donec; err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
}
