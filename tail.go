package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fasthttp/websocket"
)

// tail holds channels over a WebSocket and prints each message, a line each in JSON.
func tail(args []string, out, errs io.Writer) error {
	f := newFlags("tail", "URL CHANNEL...", errs)
	cookie := f.String("cookie", "", "Cookie header to send")
	token := f.String("token", "", "`token` that the app has signed; see push.jwt")
	last := f.String("last-id", "", "resume after this message `id`")
	count := f.Int("n", 0, "end after so many messages; 0: never")
	if err := parseFlags(f, args); err != nil {
		return err
	}
	if f.NArg() < 2 {
		f.Usage()
		return errUsage
	}
	u, err := url.Parse(f.Arg(0))
	if err != nil || u.Host == "" {
		return fmt.Errorf("tail: %q is not a URL such as http://127.0.0.1:8080", f.Arg(0))
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return fmt.Errorf("tail: scheme %q is not http, https, ws or wss", u.Scheme)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/_push"
	}
	query := url.Values{"channel": f.Args()[1:]}
	if *last != "" {
		query.Set("last_id", *last)
	}
	u.RawQuery = query.Encode()
	header := http.Header{}
	if *cookie != "" {
		header.Set("Cookie", *cookie)
	}
	if *token != "" {
		header.Set("Authorization", "Bearer "+*token)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"holdfast.v1"}, HandshakeTimeout: 10 * time.Second}
	conn, resp, err := dialer.Dial(u.String(), header)
	if err != nil {
		if resp != nil {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
			return fmt.Errorf("tail: %s: %s", resp.Status, strings.TrimSpace(string(body)))
		}
		return fmt.Errorf("tail: %w", err)
	}
	defer conn.Close()
	for seen := 0; *count == 0 || seen < *count; {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return fmt.Errorf("tail: %w", err)
		}
		var frame struct{ Type string }
		if err := json.Unmarshal(data, &frame); err != nil {
			return fmt.Errorf("tail: a frame that is not JSON: %w", err)
		}
		switch frame.Type {
		case "message":
			seen++
			fmt.Fprintf(out, "%s\n", data)
		case "gap", "error":
			fmt.Fprintf(errs, "%s\n", data)
		}
	}
	return nil
}
