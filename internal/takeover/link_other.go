//go:build !linux

package takeover

import (
	"os"
	"time"
)

// link is one end of the socket pair, which this system does not have.
type link struct{ in []byte }

func newPair() (*link, *os.File, error) { return nil, nil, ErrUnsupported }

func newLink(*os.File) (*link, error) { return nil, ErrUnsupported }

func (*link) close() {}

func (*link) send(byte, []byte, []int, time.Duration) error { return ErrUnsupported }

func (*link) sendData([]byte, time.Duration) error { return ErrUnsupported }

func (*link) receive(time.Duration) (message, error) { return message{}, ErrUnsupported }

func closeAll([]int) {}
