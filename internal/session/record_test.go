package session

import (
	"reflect"
	"testing"
	"time"

	"holdfast/internal/auth"
)

// TestSessionMoves restores sessions of each kind, and finds them by user and credential.
func TestSessionMoves(t *testing.T) {
	now := time.Unix(1795000000, 0)
	x := NewIndex[int]()
	none := (*Session[int])(nil)
	if none.Record() != nil {
		t.Error("no session has a record")
	}
	plain := &Session[int]{Conn: 1, Told: true}
	whole := &Session[int]{Conn: 2, Grant: &auth.TokenGrant{User: "ann", ExpiresAt: now, Channels: []string{"a.*"}}, NextHeartbeat: now.Add(3)}
	x.SetUser(whole, "ann")
	x.SetCredentials(whole, []uint64{5, 6})
	whole.SetRequest(&auth.Request{Channels: []string{"a.b"}, Cookie: "s=1", Proto: "https"}, nil, time.Hour, now)
	whole.failing = now.Add(4)
	for _, s := range []*Session[int]{plain, whole} {
		y := NewIndex[int]()
		again := Restore(y, s.Conn, s.Record(), now)
		if !reflect.DeepEqual(again.Record(), s.Record()) || again.Conn != s.Conn || !again.Due().Equal(s.Due()) {
			t.Errorf("%+v; want %+v", again.Record(), s.Record())
		}
		if s == whole && (len(y.OfUser("ann")) != 1 || len(y.OfCredentials([]uint64{6})) != 1 || len(y.OfCredentials([]uint64{5})) != 1) {
			t.Error("it is not found")
		}
	}
	whole.Ask(now)
	again := Restore(NewIndex[int](), 2, whole.Record(), now)
	if !again.CanAsk() || !again.RenewalDue(now) {
		t.Error("a request in progress is not sent again")
	}
}
