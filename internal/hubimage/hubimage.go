// Package hubimage writes what a hub has, and reads it into the hub of another process: see [hub.Image].
package hubimage

import (
	"bufio"
	"fmt"
	"io"
	"math"

	"holdfast/internal/hub"
	"holdfast/internal/plainval"
)

// Version is the version of what Write writes.
const Version = 1

// Flags of a record.
const flagJSON = 1

// maxFrame is more than the history of one channel can be.
const maxFrame = math.MaxInt32

// Write writes an image of hub.ImageOf.
func Write(w io.Writer, m *hub.Image) error {
	b := bufio.NewWriterSize(w, 64<<10)
	var e plainval.Encoder
	encodeImage(&e, m)
	if err := plainval.WriteFrame(b, e.B); err != nil {
		return err
	}
	err := m.EachChannel(func(c *hub.ChannelImage) error {
		e.B = e.B[:0]
		encodeChannel(&e, c)
		return plainval.WriteFrame(b, e.B)
	})
	if err != nil {
		return err
	}
	if err := plainval.WriteFrame(b, nil); err != nil { // the end
		return err
	}
	return b.Flush()
}

// Read imports what Write wrote into a hub that is new. Without an error, the hub has its history, and its subscribers
// may join; call Adopted after the last one.
func Read(r io.Reader, version uint16, h *hub.Hub, store hub.Store) (*hub.Importer, error) {
	if version == 0 || version > Version {
		return nil, fmt.Errorf("hub image: version %d is not known", version)
	}
	b := bufio.NewReaderSize(r, 64<<10)
	frame, err := plainval.ReadFrame(b, maxFrame, nil)
	if err != nil {
		return nil, fmt.Errorf("hub image: %w", noEOF(err))
	}
	m, err := decodeImage(frame)
	if err != nil {
		return nil, fmt.Errorf("hub image: %w", err)
	}
	x, err := hub.Import(h, m, store)
	if err != nil {
		return nil, err
	}
	for {
		if frame, err = plainval.ReadFrame(b, maxFrame, frame); err != nil {
			return nil, fmt.Errorf("hub image: %w", noEOF(err))
		}
		if len(frame) == 0 {
			x.End()
			return x, nil
		}
		c, err := decodeChannel(frame)
		if err != nil {
			return nil, fmt.Errorf("hub image: channel %.300q: %w", c.Name, err)
		}
		x.Channel(c)
	}
}

// noEOF makes an error of an end that is none.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func encodeImage(e *plainval.Encoder, m *hub.Image) {
	e.Uint(uint64(m.Start))
	e.Uint(uint64(m.Last))
	e.Uint(uint64(m.Seed))
	encodeIDs(e, m.Lost)
	encodeIDs(e, m.Patterns)
	e.Strings(m.Occupied)
	e.Uint(uint64(len(m.Runs)))
	for _, r := range m.Runs {
		e.Uint(uint64(r.First))
		e.Uint(uint64(r.Last))
	}
	encodeIDs(e, m.Slots)
	e.Uint(uint64(m.Reserved))
	for _, n := range [...]uint64{m.Published, m.Refused, m.Evicted, m.Delivered} {
		e.Uint(n)
	}
}

func decodeImage(b []byte) (*hub.Image, error) {
	d := plainval.NewDecoder(b)
	m := &hub.Image{Start: hub.ID(d.Uint()), Last: hub.ID(d.Uint()), Seed: d.Uint32()}
	m.Lost, m.Patterns, m.Occupied = decodeIDs(d), decodeIDs(d), d.Strings()
	for range d.Count() {
		m.Runs = append(m.Runs, hub.Run{First: hub.ID(d.Uint()), Last: hub.ID(d.Uint())})
	}
	m.Slots, m.Reserved = decodeIDs(d), hub.ID(d.Uint())
	for _, n := range [...]*uint64{&m.Published, &m.Refused, &m.Evicted, &m.Delivered} {
		*n = d.Uint()
	}
	if d.Err() == nil && (m.Start == 0 || m.Last < m.Start) {
		d.Fail("IDs from %d to %d", m.Start, m.Last)
	}
	return m, d.End()
}

// encodeIDs appends a list of IDs, of which most are equal or near.
func encodeIDs(e *plainval.Encoder, list []hub.ID) {
	e.Uint(uint64(len(list)))
	last := hub.ID(0)
	for _, id := range list {
		e.Int(int64(id - last))
		last = id
	}
}

func decodeIDs(d *plainval.Decoder) (list []hub.ID) {
	last := hub.ID(0)
	for range d.Count() {
		last += hub.ID(d.Int())
		list = append(list, last)
	}
	return list
}

func encodeChannel(e *plainval.Encoder, m *hub.ChannelImage) {
	e.String(m.Name)
	e.Uint(uint64(m.Floor))
	e.Uint(uint64(m.Last))
	e.Bool(m.Kept)
	e.Uint(uint64(len(m.Records)))
	last := m.Floor
	for i := range m.Records {
		r := &m.Records[i]
		e.Int(int64(r.ID - last))
		last = r.ID
		flags := uint64(0)
		if r.JSON {
			flags |= flagJSON
		}
		e.Uint(flags)
		e.Int(r.At)
		e.String(r.Event)
		e.Bytes(r.Data)
	}
}

// decodeChannel reads a channel. The data of its records are copies, as the hub keeps them.
func decodeChannel(b []byte) (*hub.ChannelImage, error) {
	d := plainval.NewDecoder(b)
	m := &hub.ChannelImage{Name: d.String(), Floor: hub.ID(d.Uint()), Last: hub.ID(d.Uint()), Kept: d.Bool()}
	last := m.Floor
	for i := range d.Count() {
		r := hub.Record{Channel: m.Name, Before: last, ID: last + hub.ID(d.Int())}
		r.JSON, r.At, r.Event, r.Data = d.Below(flagJSON<<1)&flagJSON != 0, d.Int(), d.String(), append([]byte{}, d.Bytes()...)
		// A channel that is new in a publish may get its floor from another's loss there, as they share entries.
		if d.Err() == nil && (r.ID < last || r.ID == last && i > 0 || r.ID > m.Last) {
			d.Fail("message %d after %d, with the last at %d", r.ID, last, m.Last)
		}
		if d.Err() != nil {
			break
		}
		last = r.ID
		m.Records = append(m.Records, r)
	}
	if d.Err() == nil && m.Name == "" {
		d.Fail("a channel without a name")
	}
	return m, d.End()
}
