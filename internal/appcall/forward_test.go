package appcall

import (
	"fmt"
	"io"
	"net/http"
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
		Target: Target{[]Endpoint{{"tcp", app.Addr}}, "app.test", "/push/message?v=1"}, Key: "0123456789abcdef",
		Timeout: wiretest.Timeout, MaxConns: 2, MaxReply: 1000,
	})
	defer m.Close()
	client := auth.Request{Host: "shop.test", Cookie: "a=1; b=2", ClientAddr: "10.1.2.3", Proto: "https"}
	for _, tt := range []struct {
		said ClientMessage
		body string
	}{
		{ClientMessage{"c1", "anna", []byte(`{"a":"<&>"}`), true}, `{"connection":"c1","user":"anna","data":{"a":"<&>"}}`},
		{ClientMessage{"c2", "", []byte("ä <&> \"\n"), false}, `{"connection":"c2","data":"ä <&> \"\n"}`},
		{ClientMessage{"c3", "", []byte("\xff\x00"), false}, `{"connection":"c3","data":"/wA=","encoding":"base64"}`},
		{ClientMessage{"c4", "", nil, false}, `{"connection":"c4","data":""}`},
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
	for _, tt := range []struct {
		kind, body string
		status     int
		want       Reply
		fails      bool
	}{
		{"application/json; charset=utf-8", `{"a":1}`, 200, Reply{200, []byte(`{"a":1}`), true}, false},
		{"text/plain", `{"a":1}`, 201, Reply{201, []byte(`{"a":1}`), false}, false},
		{"application/json", "", 204, Reply{204, nil, false}, false},
		{"text/html", "no", 403, Reply{403, []byte("no"), false}, false},
		{"application/json", "{", 200, Reply{}, true},
		{"text/plain", strings.Repeat("x", 1001), 200, Reply{}, true},
	} {
		answer := fmt.Sprintf("HTTP/1.1 %d OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", tt.status, tt.kind, len(tt.body), tt.body)
		if tt.status == 204 {
			answer = "HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\n\r\n"
		}
		answers <- answer
		got, err := m.Post(client, ClientMessage{Data: []byte("x")})
		<-gotc
		if got.Status != tt.want.Status || string(got.Data) != string(tt.want.Data) || got.JSON != tt.want.JSON || (err != nil) != tt.fails {
			t.Errorf("%d %s %.20q: %+v %v; want %+v", tt.status, tt.kind, tt.body, got, err, tt.want)
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
	m := NewMessageForwarder(MessageForwarderOptions{Target: Target{Endpoints: []Endpoint{{"tcp", app.Addr}}, Path: "/m"}, Timeout: wiretest.Timeout, MaxConns: 2, MaxReply: 1000})
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
