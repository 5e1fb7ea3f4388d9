// Package tempfile keeps bodies that are too large for memory in temporary files. Writing and reading may block, so
// workers do both, and the loop hears of the result.
package tempfile

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	"holdfast/internal/park"
)

var (
	errShort = errors.New("the temporary file became shorter while it was read")
	errBusy  = errors.New("all workers are busy")
	errFault = errors.New("the worker has panicked")
)

// pieceBytes of a file are read at once.
const pieceBytes = 128 << 10

// Store is what all files share: their directory and their limits.
type Store struct {
	dir             string
	fileMax, allMax int64
	log             *slog.Logger

	used            atomic.Int64 // bytes in files
	files, failures atomic.Int64
}

// NewStore returns a store of files below dir. No file takes more than about fileMax bytes, and past allMax bytes in
// all files together no further body begins to use one. With an empty dir there are none.
func NewStore(dir string, fileMax, allMax int64, log *slog.Logger) *Store {
	return &Store{dir: dir, fileMax: fileMax, allMax: allMax, log: log}
}

// Full reports whether all files together have as much as they may.
func (s *Store) Full() bool { return s.used.Load() >= s.allMax }

// Fits reports whether a body of that length (-1: not known) may begin to use a file.
func (s *Store) Fits(length int64) bool { return length <= s.fileMax && s.dir != "" && !s.Full() }

// Used returns how many bytes are in files.
func (s *Store) Used() int64 { return s.used.Load() }

// Files returns how many bodies have used a file, and Failures how many files could not be written.
func (s *Store) Files() int64    { return s.files.Load() }
func (s *Store) Failures() int64 { return s.failures.Load() }

// File is a part of a body, written at its end and read at its beginning, with one write and one read at a time. Its
// methods run on its loop.
type File struct {
	store      *Store
	loop       *park.Loop
	run        func(func())
	f          *os.File // made by the first write
	name       string   // to be removed with it, where that cannot be done at once
	read, size int64    // bytes that were taken out, and put in
	writing    bool
	reading    bool
	broken     bool // nothing more is put in
	closed     bool // the last worker closes
}

// New begins the use of a file. Nothing is on disk before the first write. What follows a write or a read is called on
// the loop, by run.
func (s *Store) New(loop *park.Loop, run func(step func())) *File {
	s.files.Add(1)
	return &File{store: s, loop: loop, run: run}
}

// Len returns how many bytes wait in the file. Nil has none.
func (f *File) Len() int64 {
	if f == nil {
		return 0
	}
	return f.size - f.read
}

// Writing and Reading report whether a worker has the file; Broken, whether a write has failed. Nil is fine.
func (f *File) Writing() bool { return f != nil && f.writing }
func (f *File) Reading() bool { return f != nil && f.reading }
func (f *File) Broken() bool  { return f != nil && f.broken }

// TakesMore reports whether a write may follow: none is in progress, none has failed, and the file that waits for its
// reader and all files together are below their limits.
func (f *File) TakesMore() bool {
	return !f.writing && !f.broken && f.Len() < f.store.fileMax && !f.store.Full()
}

// Write puts b at the end; next is called on the loop, unless the file is closed by then. b is the file's until then.
func (f *File) Write(b []byte, next func(error)) {
	f.writing = true
	off := f.size // Close may change it while the worker writes
	f.work(func() error {
		if f.f == nil {
			file, err := os.CreateTemp(f.store.dir, "holdfast-")
			if err != nil {
				return err
			}
			if os.Remove(file.Name()) != nil {
				f.name = file.Name()
			}
			f.f = file
		}
		_, err := f.f.WriteAt(b, off)
		return err
	}, func(err error) {
		f.writing = false
		if err != nil {
			f.broken = true
			f.store.failures.Add(1)
			f.store.log.Error("temporary file not written; the body is streamed on, or refused", "folder", f.store.dir, "error", err)
		} else {
			f.size += int64(len(b))
			f.store.used.Add(int64(len(b)))
		}
		next(err)
	})
}

// Read takes the next piece out; next is called on the loop, unless the file is closed by then.
func (f *File) Read(next func([]byte, error)) {
	f.reading = true
	b := make([]byte, min(f.Len(), pieceBytes))
	off := f.read
	f.work(func() error {
		n, err := f.f.ReadAt(b, off)
		if n == len(b) || err == nil {
			return nil
		}
		if errors.Is(err, io.EOF) {
			err = errShort
		}
		return err
	}, func(err error) {
		f.reading = false
		if err == nil {
			f.read += int64(len(b))
		} else {
			f.store.log.Error("temporary file not read", "error", err)
		}
		next(b, err)
	})
}

// work runs op on a worker and then next on the loop, unless the file is closed by then.
func (f *File) work(op func() error, next func(error)) {
	ok := f.loop.Poller().Go(func() {
		err := errFault
		defer func() {
			if !f.loop.Post(func() {
				if f.closed {
					f.writing, f.reading = false, false
					f.release()
					return
				}
				f.run(func() { next(err) })
			}) {
				f.release()
			}
		}()
		err = op()
	})
	if !ok {
		f.loop.Later(func() {
			if f.closed {
				f.release()
				return
			}
			f.run(func() { next(errBusy) })
		})
	}
}

// Close ends the use of the file. Nil is fine.
func (f *File) Close() {
	if f == nil {
		return
	}
	f.closed = true
	f.store.used.Add(-f.size)
	f.size, f.read = 0, 0
	if !f.writing && !f.reading {
		f.release()
	}
}

func (f *File) release() {
	if f.f == nil {
		return
	}
	_ = f.f.Close()
	if f.name != "" {
		_ = os.Remove(f.name)
	}
}
