package histfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"holdfast/internal/hub"
)

var (
	ErrInUse          = errors.New("in use by another process")
	ErrNotHistoryFile = errors.New("not a history file of Holdfast")
	ErrCorrupt        = errors.New("damaged; move it away to start without history")
)

// lockTime is how long the file may be in use by a process that is about to end.
const lockTime = time.Second

// fill is how full a page of messages is made: they come at the end and are never changed.
const fill = 0.95

var (
	messagesBucket = []byte("messages")
	runsBucket     = []byte("runs")
	lostBucket     = []byte("lost")
	aboutBucket    = []byte("about")

	formatKey   = []byte("format")
	originKey   = []byte("origin")
	reservedKey = []byte("reserved")
	rulesKey    = []byte("rules")
)

// format is in every file. A later one that this version cannot read has another.
const format = "holdfast history 1"

// File is a history file that is open. Its methods are for one goroutine at a time, Size aside.
type File struct {
	db     *bbolt.DB
	file   *os.File // db's
	path   string
	broken error // bbolt panicked: its locks are as the panic left them
	size   atomic.Int64

	found   place // before it was opened
	foreign bool  // see Foreign
}

var _ hub.Store = (*File)(nil)

// Open opens the file, made if need be; its folder has to exist. The errors name it, and are ErrInUse, ErrNotHistoryFile or
// ErrCorrupt if they are no plain errors of the system. A file that is not ours is not changed.
func Open(path string) (f *File, err error) {
	info, statErr := os.Stat(path)
	if statErr == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrNotHistoryFile)
	}
	f = &File{path: path}
	if statErr == nil {
		f.found = placeOf(info)
	}
	if err = f.openDB(); err != nil {
		return nil, err
	}
	if err = f.begin(); err == nil && errors.Is(statErr, os.ErrNotExist) {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) openDB() (err error) {
	defer panicOnFault()()
	defer func() {
		if err != nil && f.file != nil {
			f.file.Close() // if bbolt has not
		}
	}()
	defer f.recoverTo(&err)
	f.db, err = bbolt.Open(f.path, 0o600, &bbolt.Options{
		Timeout: lockTime, FreelistType: bbolt.FreelistMapType, NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			var err error
			f.file, err = os.OpenFile(name, flag, mode)
			return f.file, err
		},
	})
	if err != nil {
		return opening(f.path, err)
	}
	return nil
}

// opening names what is wrong with a file that cannot be opened.
func opening(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s: %w", path, ErrInUse)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("%s: %w", path, ErrNotHistoryFile)
	case errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrInvalidMapping):
		return fmt.Errorf("%s: %w", path, ErrCorrupt)
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err // has the path
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%s: %w: %w", path, ErrCorrupt, err)
}

// begin makes the buckets of a new file, and looks whether others are ours.
func (f *File) begin() (err error) {
	defer panicOnFault()()
	defer f.recoverTo(&err)
	empty := false
	err = f.db.View(func(tx *bbolt.Tx) error {
		first, _ := tx.Cursor().First()
		if empty = first == nil; empty {
			return nil
		}
		about := tx.Bucket(aboutBucket)
		if about == nil || string(about.Get(formatKey)) != format ||
			tx.Bucket(messagesBucket) == nil || tx.Bucket(runsBucket) == nil || tx.Bucket(lostBucket) == nil {
			return fmt.Errorf("%s: %w", f.path, ErrNotHistoryFile)
		}
		f.size.Store(tx.Size())
		return nil
	})
	if err != nil || !empty {
		return err
	}
	return f.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{messagesBucket, runsBucket, lostBucket, aboutBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		f.size.Store(tx.Size())
		return tx.Bucket(aboutBucket).Put(formatKey, []byte(format))
	})
}

// Close closes the file.
func (f *File) Close() error {
	if f.broken != nil {
		return f.file.Close()
	}
	return f.db.Close()
}

// Size returns the bytes of the file. Any goroutine may call it.
func (f *File) Size() int64 { return f.size.Load() }

// recoverTo makes an error of a panic: of bbolt, which takes what is in its pages for granted, or of the system that cannot
// read a page of the mapped file. From then on the file is not used. It is to be deferred.
func (f *File) recoverTo(err *error) {
	if p := recover(); p != nil {
		f.broken = fmt.Errorf("%s: %w: %v", f.path, ErrCorrupt, p)
		*err = f.broken
	}
}

// panicOnFault lets a page that cannot be read panic and not end the process, until the function it returns is called.
func panicOnFault() (restore func()) {
	old := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(old) }
}

// syncFolder makes the name of a new file last.
func syncFolder(name string) error {
	if runtime.GOOS == "windows" { // folders cannot be synced there
		return nil
	}
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
