// Package notify tells systemd how far the process is, as sd_notify(3) does. Without systemd it does nothing.
package notify

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// timeout is how long Send waits for a systemd that does not read its socket.
const timeout = 10 * time.Second

// Ready says that clients are served.
func Ready() error { return Send("READY=1") }

// Stopping says that the shutdown has begun.
func Stopping() error { return Send("STOPPING=1") }

// MainPID says that another process goes on with the service.
func MainPID(pid int) error { return Send(fmt.Sprintf("MAINPID=%d", pid)) }

// Send sends assignments, such as STATUS=…, to the socket that NOTIFY_SOCKET names.
func Send(assignments ...string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	// A name that begins with @ is in the abstract namespace; net knows that form too.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	if _, err := conn.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}
