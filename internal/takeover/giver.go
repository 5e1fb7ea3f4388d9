package takeover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/plainval"
)

// Listener is a listening socket, by what the configuration calls it.
type Listener struct {
	Name       string
	Descriptor int
}

// Giver is the old process of a take-over.
type Giver struct {
	Poller    *park.Poller
	Listeners []Listener
	Parts     []Part // in the order in which they are frozen and move
	Layers    []Kind // of connections that have one; a layer of none of them stays, and its connection with it
	Kinds     []Kind // of connections; what is of none stays
	Binary    string // version of this one, for the other's log
	Limits    Limits
	Log       *slog.Logger // default slog.Default()

	// Moved is called after the final word, while the loops are frozen: from here on, nothing new is this process's. nil:
	// nothing is.
	Moved func(*Handover)
}

// Handover is a take-over that has succeeded.
type Handover struct {
	PID    int           // of the new process
	Binary string        // its version
	Conns  int           // connections that have moved
	Stayed int           // connections that have not
	Pause  time.Duration // how long everything was held back
	Reply  []byte        // Taker.Reply; empty: the new process has said nothing

	g     *Giver
	child *child
	keep  func() bool // has the end of Run's context change nothing any more; false: it has ended
	index layout
}

// Ended returns a channel that is closed when the new process has ended.
func (h *Handover) Ended() <-chan struct{} { return h.child.ended }

// Err returns how the new process has failed; nil if it runs, or has ended as it should: another one may have taken over
// from it.
func (h *Handover) Err() error {
	if !h.child.hasEnded() || h.child.cmd.ProcessState.Success() {
		return nil
	}
	return fmt.Errorf("the process that has taken over has ended (%v)", h.child.cmd.ProcessState)
}

// layout is where the new process has the layers and kinds.
type layout struct{ layers, kinds []int }

// Run starts cmd as the new process and moves everything to it. After an error, this process has everything, as before, and
// the new one has ended.
func (g *Giver) Run(ctx context.Context, cmd *exec.Cmd) (h *Handover, err error) {
	g.Limits.setDefaults()
	if g.Log == nil {
		g.Log = slog.Default()
	}
	if len(g.Listeners) > maxBatch {
		return nil, fmt.Errorf("%d listeners are too many for a take-over, which moves at most %d", len(g.Listeners), maxBatch)
	}
	c, err := start(cmd)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = c.abandon(err)
		}
	}()
	keep := context.AfterFunc(ctx, c.close)
	defer keep()
	h = &Handover{PID: cmd.Process.Pid, g: g, child: c, keep: keep}
	if err := h.prepare(); err != nil {
		return nil, cause(ctx, err)
	}
	begun := time.Now()
	err = h.move(begun.Add(g.Limits.Total))
	if h.Pause = time.Since(begun); err != nil {
		return nil, cause(ctx, fmt.Errorf("%w (everything was held back for %v)", err, h.Pause.Round(time.Millisecond)))
	}
	return h, nil
}

// cause returns why ctx has ended, if it has: then err only says that the socket was closed.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// prepare waits until the new process is ready, while this one serves.
func (h *Handover) prepare() error {
	c, start := h.child, h.g.Limits.Start
	if err := c.send(msgHello, hello{protocol, h.g.Binary}.append(nil), nil, start); err != nil {
		return h.heard(err)
	}
	m, err := c.expect(msgHello, start)
	if err != nil {
		return err
	}
	other, err := readHello(m.body)
	if err != nil {
		return err
	}
	h.Binary = other.binary
	var e plainval.Encoder
	var descriptors []int
	for _, x := range h.g.Listeners {
		e.String(x.Name)
		descriptors = append(descriptors, x.Descriptor)
	}
	if err := c.send(msgListeners, e.B, descriptors, start); err != nil {
		return h.heard(err)
	}
	if m, err = c.expect(msgReady, start); err != nil {
		return err
	}
	r, err := readReady(m.body)
	if err != nil {
		return err
	}
	return h.match(&r)
}

// match finds everything that may move in the new process.
func (h *Handover) match(r *ready) error {
	for _, p := range h.g.Parts {
		if _, err := index(r.parts, "state", p.Name(), p.Version()); err != nil {
			return err
		}
	}
	for _, x := range []struct {
		to   *[]int
		own  []Kind
		list []entry
	}{{&h.index.layers, h.g.Layers, r.layers}, {&h.index.kinds, h.g.Kinds, r.kinds}} {
		for _, k := range x.own {
			i, err := index(x.list, "connections of kind", k.Name(), k.Version())
			if err != nil {
				return err
			}
			*x.to = append(*x.to, i)
		}
	}
	return nil
}

// expect returns the next message, which has to be of a type and without descriptors.
func (l *link) expect(kind byte, within time.Duration) (message, error) {
	m, err := l.receive(within)
	switch {
	case err != nil:
		return m, err
	case m.kind != kind:
		closeAll(m.descriptors)
		return m, m.unexpected()
	case len(m.descriptors) > 0 && kind != msgListeners && kind != msgConns:
		closeAll(m.descriptors)
		return m, errors.New("a message has descriptors that it should not have")
	}
	return m, nil
}

// move holds everything back and moves it. After an error, all goes on.
func (h *Handover) move(by time.Time) (err error) {
	moved := false
	for i, p := range h.g.Parts {
		defer func() { p.Thaw(moved) }()
		if err := p.Freeze(); err != nil {
			return fmt.Errorf("%s: %w", h.g.Parts[i].Name(), err)
		}
	}
	frozen, err := h.g.Poller.Freeze(h.g.Limits.Step)
	if err != nil {
		return err
	}
	defer frozen.Thaw()
	defer func() {
		if err != nil { // before anything goes on here: what it has opened, such as a file, is free again
			err = h.child.abandon(err)
		}
	}()
	for _, p := range h.g.Parts {
		if err := h.movePart(p, by); err != nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
	}
	list, err := h.moveConns(frozen, by)
	if err != nil {
		return err
	}
	if err := h.finalWord(len(list)); err != nil {
		return err
	}
	moved = true
	if h.g.Moved != nil {
		h.g.Moved(h)
	}
	for _, x := range list {
		x.release()
	}
	h.Conns = len(list)
	return nil
}

// step returns how long the next step may take.
func (h *Handover) step(by time.Time) (time.Duration, error) {
	left := min(time.Until(by), h.g.Limits.Step)
	if left <= 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return left, nil
}

// call sends a message and waits for ok.
func (h *Handover) call(kind byte, body []byte, descriptors []int, by time.Time) error {
	within, err := h.step(by)
	if err != nil {
		return err
	}
	if err := h.child.send(kind, body, descriptors, within); err != nil {
		return h.heard(err)
	}
	_, err = h.child.expect(msgOK, within)
	return err
}

// heard returns what the new process has said before it closed its end, or err.
func (h *Handover) heard(err error) error {
	if m, receiveErr := h.child.receive(endTime); receiveErr == nil {
		closeAll(m.descriptors)
		return m.unexpected()
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		return receiveErr
	}
	return err
}

// partWriter sends what a part exports.
type partWriter struct {
	h  *Handover
	by time.Time
}

// Write implements io.Writer.
func (w partWriter) Write(p []byte) (int, error) {
	within, err := w.h.step(w.by)
	if err != nil {
		return 0, err
	}
	if err := w.h.child.sendData(p, within); err != nil {
		return 0, w.h.heard(err)
	}
	return len(p), nil
}

func (h *Handover) movePart(p Part, by time.Time) error {
	var e plainval.Encoder
	e.String(p.Name())
	e.Uint(uint64(p.Version()))
	within, err := h.step(by)
	if err != nil {
		return err
	}
	if err := h.child.send(msgPart, e.B, nil, within); err != nil {
		return h.heard(err)
	}
	if err := p.Export(partWriter{h, by}); err != nil {
		return err
	}
	return h.call(msgPartEnd, nil, nil, by)
}

// finalWord makes everything the new process's. Once it is sent, only the new process's confirmation, or its end without
// one, decides whose everything is: after any error it is killed, and what it has said before that counts. It begins with
// nothing before it has said so. If it has, and was killed, the Handover's process has ended: nobody serves any more.
func (h *Handover) finalWord(conns int) error {
	var e plainval.Encoder
	e.Uint(uint64(conns))
	by := time.Now().Add(h.g.Limits.Step)
	if err := h.call(msgEnd, e.B, nil, by); err != nil {
		return err
	}
	if !h.keep() {
		return net.ErrClosed // the cause is the context's
	}
	err := h.child.send(msgFinal, nil, nil, h.g.Limits.Step)
	if err != nil {
		err = h.heard(err)
	} else if err = h.mine(); err == nil {
		return nil
	}
	h.child.end(err)
	if h.mine() == nil {
		return nil
	}
	return err
}

// mine waits until the new process says that it has everything.
func (h *Handover) mine() error {
	m, err := h.child.expect(msgMine, h.g.Limits.Step)
	if err == nil {
		h.Reply = bytes.Clone(m.body)
	}
	return err
}
