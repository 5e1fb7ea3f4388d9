package upgrade_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

const deflateOffer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"

func compressing(o *upgrade.Options) { o.Compress = 100 }

// readAnyFrame reads a frame of a server, whatever its reserved bits.
func readAnyFrame(t *testing.T, c *wiretest.Client) (first byte, payload []byte) {
	t.Helper()
	h, err := c.Reader.Peek(1)
	if err != nil {
		t.Fatal(err)
	}
	first = h[0]
	c.Reader.Discard(1)
	_, payload, err = readFrame(io.MultiReader(bytes.NewReader([]byte{first & 0x8f}), c.Reader))
	if err != nil {
		t.Fatal(err)
	}
	return first, payload
}

func inflated(t *testing.T, p []byte) string {
	t.Helper()
	b, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(p), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	if err != nil {
		t.Fatalf("the frame does not inflate: %v", err)
	}
	return string(b)
}

// deflated is a client's message as permessage-deflate has it.
func deflated(text string) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	w.Write([]byte(text))
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}

func (w *world) holdDeflate(t *testing.T, kind, query string) *wiretest.Client {
	t.Helper()
	c := wiretest.Dial(t, w.addr)
	c.Send(request(kind, "/_push?"+query, deflateOffer))
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("answered %v %v", resp, err)
	}
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate;") {
		t.Fatalf("extensions %q; want permessage-deflate", got)
	}
	if kind == "websocket v1" {
		if first, hello := readAnyFrame(t, c); first != 0x81 || !strings.Contains(string(hello), "hello") {
			t.Fatalf("begins with %x %s", first, hello)
		}
	}
	return c
}

// TestDeflate: what is long enough and gains by it comes compressed, each message by itself, and the rest as it is.
func TestDeflate(t *testing.T) {
	for _, kind := range []string{"websocket", "websocket v1"} {
		t.Run(kind, func(t *testing.T) {
			w := start(t, compressing)
			c := w.holdDeflate(t, kind, "channel=public.a")
			bare := w.hold(t, kind, "channel=public.a")
			w.waitHeld(t, 2)
			long := strings.Repeat("the parcel is on its way; ", 1000)
			noise := make([]byte, 4000)
			for i, x := 0, uint32(1); i < len(noise); i++ {
				x ^= x << 13
				x ^= x >> 17
				x ^= x << 5
				noise[i] = byte(x)
			}
			for _, tt := range []struct {
				data  string
				first byte
			}{{"short", 0x81}, {long, 0xc1}, {long, 0xc1}, {string(noise), 0x82}, {long + "\xff", 0xc2}} {
				w.publish(t, tt.data, "public.a")
				first, payload := readAnyFrame(t, c)
				want := tt.first
				if kind == "websocket v1" {
					want = want&0xf0 | 1 // binary data is base64 in JSON
					if tt.data == string(noise) {
						want = 0xc1 // and that can be compressed
					}
				}
				if first != want {
					t.Fatalf("%.20q: frame begins with %x; want %x", tt.data, first, want)
				}
				text := string(payload)
				if first&0x40 != 0 {
					if text = inflated(t, payload); len(payload) > len(text) {
						t.Errorf("%d bytes for %d", len(payload), len(text))
					}
				}
				if kind == "websocket" && text != tt.data || kind != "websocket" && !strings.Contains(text, `"channel":"public.a"`) {
					t.Errorf("%.20q: told %.100q", tt.data, text)
				}
				if m := bare.recv(); m.Type != "message" {
					t.Errorf("who did not offer it was told %+v", m)
				}
			}
		})
	}
}

// TestDeflateOff: without push.compress_min_size the extension is not spoken.
func TestDeflateOff(t *testing.T) {
	w := start(t)
	c := wiretest.Dial(t, w.addr)
	c.Send(request("websocket", "/_push?channel=public.a", deflateOffer))
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("answered %v %v", resp, err)
	}
	c.Send("\xc1" + frame(true, 1, deflated("x"))[1:])
	if first, payload := readAnyFrame(t, c); first != 0x88 || binary.BigEndian.Uint16(payload) != 1002 {
		t.Errorf("a compressed frame is answered %x %x; want a close with 1002", first, payload)
	}
}

// TestInflate: a client's message may come compressed, in fragments too; what is not as it should be closes.
func TestInflate(t *testing.T) {
	ping := deflated(`{"type":"ping","ref":7}`)
	for _, tt := range []struct {
		name, sent string
		code       uint16 // zero: a pong
	}{
		{"one frame", string([]byte{0xc1}) + frame(true, 1, ping)[1:], 0},
		{"two fragments", string([]byte{0x41}) + frame(false, 1, ping[:5])[1:] + frame(true, 0, ping[5:]), 0},
		{"not compressed", frame(true, 1, []byte(`{"type":"ping","ref":7}`)), 0},
		{"a bit on a continuation", string([]byte{0x41}) + frame(false, 1, ping[:5])[1:] + string([]byte{0xc0}) + frame(true, 0, ping[5:])[1:], 1002},
		{"a bit on a ping", string([]byte{0xc9}) + frame(true, 9, nil)[1:], 1002},
		{"another bit", string([]byte{0xa1}) + frame(true, 1, ping)[1:], 1002},
		{"no deflate", string([]byte{0xc1}) + frame(true, 1, []byte("\x07no such block"))[1:], 1007},
		{"not UTF-8", string([]byte{0xc1}) + frame(true, 1, deflated("\xff\xfe"))[1:], 1007},
		{"a bomb", string([]byte{0xc1}) + frame(true, 1, deflated(strings.Repeat("0", 4<<10+1)))[1:], 1009},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, compressing)
			c := w.holdDeflate(t, "websocket v1", "channel=public.a")
			c.Send(tt.sent)
			first, payload := readAnyFrame(t, c)
			if tt.code == 0 {
				if first != 0x81 || !strings.Contains(string(payload), "pong") {
					t.Errorf("answered %x %q; want a pong", first, payload)
				}
				return
			}
			if first != 0x88 || binary.BigEndian.Uint16(payload) != tt.code {
				t.Errorf("answered %x %q; want a close with %d", first, payload, tt.code)
			}
		})
	}
}

// TestBomb: 64 kB on the wire that would be 64 MB are 1009, on a hundred connections at once, and memory stays.
func TestBomb(t *testing.T) {
	bomb := deflated(strings.Repeat("\x00", 60<<20))
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	for _, kind := range []string{"websocket", "websocket v1"} {
		w := start(t, compressing, func(o *upgrade.Options) { o.MaxMessage = 64 << 10 })
		var list []*wiretest.Client
		for range 100 {
			list = append(list, w.holdDeflate(t, kind, "channel=public.a"))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		sent := string([]byte{0xc2}) + frame(true, 2, bomb)[1:]
		for _, c := range list {
			c.Send(sent)
			if first, payload := readAnyFrame(t, c); first != 0x88 || binary.BigEndian.Uint16(payload) != 1009 {
				t.Fatalf("%s: answered %x %q; want a close with 1009", kind, first, payload)
			}
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 100*2<<20 {
			t.Errorf("%s: %d bytes were allocated for 100 bombs of 60 MB", kind, n)
		}
	}
}

// TestGzip: a long poll's answer in gzip is what it is without.
func TestGzip(t *testing.T) {
	w := start(t, compressing)
	first := w.publish(t, "first", "public.a")
	for _, data := range []string{strings.Repeat("the parcel is on its way; ", 50), "short", strings.Repeat("<&\n", 30_000)} {
		w.publish(t, data, "public.a")
	}
	if _, err := w.hub.Publish([]hub.Draft{{Channels: []string{"public.a"}, Data: bytes.Repeat([]byte{0, 0xff}, 100)}}); err != nil {
		t.Fatal(err)
	}
	ask := func(query string, fields ...string) (*http.Response, []byte) {
		c := wiretest.Dial(t, w.addr)
		c.Send(request("longpoll", "/_push?"+query, fields...))
		resp, body := c.Response(http.MethodGet)
		if resp.StatusCode != 200 || resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Fatalf("answered %d %v", resp.StatusCode, resp.Header)
		}
		return resp, []byte(body)
	}
	target := "channel=public.a&last_id=" + first
	for range 2 { // from what was rendered once
		bare, want := ask(target)
		zip, body := ask(target, "Accept-Encoding: br, gzip;q=0.5")
		if bare.Header.Get("Content-Encoding") != "" || zip.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("encodings %q and %q", bare.Header, zip.Header)
		}
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || !json.Valid(got) {
			t.Fatalf("inflated: %.300q; want %.300q", got, want)
		}
		if len(body) > len(want)/4 {
			t.Errorf("%d bytes in gzip, %d without", len(body), len(want))
		}
	}
	if resp, _ := ask("channel=public.b&wait=0", "Accept-Encoding: gzip"); resp.Header.Get("Content-Encoding") != "" {
		t.Error("an empty answer is compressed")
	}
	if resp, _ := ask(target, "Accept-Encoding: gzip;q=0"); resp.Header.Get("Content-Encoding") != "" {
		t.Error("compressed for who refuses it")
	}
}

// TestCompressedOnce: however many hold a channel, a message is deflated once.
func TestCompressedOnce(t *testing.T) {
	const clients = 160
	w := start(t, compressing)
	for range clients {
		w.holdDeflate(t, "websocket v1", "channel=public.a")
	}
	w.waitHeld(t, clients)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 10 {
		w.publish(t, fmt.Sprint(i, strings.Repeat(" parcel", 10_000)), "public.a")
	}
	wiretest.Eventually(t, "they are delivered", func() bool { return w.hub.Stats().Delivered == 10*clients })
	runtime.ReadMemStats(&after)
	// One rendering is 70 kB of JSON and its compressed form, and perhaps a new deflater of 1 MB; a rendering for
	// each would be more than 112 MB.
	if n := after.TotalAlloc - before.TotalAlloc; n > 10*clients*70_000/2 {
		t.Errorf("%d bytes were allocated for 10 messages to %d clients", n, clients)
	}
}
