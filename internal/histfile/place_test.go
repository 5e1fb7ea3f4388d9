package histfile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"holdfast/internal/hub"
)

// TestForeign: a file is known again if it is as it was left, and else it is not.
func TestForeign(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, path string)
		opened func(*File)
		want   bool
	}{
		{name: "as it was left"},
		{name: "a slow disk", opened: func(f *File) { f.found.changed += int64(placeSlack - time.Second) }},
		{name: "overwritten later", opened: func(f *File) { f.found.changed += int64(placeSlack + time.Second) }, want: true},
		{name: "copied", change: func(t *testing.T, path string) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path+".copy", content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".copy", path); err != nil {
				t.Fatal(err)
			}
		}, opened: func(f *File) { f.found.changed += int64(time.Hour) }, want: true},
		{name: "of an older version", change: func(t *testing.T, path string) {
			f := open(t, path)
			defer f.Close()
			err := f.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(aboutBucket).Delete(placeKey) })
			if err != nil {
				t.Fatal(err)
			}
		}, want: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history")
			f := open(t, path)
			begin := hub.Batch{Run: hub.Run{First: 2, Last: 9}, Reserved: 99, Begin: &hub.Begin{Reset: true, Origin: 2}}
			if err := f.Commit(begin); err != nil {
				t.Fatal(err)
			}
			f.Close()
			if tt.change != nil {
				tt.change(t, path)
			}
			f = open(t, path)
			if tt.opened != nil {
				tt.opened(f)
			}
			s, err := f.Load()
			if err != nil || s.Foreign != tt.want || f.Foreign() != tt.want {
				t.Errorf("foreign: %v and %v, %v; want %v", s.Foreign, f.Foreign(), err, tt.want)
			}
			if err := f.Commit(hub.Batch{Run: hub.Run{First: 100, Last: 101}, Reserved: 999}); err != nil {
				t.Fatal(err)
			}
			f.Close()
			if s, err := open(t, path).Load(); err != nil || s.Foreign {
				t.Errorf("after a commit it is foreign: %v, %v", s.Foreign, err)
			}
		})
	}
}
