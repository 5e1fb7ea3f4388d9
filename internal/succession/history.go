package succession

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"holdfast/internal/histfile"
	"holdfast/internal/hub"
)

// History is a hub's store in a file. One process at a time has the file open, so it is closed here before another process
// takes over, and opened again if that fails. A nil History has none: its methods do nothing.
type History struct {
	path string
	log  *slog.Logger
	file atomic.Pointer[histfile.File] // nil: it is not open

	// Owned by who begins and ends the saving.
	cancel context.CancelFunc // ends the saving; nil: it has not begun
	saving sync.WaitGroup
}

var _ hub.Store = (*History)(nil)

// NewHistory returns a History in the file of a path, which it does not open before it is used; nil if path is empty.
func NewHistory(path string, log *slog.Logger) *History {
	if path == "" {
		return nil
	}
	return &History{path: path, log: log}
}

// store returns x as a hub's store: nil, if there is none.
func (x *History) store() hub.Store {
	if x == nil {
		return nil
	}
	return x
}

// open returns the file, which it opens if need be. It is for one goroutine at a time.
func (x *History) open() (*histfile.File, error) {
	if f := x.file.Load(); f != nil {
		return f, nil
	}
	f, err := histfile.Open(x.path)
	if err == nil {
		x.file.Store(f)
	}
	return f, err
}

// Load implements hub.Store.
func (x *History) Load() (state hub.State, err error) {
	f, err := x.open()
	if err == nil {
		state, err = f.Load()
	}
	return state, err
}

// Each implements hub.Store.
func (x *History) Each(visit func(hub.Record) error) error {
	f, err := x.open()
	if err != nil {
		return err
	}
	return f.Each(visit)
}

// Commit implements hub.Store.
func (x *History) Commit(b hub.Batch) error {
	f, err := x.open()
	if err != nil {
		return err
	}
	return f.Commit(b)
}

// Size returns the bytes of the file; 0 if it is not open. Any goroutine may call it.
func (x *History) Size() int64 {
	if f := x.file.Load(); f != nil {
		return f.Size()
	}
	return 0
}

// Open returns a hub that continues with what is in the file.
func (x *History) Open(o hub.Options) (*hub.Hub, error) {
	h, err := hub.Open(o, x)
	if err != nil {
		if f := x.file.Swap(nil); f != nil {
			f.Close()
		}
		return nil, fmt.Errorf("push.history_file: %w", err)
	}
	if x.file.Load().Foreign() {
		x.log.Warn("history file was copied, restored or moved; clients that reconnect receive a gap", "file", x.path)
	}
	stats := h.Stats()
	x.log.Info("history loaded", "file", x.path, "messages", stats.HistoryMessages, "bytes", stats.HistoryBytes)
	return h, nil
}

// Begin begins to store history, until End.
func (x *History) Begin(h *hub.Hub) {
	if x == nil || x.cancel != nil {
		return
	}
	var ctx context.Context
	ctx, x.cancel = context.WithCancel(context.Background())
	x.saving.Go(func() { x.save(ctx, h) })
}

// save is a goroutine. It writes history to the file until ctx ends.
func (x *History) save(ctx context.Context, h *hub.Hub) {
	h.Save(ctx, func(err error) {
		if err != nil {
			x.log.Error("history file not written; publishes that must be stored are refused until it is", "error", err)
			return
		}
		x.log.Info("history file is written again")
	})
}

var errUnsaved = errors.New("push.history_file can't be written, and what is not stored would be lost")

// End ends the saving after all is stored, and closes the file. The error says that something is not stored.
func (x *History) End(h *hub.Hub) error {
	if x == nil {
		return nil
	}
	if x.cancel != nil {
		x.cancel()
		x.saving.Wait()
		x.cancel = nil
	}
	var err error
	if f := x.file.Swap(nil); f != nil {
		if err := f.Close(); err != nil {
			x.log.Error("history file not closed", "error", err)
		}
	}
	if n := h.Stats().Unsaved; n > 0 {
		err = fmt.Errorf("%w: %d bytes", errUnsaved, n)
	}
	return err
}
