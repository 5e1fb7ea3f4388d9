package hooks

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/channel"
)

// TestUse: the next request follows new settings, on a connection that was let in by the old ones, too.
func TestUse(t *testing.T) {
	a := start(t, "tcp", Options{Live: Live{Token: "0123456789abcdef", Hosts: []string{"old.test"}}})
	c := a.dial()
	br := bufio.NewReader(c)
	for _, tt := range []struct {
		use         *Live
		host, token string
		channel     string
		status      int
	}{
		{nil, "old.test", "0123456789abcdef", "public.a", 200},
		{&Live{Token: "another-0123456789", Hosts: []string{"new.test"}, Channels: rules()}, "old.test", "another-0123456789", "public.a", 403},
		{nil, "new.test", "0123456789abcdef", "public.a", 401},
		{nil, "new.test", "another-0123456789", "public.a", 200},
		{&Live{Token: "another-0123456789", Hosts: []string{"new.test"}, Channels: channel.Compile(nil)}, "new.test", "another-0123456789", "public.a", 400},
	} {
		if tt.use != nil {
			a.Use(*tt.use)
		}
		head := "Host: " + tt.host + "\r\nAuthorization: Bearer " + tt.token + "\r\n"
		fmt.Fprint(c, "POST /publish?channel="+tt.channel+" HTTP/1.1\r\n"+head+"Content-Length: 1\r\n\r\nx")
		if got := a.read(br, false); got.status != tt.status {
			t.Errorf("%+v: %d %s", tt, got.status, got.body)
		}
	}
}

// TestReload: the caller learns what a reload has changed, or why it has changed nothing.
func TestReload(t *testing.T) {
	failed := error(nil)
	a := start(t, "tcp", Options{Reload: func() (Reloaded, error) { return Reloaded{[]string{"log.level"}}, failed }})
	for _, tt := range []struct {
		failed error
		line   string
		status int
		want   string
	}{
		{nil, "POST /reload", 200, `{"changed":["log.level"]}`},
		{fmt.Errorf("%w: push.path needs a restart", ErrNotReloaded), "POST /reload", 422, "push.path needs a restart"},
		{errors.New("secret thoughts"), "POST /reload", 500, "internal error"},
		{nil, "GET /reload", 405, "POST"},
		{nil, "POST /reload?x=1", 400, "bad query"},
	} {
		failed = tt.failed
		if got := a.raw(request(tt.line, "", "")); got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s, %v: %d %s", tt.line, tt.failed, got.status, got.body)
		}
	}
	if got := start(t, "tcp", Options{}).raw(request("POST /reload", "", "")); got.status != 404 {
		t.Errorf("without a source: %d", got.status)
	}
}
