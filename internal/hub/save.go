package hub

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	ErrStore   = errors.New("history file not written: messages that must be stored are refused")
	ErrUnsaved = errors.New("the message is published but not stored: a restart may lose it")
)

// saveEvery is after how long messages are stored that no publisher waits for, and a failed Commit is tried again.
const saveEvery = time.Second

// saving brings history into a store.
type saving struct {
	// Static after Open.
	store Store
	runs  []Run         // the last one is this process
	wakec chan struct{} // a publisher waits for unsaved

	// Owned by Open and then by Save.
	reserved ID

	// Guarded by Hub.mu.
	lost    []ID // see lostFloor
	loading bool // the history is being read from the store
	unsaved []Change
	bytes   int64  // of data that must be stored and is not yet
	saved   ID     // everything up to it is in the store
	begin   *Begin // for the next Commit; nil: none
	commits uint64
	failed  uint64
	err     error         // of the last Commit
	turnc   chan struct{} // closed after the next Commit
}

// unsavedLocked notes for the store that m will be in history.
func (h *Hub) unsavedLocked(ch *channel, m *Message) {
	s := h.saving
	if s == nil || !ch.kept || s.loading {
		return
	}
	before := ch.floor
	if k := ch.hist; k.n > 0 {
		before = k.newest()
	}
	s.unsaved = append(s.unsaved, Change{Op: Keep, Record: m.record(before)})
	s.bytes += m.backlogCost()
}

// drop notes for the store that a message is dropped.
func (s *saving) drop(ch *channel, id ID) {
	if s != nil && ch.kept {
		s.unsaved = append(s.unsaved, Change{Op: Drop, Record: Record{ID: id, Channel: ch.name}})
	}
}

// loseLocked notes for the store that ch has lost everything up to its floor.
func (h *Hub) loseLocked(ch *channel) {
	if s := h.saving; s != nil && ch.kept {
		s.unsaved = append(s.unsaved, Change{Op: Lose, Slot: lostSlot(ch.name), Record: Record{ID: ch.floor}})
	}
}

// roomLocked refuses messages that must be stored while the store fails or is far behind.
func (s *saving) roomLocked(most int64) error {
	switch {
	case s.err != nil:
		return fmt.Errorf("%w: %w", ErrStore, s.err)
	case s.bytes > most:
		return ErrBusy
	}
	return nil
}

func (s *saving) wake() {
	select {
	case s.wakec <- struct{}{}:
	default:
	}
}

// Saved waits until the messages of the receipts are in the store, if they must be. After ErrUnsaved, they are
// delivered nevertheless, and are stored if the store can be written before the process ends. Saved may be called
// again.
func (h *Hub) Saved(ctx context.Context, receipts []Receipt) error {
	var newest ID
	for _, r := range receipts {
		if r.Kept {
			newest = max(newest, r.ID)
		}
	}
	for newest != 0 {
		h.mu.Lock()
		saved, err, turnc := h.saving.saved, h.saving.err, h.saving.turnc
		h.mu.Unlock()
		if saved >= newest {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnsaved, err)
		}
		select {
		case <-turnc:
		case <-ctx.Done():
			return fmt.Errorf("%w: it is still being written", ErrUnsaved)
		}
	}
	return nil
}

// Save writes history to the store until ctx ends, and then once more. It blocks. Messages that arrive during a write
// make one batch. report is called with an error when writes begin to fail, and with nil when they succeed again. End
// ctx after the last publish and subscription. Without a store, Save only waits.
func (h *Hub) Save(ctx context.Context, report func(error)) {
	s := h.saving
	if s == nil {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	failing := false
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-s.wakec:
		case <-tick.C:
		}
		if err := h.save(); failing != (err != nil) {
			failing = err != nil
			report(err)
		}
	}
}

// save commits everything that is not in the store yet.
func (h *Hub) save() error {
	s := h.saving
	h.mu.Lock()
	changes, bytes := s.unsaved, s.bytes
	batch := Batch{Changes: changes, Run: Run{First: s.runs[len(s.runs)-1].First, Last: h.last}, Reserved: s.reserved, Begin: s.begin}
	if len(changes) == 0 && h.last == s.saved && s.begin == nil {
		err := s.err
		h.mu.Unlock()
		return err
	}
	s.unsaved = nil
	h.mu.Unlock()

	if batch.Run.Last > s.reserved-idLease/2 {
		batch.Reserved = batch.Run.Last + idLease
	}
	err := s.store.Commit(batch)

	h.mu.Lock()
	defer h.mu.Unlock()
	s.err = err
	if err == nil {
		s.reserved, s.saved, s.begin = batch.Reserved, batch.Run.Last, nil
		s.bytes -= bytes
		s.commits++
	} else {
		s.unsaved = append(changes, s.unsaved...)
		s.failed++
	}
	close(s.turnc)
	s.turnc = make(chan struct{})
	return err
}
