package takeover

import (
	"net/netip"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/plainval"
)

// record is a connection as it moves: what the poller, its layer and its owner know.
type record struct {
	park.Moving
	layer, kind section
}

// section is the record of one Kind.
type section struct {
	kind    int // index of its kind in ready; -1: there is none
	version uint16
	b       []byte
}

const (
	recordTLS = 1 << iota
	recordMarked
	recordCounted
)

// appendRecord appends version 1 of a record.
func appendRecord(e *plainval.Encoder, x *record) {
	addr, _ := x.Remote.Addr().MarshalBinary() // it does not fail
	e.Bytes(addr)
	e.Uint(uint64(x.Remote.Port()))
	e.Uint(uint64(x.Deadline / time.Millisecond))
	flags := uint64(0)
	for flag, is := range map[uint64]bool{recordTLS: x.TLS, recordMarked: x.Marked, recordCounted: x.Counted} {
		if is {
			flags |= flag
		}
	}
	e.Uint(flags)
	e.Bool(x.layer.kind >= 0)
	if x.layer.kind >= 0 {
		appendSection(e, &x.layer)
	}
	appendSection(e, &x.kind)
}

func appendSection(e *plainval.Encoder, x *section) {
	e.Uint(uint64(x.kind))
	e.Uint(uint64(x.version))
	e.Bytes(x.b)
}

// maxWait is far above every deadline, in milliseconds.
const maxWait = 1 << 40

// readRecord reads the next record of d.
func readRecord(d *plainval.Decoder) (x record, err error) {
	var addr netip.Addr
	if err := addr.UnmarshalBinary(d.Bytes()); err != nil {
		d.Fail("an address")
	}
	x.Remote = netip.AddrPortFrom(addr, uint16(d.Below(1<<16)))
	x.Deadline = time.Duration(d.Below(maxWait)) * time.Millisecond
	flags := d.Below(2 * recordCounted)
	x.TLS, x.Marked, x.Counted = flags&recordTLS != 0, flags&recordMarked != 0, flags&recordCounted != 0
	x.layer.kind = -1
	if d.Bool() {
		x.layer = readSection(d)
	}
	x.kind = readSection(d)
	return x, d.Err()
}

func readSection(d *plainval.Decoder) section {
	return section{int(d.Below(1 << 16)), uint16(d.Below(1 << 16)), d.Bytes()}
}
