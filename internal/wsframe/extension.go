package wsframe

import (
	"bytes"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// AcceptDeflate returns the response to the first offer of permessage-deflate in the fields Sec-WebSocket-Extensions
// that can be kept (RFC 7692 §7.1), and false if there is none. Neither side keeps its context from one message to the
// next: a message is compressed once for all subscribers, and a connection stores nothing.
func AcceptDeflate(fields [][]byte) (response string, ok bool) {
	for _, field := range fields {
		offers, wellFormed := httphead.ParseOptions(bytes.ToLower(field), nil)
		if !wellFormed {
			continue
		}
		for _, offer := range offers {
			if response, ok = acceptOffer(offer); ok {
				return response, true
			}
		}
	}
	return "", false
}

const maxWindowBits = 15

// acceptOffer responds to one offer. All subscribers share a compressed message, so an offer that wants a smaller
// window than the largest is declined.
func acceptOffer(offer httphead.Option) (response string, ok bool) {
	var p wsflate.Parameters
	if string(offer.Name) != wsflate.ExtensionName || hasRepeated(&offer.Parameters) || p.Parse(offer) != nil {
		return "", false
	}
	response = wsflate.ExtensionName + "; server_no_context_takeover; client_no_context_takeover"
	switch p.ServerMaxWindowBits {
	case 0:
		return response, true
	case maxWindowBits:
		return response + "; server_max_window_bits=15", true
	}
	return "", false
}

// hasRepeated reports whether a parameter comes twice, which wsflate accepts of one without a value.
func hasRepeated(p *httphead.Parameters) (repeated bool) {
	var names [][]byte
	p.ForEach(func(name, _ []byte) bool {
		for _, n := range names {
			repeated = repeated || bytes.Equal(n, name)
		}
		names = append(names, name)
		return true
	})
	return repeated
}
