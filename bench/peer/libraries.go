package peer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"

	"holdfast/bench/load"
)

func centrifuge() *Peer {
	connect := func(channel string) []byte {
		name, _ := url.QueryUnescape(channel)
		return fmt.Appendf(nil, `{"id":1,"connect":{"data":{"channel":%q}}}`, name)
	}
	return &Peer{
		Name:  "centrifuge",
		Kinds: []string{WebSocket, SSE},
		start: func(s *Server, o Options, _ netip.AddrPort) error {
			s.stats = "http://" + s.Addr.String() + "/goroutines"
			return s.runOwn(o, "centrifuge", s.Addr.String())
		},
		hold: func(kind, channel string) (string, []byte) {
			if kind == SSE {
				return "/sse?cf_connect=" + url.QueryEscape(string(connect(channel))), nil
			}
			return "/ws", load.TextFrame(connect(channel))
		},
		publish: func(channel string, data []byte) (string, []byte) {
			return "POST /publish?channel=" + channel + " HTTP/1.1\r\n", data
		},
		version: func(o Options) string {
			return moduleVersion(filepath.Join(o.Bins, "centrifuge"), "github.com/centrifugal/centrifuge")
		},
	}
}

// mercureKey signs the token of the publisher; it guards a server on loopback that lives for seconds.
const mercureKey = "a key for the benchmark, of at least 32 bytes"

func mercure() *Peer {
	token := sign(`{"mercure":{"publish":["*"]}}`)
	return &Peer{
		Name:  "mercure",
		Kinds: []string{SSE},
		start: func(s *Server, o Options, _ netip.AddrPort) error {
			s.stats = "http://" + s.Addr.String() + "/goroutines"
			return s.runOwn(o, "mercure", s.Addr.String(), mercureKey)
		},
		hold: func(kind, channel string) (string, []byte) { return "/.well-known/mercure?topic=" + channel, nil },
		publish: func(channel string, data []byte) (string, []byte) {
			return "POST /.well-known/mercure HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nAuthorization: Bearer " + token + "\r\n",
				[]byte("topic=" + channel + "&data=" + url.QueryEscape(string(data)))
		},
		version: func(o Options) string {
			return moduleVersion(filepath.Join(o.Bins, "mercure"), "github.com/dunglas/mercure")
		},
	}
}

// bare is the floor: one loop of write(2), see cmd/bare.
func bare() *Peer {
	return &Peer{
		Name:  "bare write(2)",
		Kinds: []string{WebSocket, SSE},
		start: func(s *Server, o Options, _ netip.AddrPort) error {
			return s.runOwn(o, "bare", s.Addr.String())
		},
		hold: func(kind, channel string) (string, []byte) { return "/hold", nil },
		publish: func(channel string, data []byte) (string, []byte) {
			return "POST /publish HTTP/1.1\r\n", data
		},
		version: func(Options) string { return "" },
	}
}

// sign makes a JSON Web Token (RFC 7519) under HS256.
func sign(claims string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, []byte(mercureKey))
	mac.Write([]byte(text))
	return text + "." + b64(mac.Sum(nil))
}

// moduleVersion is the version of a module in a binary.
func moduleVersion(binary, module string) string {
	out, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) >= 3 && fields[1] == module {
			return fields[2]
		}
	}
	return "unknown"
}
