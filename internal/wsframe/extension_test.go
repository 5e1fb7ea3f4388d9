package wsframe

import "testing"

// TestAcceptDeflate has the offers of RFC 7692 §7.1 and §7.3, and those that have to be declined.
func TestAcceptDeflate(t *testing.T) {
	const yes = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, tt := range []struct{ offer, want string }{
		{"permessage-deflate", yes},
		{"permessage-deflate; client_max_window_bits", yes},
		{"Permessage-Deflate;client_max_window_bits=10", yes},
		{`permessage-deflate; client_max_window_bits="8"`, yes},
		{"permessage-deflate; server_no_context_takeover; client_no_context_takeover", yes},
		{"permessage-deflate; server_max_window_bits=15", yes + "; server_max_window_bits=15"},
		{"permessage-deflate; server_max_window_bits=10, permessage-deflate", yes},
		{"x-other; a=\"b, permessage-deflate\", permessage-deflate", yes},
		{"", ""},
		{"x-other", ""},
		{"permessage-deflate2", ""},
		{"permessage-deflate=1", ""},
		{"permessage-deflate; server_max_window_bits=10", ""},
		{"permessage-deflate; server_max_window_bits", ""},
		{"permessage-deflate; server_max_window_bits=16", ""},
		{"permessage-deflate; client_max_window_bits=7", ""},
		{"permessage-deflate; client_max_window_bits=016", ""},
		{"permessage-deflate; client_max_window_bits; client_max_window_bits", ""},
		{"permessage-deflate; server_no_context_takeover=1", ""},
		{"permessage-deflate; unknown", ""},
		{"permessage-deflate;", yes}, // as httphead reads it
		{`permessage-deflate; client_max_window_bits="8`, ""},
		{`x-other; a="permessage-deflate, permessage-deflate`, ""},
	} {
		got, ok := AcceptDeflate([][]byte{[]byte(tt.offer)})
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: answered %q, %v; want %q", tt.offer, got, ok, tt.want)
		}
	}
	if got, ok := AcceptDeflate([][]byte{[]byte("x-other"), []byte("permessage-deflate")}); !ok || got != yes {
		t.Errorf("in a second field: answered %q, %v", got, ok)
	}
}
