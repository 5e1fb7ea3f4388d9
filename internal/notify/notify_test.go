package notify

import (
	"net"
	"path/filepath"
	"runtime"
	"testing"
)

// TestSend: what is said arrives as one datagram, at a path and at a name of the abstract namespace.
func TestSend(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no datagrams of Unix sockets, and no systemd
	}
	names := []string{filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		names = append(names, "@"+filepath.Base(t.TempDir())+t.Name())
	}
	for _, name := range names {
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		t.Setenv("NOTIFY_SOCKET", name)
		for want, say := range map[string]func() error{
			"READY=1":         Ready,
			"STOPPING=1":      Stopping,
			"MAINPID=17":      func() error { return MainPID(17) },
			"STATUS=a\nA=b\n": func() error { return Send("STATUS=a", "A=b\n") },
		} {
			if err := say(); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			n, err := conn.Read(b)
			if err != nil || string(b[:n]) != want {
				t.Errorf("%s: got %q, %v; want %q", name, b[:n], err, want)
			}
		}
	}
}

// TestNobodyToTell: without systemd nothing is said; a socket that is gone is an error.
func TestNobodyToTell(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Ready(); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := Ready(); err == nil {
		t.Error("a socket that does not exist is no error")
	}
}
