package tlsrecord

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// move returns a session that continues with the state of s, which is erased.
func move(t testing.TB, s *Session) *Session {
	t.Helper()
	x, ok := s.State()
	if !ok {
		t.Fatal("the session has no state")
	}
	s.Wipe()
	other := new(Session)
	if err := other.Restore(x); err != nil {
		t.Fatal(err)
	}
	x.Wipe()
	if len(bytes.Trim(append(x.In.Secret, x.Out.Secret...), "\x00")) > 0 {
		t.Error("Wipe has left a secret")
	}
	return other
}

// TestMove moves either end after each step of a conversation: data both ways, updates of keys, one of them due, and a
// handshake message in parts.
func TestMove(t *testing.T) {
	eachSuite(t, func(t *testing.T, id uint16) {
		client, server := pair(t, id)
		say := func(from, to *Session, text string) {
			t.Helper()
			b, _ := from.Seal(nil, []byte(text), nil)
			if got, err := openAll(to, b); err != nil || string(got) != text {
				t.Fatalf("%q %v, want %q", got, err, text)
			}
		}
		for range 3 {
			say(client, server, "one")
			server = move(t, server)
			say(server, client, "two")
			client = move(t, client)
			if _, err := openAll(server, sealed(client, typeHandshake, "\x18\x00\x00\x01\x01")); err != nil { // KeyUpdate, requested
				t.Fatal(err)
			}
			client.out.next(client.outMore())
			client.work.out = nil
			server = move(t, server)
			say(server, client, "three")                                                                   // with the KeyUpdate that is due
			if _, err := openAll(client, sealed(server, typeHandshake, "\x04\x00\x00\x02a")); err != nil { // a part of a ticket
				t.Fatal(err)
			}
			client = move(t, client)
			if _, err := openAll(client, sealed(server, typeHandshake, "b")); err != nil {
				t.Fatal(err)
			}
			say(server, client, "four")
		}
	})
}

func TestUselessRecordsAreCountedOn(t *testing.T) {
	client, server := pair(t, 0x1301)
	for i := range maxUseless + 1 {
		_, err := openAll(server, sealed(client, typeData, ""))
		if i == maxUseless {
			if err == nil {
				t.Error("a move has reset the count")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		server = move(t, server)
	}
}

func TestEndedSessionHasNoState(t *testing.T) {
	client, server := pair(t, 0x1301)
	b := client.SealAlert(nil, CloseNotify)
	if _, ok := client.State(); ok {
		t.Error("a session that has sent close_notify has a state")
	}
	openAll(server, b)
	if _, ok := server.State(); ok {
		t.Error("a session that has received close_notify has a state")
	}
}

func TestRestoreRefuses(t *testing.T) {
	for name, change := range map[string]func(*State){
		"another suite":         func(x *State) { x.Suite = 0xc02f },
		"a short secret":        func(x *State) { x.In.Secret = x.In.Secret[1:] },
		"a long secret":         func(x *State) { x.Out.Secret = append(x.Out.Secret, 1) },
		"too many records":      func(x *State) { x.Out.Sequence = maxSequence + 1 },
		"too many useless ones": func(x *State) { x.Useless = maxUseless + 1 },
		"a long message":        func(x *State) { x.Partial = make([]byte, maxHandshake+1) },
	} {
		_, server := pair(t, 0x1301)
		x, _ := server.State()
		change(x)
		if err := new(Session).Restore(x); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}

func TestStateHidesItsSecrets(t *testing.T) {
	_, server := pair(t, 0x1302)
	x, _ := server.State()
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{x, *x, x.In} {
			if text := fmt.Sprintf(format, v); !strings.HasPrefix(text, "tlsrecord.") || len(text) > 30 {
				t.Errorf("%s of a state: %s", format, text)
			}
		}
	}
}
