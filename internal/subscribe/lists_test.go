package subscribe

import "testing"

func TestPathOf(t *testing.T) {
	list := []string{"/_push", "/shop/_push"}
	for path, want := range map[string]string{
		"/_push": "/_push", "/_push/client.js": "/_push", "/_pushed": "", "/shop/_push/": "/shop/_push", "/shop": "", "": "",
	} {
		if got := PathOf(list, []byte(path)); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestHasExactToken(t *testing.T) {
	for list, want := range map[string]bool{"a, holdfast.v1": true, "Holdfast.v1": false, "holdfast.v10": false, "": false} {
		if got := HasExactToken([]byte(list), "holdfast.v1"); got != want {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
}
