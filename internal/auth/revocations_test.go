package auth

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRevocationConcerns: all that a revocation names must be the subject's.
func TestRevocationConcerns(t *testing.T) {
	anna := &Subject{Credentials: []uint64{5, 6}, User: "anna", Channels: []string{"user.x", "user.logs.**"}, Connection: "c-1"}
	nobody := &Subject{Channels: []string{"user.x"}}
	for _, tt := range []struct {
		name         string
		v            Revocation
		anna, nobody bool
	}{
		{"session", Revocation{Credential: 6}, true, false},
		{"another session", Revocation{Credential: 7}, false, false},
		{"user", Revocation{User: "anna"}, true, false},
		{"another user", Revocation{User: "bert"}, false, false},
		{"channel", Revocation{Channel: "user.x"}, true, true},
		{"another channel", Revocation{Channel: "user.y"}, false, false},
		{"part of a pattern", Revocation{Channel: "user.logs.a"}, true, false},
		{"the pattern itself", Revocation{Channel: "user.logs.**"}, true, false},
		{"a wider pattern", Revocation{Channel: "user.**"}, true, true},
		{"user and channel", Revocation{User: "anna", Channel: "user.x"}, true, false},
		{"user and another channel", Revocation{User: "anna", Channel: "user.y"}, false, false},
		{"another user and the channel", Revocation{User: "bert", Channel: "user.x"}, false, false},
		{"connection", Revocation{Connection: "c-1", Channel: "user.x"}, true, false},
		{"another connection", Revocation{Connection: "c-2", Channel: "user.x"}, false, false},
		{"nothing", Revocation{}, false, false},
	} {
		l := new(Revocations)
		seq := l.Seq()
		if l.Add(tt.v); l.ChangedSince(seq, anna) != tt.anna || l.ChangedSince(seq, nobody) != tt.nobody {
			t.Errorf("%s: anna %v, nobody %v", tt.name, l.ChangedSince(seq, anna), l.ChangedSince(seq, nobody))
		}
		if l.ChangedSince(l.Seq(), anna) || l.ChangedSince(l.Seq(), nobody) {
			t.Errorf("%s: concerns what was allowed after it", tt.name)
		}
	}
}

// TestRevocationsForgotten: of what is too old or too much to be kept anything may have been so.
func TestRevocationsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, anna, bert := new(Revocations), &Subject{User: "anna"}, &Subject{User: "bert"}
		seq := l.Seq()
		l.Add(Revocation{User: "anna"})
		for range maxRevocations - 1 {
			l.Add(Revocation{User: "eve"})
		}
		if !l.ChangedSince(seq, anna) || l.ChangedSince(seq, bert) {
			t.Error("not known any more while there is room")
		}
		l.Add(Revocation{User: "eve"})
		if !l.ChangedSince(seq, bert) || l.ChangedSince(seq+1, bert) || len(l.list) != maxRevocations {
			t.Errorf("%d are kept", len(l.list))
		}
		seq = l.Seq()
		time.Sleep(revocationsKept + 1)
		l.Add(Revocation{User: "anna"})
		if len(l.list) != 1 || !l.ChangedSince(seq, anna) || l.ChangedSince(seq, bert) || !l.ChangedSince(seq-1, bert) {
			t.Errorf("%d are kept after their time", len(l.list))
		}
	})
}
