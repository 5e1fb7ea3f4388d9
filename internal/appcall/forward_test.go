package appcall

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/wiretest"
)

// TestMessageForwarder: the app is posted what was said with who says it, and its answer is read as it is meant.
func TestMessageForwarder(t *testing.T) {
	type seen struct {
		r    *http.Request
		body string
	}
	gotc, answers := make(chan seen, 1), make(chan string, 1)
	app := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		gotc <- seen{r: r, body: string(body)}
		return []byte(<-answers)
	}))
	m := NewMessageForwarder(MessageForwarderOptions{
		Target: Target{Endpoints: []Endpoint{{Network: "tcp", Address: app.Addr}}, Host: "app.test", Path: "/push/message?v=1"}, Key: "0123456789abcdef",
		Timeout: wiretest.Timeout, MaxConns: 2, MaxReply: 1000,
	})
	defer m.Close()
	client := auth.Request{Host: "shop.test", Cookie: "a=1; b=2", ClientAddr: "10.1.2.3", Proto: "https"}
	for _, tt := range []struct {
		said ClientMessage
		body string
	}{
		{ClientMessage{Connection: "c1", User: "anna", Data: []byte(`{"a":"<&>"}`), JSON: true}, `{"connection":"c1","user":"anna","data":{"a":"<&>"}}`},
		{ClientMessage{Connection: "c2", Data: []byte("ä <&> \"\n\x00\x1f\\")}, `{"connection":"c2","data":"ä <&> \"\n\u0000\u001f\\"}`},
		{ClientMessage{Connection: "c3", Data: []byte("\xff\x00"), Binary: true}, `{"connection":"c3","data":"/wA=","encoding":"base64"}`},
		{ClientMessage{Connection: "c4"}, `{"connection":"c4","data":""}`},
		{ClientMessage{Connection: "c5", Data: []byte("text"), Binary: true}, `{"connection":"c5","data":"dGV4dA==","encoding":"base64"}`},
		{ClientMessage{Connection: "c6", Binary: true}, `{"connection":"c6","data":"","encoding":"base64"}`},
		{ClientMessage{Connection: "c7", Data: []byte(strings.Repeat("ä\x00", 1<<16))}, `{"connection":"c7","data":"` + strings.Repeat(`ä\u0000`, 1<<16) + `"}`},
		{ClientMessage{Connection: "c8", Data: []byte(strings.Repeat("x", 1<<17)), Binary: true},
			`{"connection":"c8","data":"` + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 1<<17))) + `","encoding":"base64"}`},
	} {
		answers <- "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
		if _, err := m.Post(client, tt.said); err != nil {
			t.Fatal(err)
		}
		got := <-gotc
		r, body := got.r, got.body
		if r.Method != "POST" || r.URL.RequestURI() != "/push/message?v=1" || r.Host != "shop.test" || body != tt.body ||
			r.Header.Get("Cookie") != "a=1; b=2" || r.Header.Get("X-Real-IP") != "10.1.2.3" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("posted %s %s of %s\n%v\n%s\nwant %s", r.Method, r.URL, r.Host, r.Header, body, tt.body)
		}
		var at int64
		if _, err := fmt.Sscanf(r.Header.Get(SignatureField), "t=%d,", &at); err != nil || r.Header.Get(SignatureField) != Sign("0123456789abcdef", time.Unix(at, 0), []byte(tt.body)) {
			t.Errorf("signed %q", r.Header.Get(SignatureField))
		}
	}
}

// TestReply: the bytes of the app's response in, what it is for the client out.
func TestReply(t *testing.T) {
	typed := func(mediaType, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", mediaType, len(body), body)
	}
	long := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		response string
		want     Reply
		err      error
	}{
		{typed("application/json; charset=utf-8", `{"a":1}`), Reply{Status: 200, Data: []byte(`{"a":1}`), JSON: true}, nil},
		{typed("Application/Vnd.App+JSON", " [1]\n"), Reply{Status: 200, Data: []byte("[1]"), JSON: true}, nil},
		{typed("application/json", "\ufeff1"), Reply{Status: 200, Data: []byte("1"), JSON: true}, nil},
		{typed("application/json", "{"), Reply{}, ErrReplyInvalid},
		{typed("application/json", "{}{}"), Reply{}, ErrReplyInvalid},
		{typed("application/json", "\"\xff\""), Reply{}, ErrReplyInvalid},
		{typed("application/json", ""), Reply{Status: 200}, nil},
		{typed("text/plain", `{"a":1}`), Reply{Status: 200, Data: []byte(`{"a":1}`)}, nil},
		{typed("text/html; charset=UTF-8", "ä"), Reply{Status: 200, Data: []byte("ä")}, nil},
		{typed("text/plain; charset=euc-kr", "\xc7\xd1"), Reply{Status: 200, Data: []byte("\xc7\xd1"), Binary: true}, nil},
		{typed("application/octet-stream", "text"), Reply{Status: 200, Data: []byte("text"), Binary: true}, nil},
		{typed("application/octet-stream", ""), Reply{Status: 200, Binary: true}, nil},
		{typed("image/png", "text"), Reply{Status: 200, Data: []byte("text"), Binary: true}, nil},
		{typed("image/svg+xml", "<svg/>"), Reply{Status: 200, Data: []byte("<svg/>")}, nil},
		{typed("application/xml", "<a/>"), Reply{Status: 200, Data: []byte("<a/>")}, nil},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", Reply{Status: 200, Data: []byte("x")}, nil},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff", Reply{Status: 200, Data: []byte("\xff"), Binary: true}, nil},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Reply{Status: 200}, nil},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Reply{Status: 200}, nil},
		{"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", Reply{}, ErrReplyCut},
		{"HTTP/1.1 200 OK\r\n\r\nx", Reply{Status: 200, Data: []byte("x")}, nil},
		{"HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\n\r\n", Reply{Status: 204, None: true}, nil},
		{"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", Reply{Status: 202, None: true}, nil},
		{"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", Reply{Status: 403, Data: []byte("no")}, nil},
		{typed("text/plain", long), Reply{Status: 200, Data: []byte(long)}, nil},
		{typed("text/plain", long+"x"), Reply{}, ErrReplyTooLarge},
		{"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", Reply{}, ErrReplyTooLarge},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + long + "x\r\n0\r\n\r\n", Reply{}, ErrReplyTooLarge},
		{"HTTP/1.1 500 No\r\nContent-Length: 1001\r\n\r\n" + long + "x", Reply{}, ErrReplyTooLarge},
	} {
		u := startUpstream(t, "tcp", func(c net.Conn, n int) bool {
			always(tt.response)(c, n)
			return false
		})
		f := NewMessageForwarder(MessageForwarderOptions{Target: u.target("/m"), Timeout: wiretest.Timeout, MaxConns: 1, MaxReply: 1000})
		got, err := f.Post(auth.Request{}, ClientMessage{})
		if f.Close(); !errors.Is(err, tt.err) || len(got.Data) != len(tt.want.Data) || !reflect.DeepEqual(got, tt.want) && len(got.Data) > 0 {
			t.Errorf("%.80q: %+v, %v; want %+v, %v", tt.response, got, err, tt.want, tt.err)
		}
	}
}

// TestLargeMessage: a message of bytes that need escaping is posted in pieces, also over a connection that the app has
// closed meanwhile.
func TestLargeMessage(t *testing.T) {
	const size = 8 << 20
	received := make(chan int64, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				t.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil || n != r.ContentLength {
				t.Errorf("%d of %d bytes: %v", n, r.ContentLength, err)
			}
			io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			c.Close()
			received <- n
		}
	}()
	f := NewMessageForwarder(MessageForwarderOptions{
		Target: Target{Endpoints: []Endpoint{{Network: "tcp", Address: ln.Addr().String()}}, Path: "/m"}, Key: "k", Timeout: wiretest.Timeout, MaxConns: 1, MaxReply: 1000,
	})
	defer f.Close()
	m := ClientMessage{Connection: "c", Data: make([]byte, size)}
	for range 2 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if r, err := f.Post(auth.Request{}, m); err != nil || !r.None {
			t.Fatalf("%+v, %v", r, err)
		}
		runtime.ReadMemStats(&after)
		if n := <-received; n < 6*size {
			t.Errorf("%d bytes received", n)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > size {
			t.Errorf("%d bytes allocated for a message of %d", n, size)
		}
	}
}

// TestMessageForwarderNeverPostsTwice: the app may have taken what it did not answer.
func TestMessageForwarderNeverPostsTwice(t *testing.T) {
	app := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		r, err := http.ReadRequest(c.Reader)
		if err == nil {
			io.Copy(io.Discard, r.Body)
		}
	})
	m := NewMessageForwarder(MessageForwarderOptions{Target: Target{Endpoints: []Endpoint{{Network: "tcp", Address: app.Addr}}, Path: "/m"}, Timeout: wiretest.Timeout, MaxConns: 2, MaxReply: 1000})
	defer m.Close()
	for i := range 3 {
		if _, err := m.Post(auth.Request{}, ClientMessage{Data: []byte("x")}); err == nil {
			t.Error("no error")
		}
		if n := len(app.Conns()); n != i+1 {
			t.Errorf("%d connections after %d posts", n, i+1)
		}
	}
}
