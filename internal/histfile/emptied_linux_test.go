package histfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/hub"
)

// TestFileIsEmptiedUnderneath: by somebody, while it is open, which not every system lets them. Each write then fails, and none waits for ever.
func TestFileIsEmptiedUnderneath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b := hub.Batch{Run: hub.Run{First: 2, Last: 9}, Reserved: 99, Changes: []hub.Change{keepChange(3, "a", []byte("x"))}}
	if err := f.Commit(b); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Commit(b); !errors.Is(err, ErrCorrupt) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("committed: %v", err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
