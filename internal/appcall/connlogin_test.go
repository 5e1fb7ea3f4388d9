package appcall

import (
	"testing"
	"time"

	"holdfast/internal/auth"
)

// TestAuthorizeConnectionLogin: a connection on which a client has logged in (NTLM, Negotiate) asks for nobody else.
func TestAuthorizeConnectionLogin(t *testing.T) {
	u := startUpstream(t, "tcp", always("HTTP/1.1 204 No Content\r\n\r\n"))
	a := u.authorizer(t, time.Second)
	for i, authorization := range []string{"NTLM anna", "negotiate anna", "", "Basic dTpw"} {
		if v, err := a.Authorize(auth.Request{Channels: []string{"a"}, Authorization: authorization}); err != nil || !v.Allowed {
			t.Fatalf("%q: %+v, %v", authorization, v, err)
		}
		if _, conns := u.seen(); conns != min(i+1, 3) {
			t.Errorf("%q went over connection %d, want %d", authorization, conns, min(i+1, 3))
		}
	}
}
