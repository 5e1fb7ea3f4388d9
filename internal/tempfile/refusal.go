package tempfile

import (
	"errors"
	"time"
)

// Errors of a body that can't be collected.
var (
	errMemory  = errors.New("request body larger than buffers.request, and buffers.temp_dir is none")
	errBuffers = errors.New("request body past buffers.total, and buffers.temp_dir is none")
	errFile    = errors.New("request body larger than buffers.temp_file_size")
	errTotal   = errors.New("request body past buffers.temp_total_size, the total of temporary files")
	errBroken  = errors.New("request body not written to buffers.temp_dir")
)

// Refusal returns why a request's body can't be collected, with the status for it, and after what time it may be sent again.
// f is its file, nil if it has none; full means that buffers in memory have reached their total.
func (s *Store) Refusal(f *File, full bool) (status int, after time.Duration, err error) {
	switch {
	case s.dir == "" && full:
		return 503, time.Second, errBuffers
	case s.dir == "":
		return 413, 0, errMemory
	case f.Broken():
		return 503, 0, errBroken
	case s.Full():
		return 503, time.Second, errTotal
	}
	return 413, 0, errFile
}
