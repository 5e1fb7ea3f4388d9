package hubimage

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"testing"

	"holdfast/internal/hub"
	"holdfast/internal/plainval"
)

var update = flag.Bool("update", false, "write the golden file of the present version")

var goldenImage = &hub.Image{
	Start: 100 << 20, Last: 100<<20 + 9, Seed: 0xfedcba98, Lost: []hub.ID{100 << 20, 100<<20 + 3, 100 << 20}, Patterns: []hub.ID{5, 4},
	Occupied: []string{"orders.1", "orders.2"}, Runs: []hub.Run{{First: 7, Last: 8}, {First: 100 << 20, Last: 100<<20 + 9}},
	Slots: []hub.ID{7, 7, 7}, Reserved: 200 << 20, Published: 9, Refused: 1, Evicted: 2, Delivered: 30,
}

var goldenChannels = []*hub.ChannelImage{
	{Name: "orders.1", Floor: 100 << 20, Last: 100<<20 + 9, Kept: true, Records: []hub.Record{
		{ID: 100<<20 + 4, Before: 100 << 20, Channel: "orders.1", Event: "moved", Data: []byte(`{"to":1}`), JSON: true, At: 1795000000000000000},
		{ID: 100<<20 + 9, Before: 100<<20 + 4, Channel: "orders.1", Data: []byte{0xff, 0}, At: 1795000000000000001},
	}},
	{Name: "orders.2", Floor: 100<<20 + 3, Last: 0},
}

func golden(version int) string { return fmt.Sprintf("testdata/v%d.bin", version) }

func encodeGolden(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	frame := func(f func(*plainval.Encoder)) {
		var e plainval.Encoder
		f(&e)
		if err := plainval.WriteFrame(&b, e.B); err != nil {
			t.Fatal(err)
		}
	}
	frame(func(e *plainval.Encoder) { encodeImage(e, goldenImage) })
	for _, c := range goldenChannels {
		frame(func(e *plainval.Encoder) { encodeChannel(e, c) })
	}
	return b.Bytes()
}

// TestGolden reads what every version has written. A file of a version that was released is never changed.
func TestGolden(t *testing.T) {
	now := encodeGolden(t)
	if *update {
		if err := os.WriteFile(golden(Version), now, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for version := 1; version <= Version; version++ {
		file, err := os.ReadFile(golden(version))
		if err != nil {
			t.Fatal(err)
		}
		if version == Version && !bytes.Equal(file, now) {
			t.Error("what is written has changed, and the version has not")
		}
		r := bufio.NewReader(bytes.NewReader(file))
		frame, err := plainval.ReadFrame(r, maxFrame, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := decodeImage(frame)
		if err != nil || !reflect.DeepEqual(m, goldenImage) {
			t.Errorf("version %d: %+v, %v", version, m, err)
		}
		for _, want := range goldenChannels {
			if frame, err = plainval.ReadFrame(r, maxFrame, nil); err != nil {
				t.Fatal(err)
			}
			if c, err := decodeChannel(frame); err != nil || !reflect.DeepEqual(c, want) {
				t.Errorf("version %d: %+v, %v; want %+v", version, c, err, want)
			}
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("version %d: more than that: %v", version, err)
		}
	}
}

// newHub returns a hub with some history and the floors of channels that are gone.
func newHub(t *testing.T) *hub.Hub {
	t.Helper()
	h := hub.New(options())
	for i := range 200 {
		d := hub.Draft{Channels: []string{fmt.Sprint("kept.", i%7), fmt.Sprint("bare.", i%3)}, Data: bytes.Repeat([]byte{byte(i)}, i*i)}
		if _, err := h.PublishOne(d); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func options() hub.Options {
	return hub.Options{Wildcards: true, Rule: func(name string) (hub.History, bool) {
		return hub.History{Messages: 10 * len(name) % 40}, true
	}}
}

func TestWriteAndRead(t *testing.T) {
	old := newHub(t)
	var b bytes.Buffer
	if err := Write(&b, hub.ImageOf(old)); err != nil {
		t.Fatal(err)
	}
	all := b.Bytes()
	h := hub.New(options())
	x, err := Read(bytes.NewReader(all), Version, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	x.Adopted()
	was, _ := old.Channels("", 100)
	is, _ := h.Channels("", 100)
	if len(is) == 0 || !reflect.DeepEqual(was, is) || h.Stats() != old.Stats() {
		t.Errorf("%v, %+v; want %v, %+v", is, h.Stats(), was, old.Stats())
	}
	for n := 0; n < len(all); n += 1 + n/10 {
		if _, err := Read(bytes.NewReader(all[:n]), Version, hub.New(options()), nil); err == nil {
			t.Fatalf("%d of %d bytes are read without an error", n, len(all))
		}
	}
	for _, version := range []uint16{0, Version + 1} {
		if _, err := Read(bytes.NewReader(all), version, hub.New(options()), nil); err == nil {
			t.Errorf("version %d is read", version)
		}
	}
	full := errors.New("full")
	if err := Write(writer(func([]byte) (int, error) { return 0, full }), hub.ImageOf(old)); !errors.Is(err, full) {
		t.Errorf("a write that fails: %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// FuzzRead: whatever is read, there is a hub or an error.
func FuzzRead(f *testing.F) {
	file, err := os.ReadFile(golden(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(append(file, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := hub.New(options())
		x, err := Read(bytes.NewReader(b), Version, h, nil)
		if err != nil {
			return
		}
		x.Adopted()
		var out bytes.Buffer
		if err := Write(&out, hub.ImageOf(h)); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(&out, Version, hub.New(options()), nil); err != nil {
			t.Errorf("what was read and written is not read: %v", err)
		}
	})
}
