package cookie

import "testing"

// TestKeyMoves checks that a hash is that of another process with the same key, and of no process with another.
func TestKeyMoves(t *testing.T) {
	was := PresentKey()
	defer SetKey(was)
	hash := func() uint64 { return Credential("s", []byte("S"), []byte("1")) }
	before := hash()
	SetKey(Key{1})
	other := hash()
	SetKey(was)
	if again := hash(); again != before || other == before || before == 0 {
		t.Errorf("%x, with another key %x, then %x", before, other, again)
	}
}

// TestCredentialDoesNotAllocate: each request to the app may need one.
func TestCredentialDoesNotAllocate(t *testing.T) {
	name, value := []byte("JSESSIONID"), []byte("0123456789ABCDEF0123456789ABCDEF")
	if n := testing.AllocsPerRun(100, func() { Credential("JSESSIONID", name, value) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
