// Package tempfile stores bodies that are too large for memory in temporary files. Writing and reading may block, so
// workers do both, and the result is posted to the loop.
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

// pieceBytes is how many bytes of a file are read at once.
const pieceBytes = 128 << 10

// Store has the directory and the limits of all files.
type Store struct {
	dir             string
	fileMax, allMax int64
	log             *slog.Logger

	used            atomic.Int64 // bytes in files
	files, failures atomic.Int64
}

// NewStore returns a store of files below dir. No file takes more than about fileMax bytes. If all files together have
// allMax bytes, no other body gets a file. With an empty dir there are no files.
func NewStore(dir string, fileMax, allMax int64, log *slog.Logger) *Store {
	return &Store{dir: dir, fileMax: fileMax, allMax: allMax, log: log}
}

// Full reports whether all files together are at their limit.
func (s *Store) Full() bool { return s.used.Load() >= s.allMax }

// Fits reports whether a body of that length (-1: unknown) may use a file.
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
	read, size int64    // bytes read, and bytes written
	writing    bool
	reading    bool
	broken     bool // a write has failed; nothing more is written
	closed     bool // the last worker closes
}

// New returns a file. Nothing is on disk before the first write. run calls, on the loop, the functions that follow a
// write or a read.
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

// Writing and Reading report whether a worker uses the file; Broken, whether a write has failed. f may be nil.
func (f *File) Writing() bool { return f != nil && f.writing }
func (f *File) Reading() bool { return f != nil && f.reading }
func (f *File) Broken() bool  { return f != nil && f.broken }

// TakesMore reports whether a write may follow: none is in progress, none has failed, and the file and all files
// together are below their limits.
func (f *File) TakesMore() bool {
	return !f.writing && !f.broken && f.Len() < f.store.fileMax && !f.store.Full()
}

// Write appends b. Then next is called on the loop, unless the file is closed by then. b must not be changed until
// then.
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
			f.store.log.Error("temporary file not written; the body is streamed or refused", "directory", f.store.dir, "error", err)
		} else {
			f.size += int64(len(b))
			f.store.used.Add(int64(len(b)))
		}
		next(err)
	})
}

// Read removes the next piece. next is called with it on the loop, unless the file is closed by then.
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

// Close ends the use of the file. f may be nil.
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
