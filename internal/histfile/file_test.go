package histfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"holdfast/internal/hub"
)

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func keepChange(id hub.ID, channel string, data []byte) hub.Change {
	return hub.Change{Op: hub.Keep, Record: hub.Record{ID: id, Before: id - 1, Channel: channel, Data: data}}
}

// TestWhatIsCommittedIsLoaded: by another process.
func TestWhatIsCommittedIsLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	f := open(t, path)
	if s, err := f.Load(); err != nil || !reflect.DeepEqual(s, hub.State{}) {
		t.Errorf("a new file has %+v, %v", s, err)
	}
	records := []hub.Record{
		{ID: 5, Before: 3, Channel: "a", Event: "moved", Data: []byte("text"), At: 1234567890123456789},
		{ID: 5, Before: 4, Channel: "b", JSON: true, Data: []byte(`{"a":1}`), At: -1},
		{ID: 1 << 40, Before: 5, Channel: "a", Event: strings.Repeat("e", 300), Data: []byte{}},
		{ID: 1<<64 - 1, Before: 1 << 40, Channel: "a", Data: []byte{0, 0xff}},
	}
	b := hub.Batch{Run: hub.Run{First: 2, Last: 9}, Reserved: 99, Begin: &hub.Begin{Reset: true, Origin: 2, Rules: "x"}}
	for _, r := range records {
		b.Changes = append(b.Changes, hub.Change{Op: hub.Keep, Record: r})
	}
	lose := func(slot uint32, id hub.ID) hub.Change {
		return hub.Change{Op: hub.Lose, Slot: slot, Record: hub.Record{ID: id}}
	}
	b.Changes = append(b.Changes, lose(7, 50), lose(7, 40), lose(8, 1), keepChange(6, "gone", nil),
		hub.Change{Op: hub.Drop, Record: hub.Record{ID: 6, Channel: "gone"}})
	if err := f.Commit(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(hub.Batch{Run: hub.Run{First: 100, Last: 101}, Reserved: 999}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	f = open(t, path)
	want := hub.State{
		Runs: []hub.Run{{First: 2, Last: 9}, {First: 100, Last: 101}}, Reserved: 999, Origin: 2, Rules: "x", Lost: map[uint32]hub.ID{7: 50, 8: 1},
	}
	if s, err := f.Load(); err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("loaded %+v, %v; want %+v", s, err, want)
	}
	var got []hub.Record
	if err := f.Each(func(r hub.Record) error { got = append(got, r); return nil }); err != nil || !reflect.DeepEqual(got, records) {
		t.Errorf("loaded %+v, %v; want %+v", got, err, records)
	}
	err := f.Commit(hub.Batch{Run: hub.Run{First: 1000, Last: 1000}, Reserved: 1, Begin: &hub.Begin{
		Forget: []hub.Run{{First: 2, Last: 9}}, Reset: true, Origin: 1000, Rules: "y",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want = hub.State{
		Runs: []hub.Run{{First: 100, Last: 101}, {First: 1000, Last: 1000}}, Reserved: 1, Origin: 1000, Rules: "y", Lost: map[uint32]hub.ID{},
	}
	if s, err := f.Load(); err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("loaded %+v, %v; want %+v", s, err, want)
	}
}

// TestOpenForeignFile: each is refused by its path, and left as it is.
func TestOpenForeignFile(t *testing.T) {
	folder := t.TempDir()
	other := filepath.Join(folder, "other")
	db, err := bbolt.Open(other, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("messages")); return err })
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	text := filepath.Join(folder, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("some log\n"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(folder, "short")
	if err := os.WriteFile(short, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{other, text, short, folder} {
		before, _ := os.ReadFile(path)
		_, err := Open(path)
		if !errors.Is(err, ErrNotHistoryFile) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", path)
		}
	}
	missing := filepath.Join(folder, "missing", "history")
	if _, err := Open(missing); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("without its folder: %v", err)
	}
}

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	open(t, path)
	if _, err := Open(path); !errors.Is(err, ErrInUse) || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("a second time: %v", err)
	}
}

// TestDamage: a file that is cut short, or in which something is overwritten, is an error that names it or has what was
// written. It is no panic, and no other messages.
func TestDamage(t *testing.T) {
	folder := t.TempDir()
	good := filepath.Join(folder, "good")
	f := open(t, good)
	b := hub.Batch{Run: hub.Run{First: 2, Last: 9}, Reserved: 99, Begin: &hub.Begin{Reset: true, Origin: 2, Rules: "x"}}
	for i := range hub.ID(200) {
		b.Changes = append(b.Changes, keepChange(i+2, fmt.Sprint("channel.", i%7), bytes.Repeat([]byte{byte(i)}, 500)))
	}
	if err := f.Commit(b); err != nil {
		t.Fatal(err)
	}
	f.Close()
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	text := func(path string) (string, error) {
		f, err := Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		s, err := f.Load()
		if err != nil {
			return "", err
		}
		s.Foreign = false // of copies
		list := []string{fmt.Sprint(s)}
		err = f.Each(func(r hub.Record) error { list = append(list, fmt.Sprint(r)); return nil })
		return strings.Join(list, "\n"), err
	}
	want, err := text(good)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	try := func(name string, content []byte) {
		path := filepath.Join(folder, name) // each its own: after a panic the lock goes with the process only
		defer os.Remove(path)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := text(path)
		switch {
		case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotHistoryFile) || err != nil && !strings.HasPrefix(err.Error(), path):
			t.Errorf("%s: %v", name, err)
		case err == nil && got != want:
			t.Errorf("%s: other messages", name)
		case err != nil:
			refused++
		}
	}
	for _, n := range []int{1, 100, 4096, 8192, len(whole) / 2, len(whole) - 4096} {
		try(fmt.Sprintf("cut after %d", n), whole[:n])
	}
	for at := 0; at < len(whole); at += 2503 {
		bad := bytes.Clone(whole)
		bad[at] ^= 0x55
		try(fmt.Sprintf("byte %d", at), bad)
	}
	if refused < 20 {
		t.Errorf("%d refused", refused)
	}
}

// TestFileIsBounded: what was dropped is room for what comes.
func TestFileIsBounded(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "history"))
	f.db.NoSync = true // many
	const kept = 256
	data := bytes.Repeat([]byte("x"), 1000)
	half := int64(0)
	for i := range 6 * kept {
		b := hub.Batch{Run: hub.Run{First: 1, Last: hub.ID(i)}, Reserved: 1}
		for j := range 4 {
			id := hub.ID(4*i + j + 1)
			b.Changes = append(b.Changes, keepChange(id, "a", data))
			if id > kept {
				b.Changes = append(b.Changes, hub.Change{Op: hub.Drop, Record: hub.Record{ID: id - kept, Channel: "a"}})
			}
		}
		if err := f.Commit(b); err != nil {
			t.Fatal(err)
		}
		if i == 3*kept {
			half = f.Size()
		}
	}
	if f.Size() > half || half > 4*kept*1000 {
		t.Errorf("the file grew from %d to %d bytes with %d kept", half, f.Size(), kept*1000)
	}
}
