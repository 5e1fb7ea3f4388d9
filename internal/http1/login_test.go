package http1

import "testing"

func TestLogsInConnection(t *testing.T) {
	for value, want := range map[string]bool{
		"NTLM": true, "ntlm TlRMTVNTUAAB": true, "Negotiate": true, "NEGOTIATE\tYII": true, "Basic realm=\"a, b\", NTLM": true,
		"Kerberos x": true, "Nego2 x": true, "Basic bmVnb3RpYXRl": false, "Bearer negotiate": false, "NTLMx": false, "": false,
	} {
		if got := LogsInConnection([]byte(value)); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
