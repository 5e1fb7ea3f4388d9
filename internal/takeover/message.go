package takeover

import (
	"errors"
	"fmt"
	"time"

	"holdfast/internal/plainval"
)

// protocol is the version of the messages.
const protocol = 1

// Types of messages.
const (
	msgHello     byte = 'h'
	msgListeners byte = 'l'
	msgReady     byte = 'r'
	msgPart      byte = 'p'
	msgData      byte = 'd'
	msgPartEnd   byte = 'e'
	msgConns     byte = 'c'
	msgEnd       byte = 'n'
	msgFinal     byte = 'f'
	msgMine      byte = 'm'
	msgNote      byte = 't'
	msgOK        byte = 'o'
	msgRefused   byte = 'x'
)

const (
	maxBatch   = 250       // descriptors of a message; the kernel takes 253
	maxData    = 64 << 10  // bytes of a message's body
	maxRecords = 1 << 30   // bytes of the records of one batch
	batchBytes = 256 << 10 // bytes of records after which a batch is sent
)

// Limits are how long one process waits for the other; zero means the default.
type Limits struct {
	Start time.Duration // for the new process to be ready; default 60 s
	Step  time.Duration // for each response while everything is held back; default 3 s
	Total time.Duration // for everything to be held back, all in all; default 20 s
}

func (x *Limits) setDefaults() {
	for _, f := range []struct {
		d  *time.Duration
		to time.Duration
	}{{&x.Start, time.Minute}, {&x.Step, 3 * time.Second}, {&x.Total, 20 * time.Second}} {
		if *f.d <= 0 {
			*f.d = f.to
		}
	}
}

// ErrUnsupported means that a take-over is not possible on this system.
var ErrUnsupported = errors.New("a take-over needs Linux: on this system, restart Holdfast instead")

// errRefused is what the other process has said.
type errRefused struct{ reason string }

func (e *errRefused) Error() string { return "the new process refuses: " + e.reason }

// message is a message as it was received. Its body is valid until the next one is.
type message struct {
	kind        byte
	body        []byte
	descriptors []int
}

// unexpected is the error of a message that does not belong where it comes.
func (m *message) unexpected() error {
	if m.kind == msgRefused {
		d := plainval.NewDecoder(m.body)
		reason := d.String()
		if d.End() != nil {
			reason = "without a reason"
		}
		return &errRefused{reason}
	}
	return fmt.Errorf("a message of type %q is not expected here", m.kind)
}

// hello is the first message of both sides.
type hello struct {
	protocol uint64
	binary   string
}

func (h hello) append(b []byte) []byte {
	e := plainval.Encoder{B: b}
	e.Uint(h.protocol)
	e.String(h.binary)
	return e.B
}

func readHello(b []byte) (h hello, err error) {
	d := plainval.NewDecoder(b)
	if h.protocol = d.Uint(); h.protocol != protocol { // what follows may be anything
		if d.Err() != nil {
			return h, d.Err()
		}
		return h, fmt.Errorf("the other process has version %d of the protocol, and this one version %d", h.protocol, protocol)
	}
	h.binary = d.String()
	return h, d.End()
}

// entry is a name and a version in ready.
type entry struct {
	name    string
	version uint64
}

// ready is what the new process knows.
type ready struct{ parts, layers, kinds []entry }

func (r *ready) append(b []byte) []byte {
	e := plainval.Encoder{B: b}
	for _, list := range [][]entry{r.parts, r.layers, r.kinds} {
		e.Uint(uint64(len(list)))
		for _, x := range list {
			e.String(x.name)
			e.Uint(x.version)
		}
	}
	return e.B
}

func readReady(b []byte) (r ready, err error) {
	d := plainval.NewDecoder(b)
	for _, list := range []*[]entry{&r.parts, &r.layers, &r.kinds} {
		for range d.Count() {
			*list = append(*list, entry{d.String(), d.Uint()})
		}
	}
	return r, d.End()
}

// index returns where name is, if its version is at least that.
func index(list []entry, what, name string, version uint16) (int, error) {
	for i, x := range list {
		if x.name != name {
			continue
		}
		if x.version < uint64(version) {
			return 0, fmt.Errorf("the new binary reads %s %q up to version %d, and this one writes version %d", what, name, x.version, version)
		}
		return i, nil
	}
	return 0, fmt.Errorf("the new binary does not know %s %q", what, name)
}
