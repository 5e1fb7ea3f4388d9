package site

import (
	"errors"
	"io"
	"os"
)

var errShort = errors.New("the file became shorter while it was sent")

// pieceBytes of a file are read at once.
const pieceBytes = 128 << 10

// ReadPiece reads a piece of a file from off, at most to end. It may block.
func ReadPiece(f *os.File, off, end int64) ([]byte, error) {
	p := make([]byte, min(end-off, pieceBytes))
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return p, nil
	}
	if errors.Is(err, io.EOF) {
		err = errShort
	}
	return nil, err
}
