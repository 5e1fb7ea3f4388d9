package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestLargestMessageFits: a push.receive_total of push.max_message, the least that there may be, has room for a message of
// that size, also while it comes in pieces.
func TestLargestMessageFits(t *testing.T) {
	const size = 64 << 10
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ Data string }
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || len(m.Data) != size {
			t.Errorf("the app got %d bytes, %v", len(m.Data), err)
		}
		io.WriteString(w, "ok")
	}))
	t.Cleanup(app.Close)
	s, _, _ := serve(t, "listen: 127.0.0.1:0\nupstream: "+app.URL+"\nhooks: {listen: 127.0.0.1:0}\n"+
		"push: {message_path: /message, max_message: 64KB, receive_total: 64KB}\nchannels: [{match: a, access: public}]\n", io.Discard)

	client := wiretest.Dial(t, s.Addr().String())
	client.Send("GET /_push?channel=a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if resp, err := http.ReadResponse(client.Reader, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", resp, err)
	}
	client.Send("\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + strings.Repeat("x", size-1))
	wiretest.Eventually(t, "all but a byte is there", func() bool { return s.keeper.Stats().Inbound >= size-1 })
	client.Send("x")
	client.Expect("\x81\x02ok")
}
