package value

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"heartbeat", "path", "max_wait", "wait"}
	for word, want := range map[string]string{
		"heartbaet": "heartbeat", "hartbeat": "heartbeat", "HeartBeat": "heartbeat", "heart_beats": "heartbeat",
		"max-wait": "max_wait", "wiat": "wait", "pth": "path", "heart": "", "p": "", "": "", "timeout": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
