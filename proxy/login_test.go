package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"holdfast/internal/wiretest"
)

// registrar writes down what it is told of sessions.
type registrar struct {
	mu   sync.Mutex
	told []string
}

func (r *registrar) Credentials(cookies [][]byte, target []byte) []uint64 {
	if _, v, ok := bytes.Cut(bytes.Join(cookies, []byte("; ")), []byte("SID=")); ok && len(v) > 0 {
		return []uint64{uint64(v[0])}
	}
	return nil
}

func (r *registrar) OnResponse(credentials []uint64, path []byte, cookies [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf("%c %s %s", rune(credentials[0]), path, bytes.Join(cookies, []byte("|"))))
}

// TestSessionNotifications: of answers to requests with a session, with what they set, before the client has them.
func TestSessionNotifications(t *testing.T) {
	r := new(registrar)
	u := wiretest.NewUpstream(t, wiretest.Answer(tell))
	addr, _ := start(t, u.Addr, func(o *Options) { o.Sessions = r })
	c := wiretest.Dial(t, addr)
	for _, tt := range []struct {
		sent []string
		want string
	}{
		{[]string{"GET /a?b HTTP/1.1", "Host: x", "Cookie: y=z; SID=1"}, "1 /a "},
		{[]string{"GET /b HTTP/1.1", "Host: x", "Cookie: y=z", "Cookie: SID=2", "X-Say: set-cookie: SID=; Max-Age=0|Set-Cookie: a=b"}, "2 /b SID=; Max-Age=0|a=b"},
		{[]string{"GET /c HTTP/1.1", "Host: x", "Cookie: y=z"}, ""},
		{[]string{"GET /d HTTP/1.1", "Host: x"}, ""},
	} {
		r.mu.Lock()
		r.told = nil
		r.mu.Unlock()
		c.Send(lines(tt.sent...))
		c.Response(http.MethodGet)
		r.mu.Lock()
		if got := fmt.Sprint(r.told); got != fmt.Sprint([]string{tt.want}) && (tt.want != "" || len(r.told) > 0) {
			t.Errorf("%q: told %q; want %q", tt.sent, r.told, tt.want)
		}
		r.mu.Unlock()
	}
}
