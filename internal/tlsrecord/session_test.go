package tlsrecord

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"
)

// pair returns both ends of a connection.
func pair(t testing.TB, id uint16) (client, server *Session) {
	x := Secrets{Suite: id}
	for i := range suites {
		if suites[i].id == id {
			x.Client = bytes.Repeat([]byte{1}, suites[i].secret)
			x.Server = bytes.Repeat([]byte{2}, suites[i].secret)
		}
	}
	client, server = new(Session), new(Session)
	if err := client.Init(&x, true); err != nil {
		t.Fatal(err)
	}
	if err := server.Init(&x, false); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// openAll opens the records in b and returns their data.
func openAll(s *Session, b []byte) (data []byte, err error) {
	for len(b) > 0 {
		n, err := RecordLen(b)
		if err != nil {
			return data, err
		}
		d, err := s.Open(nil, b[:n])
		if err != nil {
			return data, err
		}
		data, b = append(data, d...), b[n:]
	}
	return data, nil
}

// eachSuite runs f for every suite.
func eachSuite(t *testing.T, f func(t *testing.T, id uint16)) {
	for _, s := range suites {
		t.Run(fmt.Sprintf("%#x", s.id), func(t *testing.T) { f(t, s.id) })
	}
}

// TestRoundTrip: data of every size arrives both ways, however it is divided, and through rests.
func TestRoundTrip(t *testing.T) {
	eachSuite(t, func(t *testing.T, id uint16) {
		a, b := pair(t, id)
		text := make([]byte, MaxData)
		for i := range text {
			text[i] = byte(i)
		}
		space := make([]byte, 0, MaxSealed)
		room := make([]byte, MaxData+1)
		for _, size := range []int{1, 2, 15, 16, 17, 100, 4096, MaxData - 1, MaxData} {
			for _, cut := range []int{0, 1, size / 2, size} {
				record, n := a.Seal(space, text[:cut], text[cut:size])
				if n != size || len(record) != size+Overhead {
					t.Fatalf("%d of %d bytes in a record of %d", n, size, len(record))
				}
				dst := room[:0]
				if cut == 1 { // in place
					dst = nil
				}
				got, err := b.Open(dst, record)
				if err != nil || !bytes.Equal(got, text[:size]) {
					t.Fatalf("%d bytes: %d arrive, error %v", size, len(got), err)
				}
				b.Rest()
				a, b = b, a
			}
		}
		padded := sealed(a, 0, "data\x17\x00\x00")
		if got, err := openAll(b, padded); string(got) != "data" || err != nil {
			t.Errorf("with padding: %q, %v", got, err)
		}
		record, n := a.Seal(space, text, text)
		if got, err := openAll(b, record); n != MaxData || err != nil || len(got) != MaxData {
			t.Errorf("of too much data, %d were taken and %d arrive: %v", n, len(got), err)
		}
	})
}

// TestKeys compares with RFC 8448 §3: the keys of a handshake, and the first record of its client.
func TestKeys(t *testing.T) {
	decode := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	x := Secrets{Suite: 0x1301,
		Client: decode("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"),
		Server: decode("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"),
	}
	var s Session
	if err := s.Init(&x, false); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		got, want []byte
	}{
		{"client's key", s.in.key[:16], decode("17422dda596ed5d9acd890e3c63f5051")},
		{"client's iv", s.in.iv[:], decode("5b78923dee08579033e523d9")},
		{"server's key", s.out.key[:16], decode("9f02283b6c9c07efc26bb9f2ac92e356")},
		{"server's iv", s.out.iv[:], decode("cf782b88dd83549aadf1e984")},
	} {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s is %x, want %x", tt.name, tt.got, tt.want)
		}
	}
	record := decode("17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab 3f" +
		"2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d ea e6 3a ee bb 21 69 49 15 e4")
	got, err := s.Open(nil, record)
	if err != nil || len(got) != 50 || got[0] != 0 || got[49] != 49 {
		t.Errorf("the client's data is %x, error %v", got, err)
	}
}

// sealed makes a record of any type and content.
func sealed(s *Session, kind byte, content string) []byte {
	return s.seal(nil, kind, []byte(content), nil)
}

// TestFaults: each violation of the protocol ends the session with its alert, and nothing of it is data.
func TestFaults(t *testing.T) {
	update := string([]byte{keyUpdate, 0, 0, 1, 0})
	ticket := string([]byte{newSessionTicket, 0, 0, 1, 0})
	repeat := func(n int, record func(c *Session) []byte) func(c *Session) []byte {
		return func(c *Session) (b []byte) {
			for range n {
				b = append(b, record(c)...)
			}
			return b
		}
	}
	for _, tt := range []struct {
		name string
		send func(c *Session) []byte
		want Alert
	}{
		{"plain alert", func(c *Session) []byte { return []byte{typeAlert, 3, 3, 0, 2, 2, 40} }, UnexpectedMessage},
		{"plain data", func(c *Session) []byte { return append([]byte("GET / HTTP/1.1\r\n"), make([]byte, MaxRecord)...) }, UnexpectedMessage},
		{"change_cipher_spec", func(c *Session) []byte { return []byte{20, 3, 3, 0, 1, 1} }, UnexpectedMessage},
		{"too long", func(c *Session) []byte { return append([]byte{typeData, 3, 3, 0x41, 1}, make([]byte, 0x4101)...) }, RecordOverflow},
		{"too much data", func(c *Session) []byte { return sealed(c, typeData, strings.Repeat("x", MaxData+1)) }, RecordOverflow},
		{"too short", func(c *Session) []byte { return append([]byte{typeData, 3, 3, 0, 16}, make([]byte, 16)...) }, BadRecordMAC},
		{"empty", func(c *Session) []byte { return []byte{typeData, 3, 3, 0, 0} }, BadRecordMAC},
		{"no type", func(c *Session) []byte { return sealed(c, 0, "\x00\x00") }, UnexpectedMessage},
		{"unknown type", func(c *Session) []byte { return sealed(c, 99, "x") }, UnexpectedMessage},
		{"change_cipher_spec inside", func(c *Session) []byte { return sealed(c, 20, "\x01") }, UnexpectedMessage},
		{"sent twice", func(c *Session) []byte { b := sealed(c, typeData, "x"); return append(b, b...) }, BadRecordMAC},
		{"one lost", func(c *Session) []byte { sealed(c, typeData, "x"); return sealed(c, typeData, "y") }, BadRecordMAC},
		{"flood of empty data", repeat(maxUseless+1, func(c *Session) []byte { return sealed(c, typeData, "") }), UnexpectedMessage},
		{"flood of padding", repeat(maxUseless+1, func(c *Session) []byte { return sealed(c, 0, "\x17\x00\x00") }), UnexpectedMessage},
		{"flood of user_canceled", repeat(maxUseless+1, func(c *Session) []byte { return sealed(c, typeAlert, "\x01\x5a") }), UnexpectedMessage},
		{"flood of KeyUpdate", repeat(maxUseless+1, func(c *Session) []byte {
			b := sealed(c, typeHandshake, update)
			c.out.next(c.outMore())
			c.work.out = nil
			return b
		}), UnexpectedMessage},
		{"old key after KeyUpdate", func(c *Session) []byte { return append(sealed(c, typeHandshake, update), sealed(c, typeData, "x")...) }, BadRecordMAC},
		{"KeyUpdate of another length", func(c *Session) []byte { return sealed(c, typeHandshake, "\x18\x00\x00\x02\x00\x00") }, DecodeError},
		{"KeyUpdate with another request", func(c *Session) []byte { return sealed(c, typeHandshake, "\x18\x00\x00\x01\x02") }, IllegalParameter},
		{"message behind KeyUpdate", func(c *Session) []byte { return sealed(c, typeHandshake, update+update) }, UnexpectedMessage},
		{"KeyUpdate interrupted by data", func(c *Session) []byte {
			return append(sealed(c, typeHandshake, update[:3]), sealed(c, typeData, "x")...)
		}, UnexpectedMessage},
		{"empty handshake message", func(c *Session) []byte { return sealed(c, typeHandshake, "") }, UnexpectedMessage},
		{"ClientHello again", func(c *Session) []byte { return sealed(c, typeHandshake, "\x01\x00\x00\x01\x00") }, UnexpectedMessage},
		{"ticket from a client", func(c *Session) []byte { return sealed(c, typeHandshake, ticket) }, UnexpectedMessage},
		{"long handshake message", func(c *Session) []byte { return sealed(c, typeHandshake, "\x18\xff\xff\xff") }, DecodeError},
		{"alert of another length", func(c *Session) []byte { return sealed(c, typeAlert, "\x02") }, DecodeError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachSuite(t, func(t *testing.T, id uint16) {
				client, server := pair(t, id)
				data, err := openAll(server, tt.send(client))
				var fault *Fault
				if !errors.As(err, &fault) || fault.Alert != tt.want {
					t.Errorf("error %v, want alert %v", err, tt.want)
				}
				if len(data) > 1 || string(data) == "y" {
					t.Errorf("data %q", data)
				}
			})
		})
	}
}

// TestBitFlips: no record with one wrong bit is taken.
func TestBitFlips(t *testing.T) {
	eachSuite(t, func(t *testing.T, id uint16) {
		client, _ := pair(t, id)
		whole := sealed(client, typeData, "nobody may change this")
		for i := range whole {
			for bit := range 8 {
				_, server := pair(t, id)
				b := bytes.Clone(whole)
				b[i] ^= 1 << bit
				b = append(b, make([]byte, MaxRecord)...) // what follows, if the length has become longer
				n, err := RecordLen(b)
				if err == nil {
					_, err = server.Open(nil, b[:n])
				}
				var fault *Fault
				if !errors.As(err, &fault) {
					t.Fatalf("byte %d, bit %d: error %v", i, bit, err)
				}
				if i >= HeaderLen && fault.Alert != BadRecordMAC {
					t.Errorf("byte %d, bit %d: %v", i, bit, fault.Alert)
				}
			}
		}
	})
}

// TestAlerts: close_notify is the end of the stream, and stays it; every other alert is an error.
func TestAlerts(t *testing.T) {
	client, server := pair(t, 0x1301)
	b := append(sealed(client, typeData, "last"), client.SealAlert(nil, CloseNotify)...)
	b = append(b, sealed(client, typeData, "after the end")...)
	data, err := openAll(server, b)
	if string(data) != "last" || err != io.EOF || !client.Ended() || server.Ended() {
		t.Errorf("data %q, error %v", data, err)
	}
	if _, err := server.Open(nil, sealed(client, typeData, "more")); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}

	client, server = pair(t, 0x1301)
	if _, err := openAll(server, sealed(client, typeAlert, "\x01\x5a")); err != nil {
		t.Errorf("user_canceled: %v", err)
	}
	var received *Received
	if _, err := openAll(server, client.SealAlert(nil, 48)); !errors.As(err, &received) || received.Alert != 48 || !strings.Contains(err.Error(), "unknown_ca") {
		t.Errorf("unknown_ca: %v", err)
	}
	if (&Received{200}).Error() != "tls: received alert alert_200" {
		t.Error((&Received{200}).Error())
	}
}

// TestKeyUpdate: a peer changes its key, requests it from the other, and does so several times: one answer is enough.
// The message may be divided between records.
func TestKeyUpdate(t *testing.T) {
	eachSuite(t, func(t *testing.T, id uint16) {
		client, server := pair(t, id)
		for cut := 1; cut <= keyUpdateLen; cut++ {
			for request := range byte(3) { // the last two request an answer
				message := string([]byte{keyUpdate, 0, 0, 1, min(request, 1)})
				b := sealed(client, typeHandshake, message[:cut])
				if cut < len(message) {
					b = append(b, sealed(client, typeHandshake, message[cut:])...)
				}
				client.out.next(client.outMore())
				client.work.out = nil
				data, err := openAll(server, append(b, sealed(client, typeData, "new key")...))
				if err != nil || string(data) != "new key" {
					t.Fatalf("cut at %d: %q, %v", cut, data, err)
				}
			}
			before := server.out.secret
			for _, size := range []int{update + Overhead + 1, Overhead + 1} { // with the answer, and without
				record, _ := server.Seal(nil, []byte("x"), nil)
				if len(record) != size {
					t.Fatalf("cut at %d: %d bytes, want %d", cut, len(record), size)
				}
				if data, err := openAll(client, record); err != nil || string(data) != "x" {
					t.Fatalf("cut at %d: %q, %v", cut, data, err)
				}
			}
			if server.out.secret == before {
				t.Error("the answer has not changed the key")
			}
		}
	})
}

// TestLimit: a key is replaced before it has sealed too much, and the peer follows.
func TestLimit(t *testing.T) {
	defer func(n uint64) { maxSealed = n }(maxSealed)
	maxSealed = 3
	client, server := pair(t, 0x1302)
	keys := map[[mostKeys]byte]bool{}
	for i := range 20 {
		b, _ := client.Seal(nil, []byte{byte(i)}, nil)
		keys[client.out.key] = true
		data, err := openAll(server, b)
		if err != nil || len(data) != 1 || data[0] != byte(i) {
			t.Fatalf("record %d: %x, %v", i, data, err)
		}
	}
	if len(keys) != 7 {
		t.Errorf("%d keys for 20 records", len(keys))
	}
}

// TestTickets: a client takes tickets, also in parts, but not without end.
func TestTickets(t *testing.T) {
	client, server := pair(t, 0x1303)
	ticket := "\x04\x00\x00\x64" + strings.Repeat("t", 100)
	var b []byte
	for _, part := range []string{ticket, ticket + ticket[:50], ticket[50:]} {
		b = append(b, sealed(server, typeHandshake, part)...)
	}
	b = append(b, sealed(server, typeData, "data")...)
	if data, err := openAll(client, b); err != nil || string(data) != "data" {
		t.Errorf("%q, %v", data, err)
	}
	client.Rest()
	if client.Working() {
		t.Error("a session after its tickets does not rest")
	}
	var fault *Fault
	if _, err := openAll(client, sealed(server, typeHandshake, "\x04\x02\x00\x00")); !errors.As(err, &fault) {
		t.Errorf("a ticket of 128 kB: %v", err)
	}
}

// TestInit refuses what is not of TLS 1.3.
func TestInit(t *testing.T) {
	var s Session
	if err := s.Init(&Secrets{Suite: 0xc02f}, false); err != ErrSuite {
		t.Error(err)
	}
	if err := s.Init(&Secrets{Suite: 0x1301, Client: make([]byte, 48), Server: make([]byte, 32)}, false); err == nil {
		t.Error("a secret of another length is taken")
	}
}

// TestWrittenIn: of what a handshake has written, the records with the key of the data are found.
func TestWrittenIn(t *testing.T) {
	for want := range uint64(3) {
		client, server := pair(t, 0x1301)
		other, _ := pair(t, 0x1301) // has another key
		b := append([]byte{22, 3, 3, 0, 3, 1, 2, 3}, sealed(other, typeHandshake, "certificate")...)
		for range want {
			b = append(b, sealed(server, typeHandshake, "ticket")...)
		}
		x := Secrets{Suite: 0x1301, Client: client.out.secret[:32], Server: server.out.secret[:32]}
		if n, err := x.WrittenIn(b); n != want || err != nil {
			t.Errorf("%d records, %v; want %d", n, err, want)
		}
		if _, err := x.WrittenIn(b[:len(b)-1]); err == nil {
			t.Error("a part of a record is taken")
		}
	}
}

// TestSecretsAreNotPrinted by any verb.
func TestSecretsAreNotPrinted(t *testing.T) {
	_, s := pair(t, 0x1301)
	x := Secrets{Suite: 0x1301, Client: s.in.secret[:32], Server: s.out.secret[:32]}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{s, x, &x} {
			if text := fmt.Sprintf(verb, v); len(text) > 25 {
				t.Errorf("%s of %T prints %q", verb, v, text)
			}
		}
	}
	s.Wipe()
	if s.in.secret != [mostSecrets]byte{} || s.out.key != [mostKeys]byte{} {
		t.Error("Wipe leaves a secret")
	}
}

// TestSessionIsSmall: one that waits is all that its connection costs beside the slot.
func TestSessionIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 160 {
		t.Errorf("a session has %d bytes; want at most 160", n)
	}
	client, server := pair(t, 0x1301)
	space, room := make([]byte, 0, MaxSealed), make([]byte, 0, MaxData+1)
	text := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() {
		b, _ := client.Seal(space, text, nil)
		if _, err := server.Open(room, b); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations for each record", n)
	}
}

// FuzzOpen: whatever a peer sends, no data arrives that the other has not sealed.
func FuzzOpen(f *testing.F) {
	client, _ := pair(f, 0x1301)
	f.Add(sealed(client, typeData, "data"), uint64(1))
	f.Add(append(sealed(client, typeHandshake, "\x18\x00\x00"), sealed(client, typeHandshake, "\x01\x00")...), uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		client, server := pair(t, 0x1301)
		whole := append(bytes.Clone(b), make([]byte, MaxRecord)...) // no record is incomplete
		if data, err := openAll(server, whole); err == nil || len(data) > 0 && !bytes.HasPrefix(b, sealed(client, typeData, string(data))) {
			t.Errorf("%x gives %x, error %v", b, data, err)
		}

		// Sealed, the same bytes reach what is behind the cipher.
		client, server = pair(t, 0x1301)
		r := rand.New(rand.NewPCG(seed, 0))
		var sent, got []byte
		for rest := b; len(rest) > 0; {
			kind := [...]byte{typeData, typeHandshake, typeAlert, max(rest[0], 1)}[r.IntN(4)] // 0 would be padding
			n := min(1+r.IntN(40), len(rest))
			record := sealed(client, kind, string(rest[:n]))
			if kind == typeData {
				sent = append(sent, rest[:n]...)
			}
			rest = rest[n:]
			data, err := openAll(server, record)
			if got = append(got, data...); err != nil {
				break
			}
			server.Rest()
		}
		if !bytes.HasPrefix(sent, bytes.TrimRight(got, "\x00")) {
			t.Errorf("got %x of %x", got, sent)
		}
	})
}
