package http1

import "testing"

func TestPreferredWait(t *testing.T) {
	for prefer, want := range map[string]string{
		"wait=10": "10", `respond-async, WAIT="5"; x`: "5", "wait=1, wait=2": "1", "waiting=3": "", "": "", "wait": "",
	} {
		if got := PreferredWait(prefer); got != want {
			t.Errorf("Prefer: %s: %q, want %q", prefer, got, want)
		}
	}
}
