package takeover

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// environment names the descriptor of the socket pair to the new process.
const environment = "HOLDFAST_TAKEOVER"

// child is the new process, as the old one sees it.
type child struct {
	*link
	cmd       *exec.Cmd
	ended     chan struct{} // closed when it has ended
	killed    bool
	itself    bool // end has found that it had ended by itself
	abandoned bool
}

// start starts the new process with one end of a socket pair.
func start(cmd *exec.Cmd) (*child, error) {
	l, other, err := newPair()
	if err != nil {
		return nil, err
	}
	defer other.Close() // it must end with the child
	cmd.ExtraFiles = append(cmd.ExtraFiles, other)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, environment+"="+strconv.Itoa(2+len(cmd.ExtraFiles)))
	if err := cmd.Start(); err != nil {
		l.close()
		return nil, fmt.Errorf("the new process does not start: %w", err)
	}
	c := &child{link: l, cmd: cmd, ended: make(chan struct{})}
	go c.wait()
	return c, nil
}

// wait is a goroutine until the child ends.
func (c *child) wait() {
	_ = c.cmd.Wait() // ProcessState has how it ended
	close(c.ended)
}

// kill ends the child and waits for that.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.ended
}

// hasEnded reports whether the child has ended.
func (c *child) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// endTime is how long a child that has closed its end may take to end.
const endTime = time.Second

// abandon ends the child after err, and returns the error for the log. A second call does nothing.
func (c *child) abandon(err error) error {
	if c.abandoned {
		return err
	}
	c.abandoned = true
	defer c.close()
	c.end(err)
	if c.itself && errors.Is(err, io.EOF) {
		return fmt.Errorf("the new process has ended (%v): its own log lines say why", c.cmd.ProcessState)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the new process did not respond in time, and was killed: %w", err)
	}
	return err
}

// end ends the child after err, which says whether it may be about to end by itself. A second call does nothing.
func (c *child) end(err error) {
	var refused *errRefused
	if errors.Is(err, io.EOF) || errors.As(err, &refused) {
		timer := time.NewTimer(endTime)
		defer timer.Stop()
		select {
		case <-c.ended:
		case <-timer.C:
		}
	}
	if c.hasEnded() {
		c.itself = c.itself || !c.killed
		return
	}
	c.killed = true
	c.kill()
}
