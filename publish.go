package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// publish posts one message to the API listener.
func publish(args []string, in io.Reader, out, errs io.Writer) error {
	f := newFlags("publish", "CHANNEL [DATA]", errs)
	hooksURL := f.String("hooks", "http://127.0.0.1:9090", "`URL` of the API listener, or unix:/path")
	token := f.String("token", os.Getenv("HOLDFAST_TOKEN"), "hooks.token of the configuration; default $HOLDFAST_TOKEN")
	event := f.String("event", "", "`name` of the event")
	if err := parseFlags(f, args); err != nil {
		return err
	}
	if f.NArg() < 1 || f.NArg() > 2 {
		f.Usage()
		return errUsage
	}
	data := []byte(f.Arg(1))
	if f.NArg() == 1 {
		var err error
		if data, err = io.ReadAll(in); err != nil {
			return fmt.Errorf("publish: standard input: %w", err)
		}
	}
	client := &http.Client{Timeout: 10 * time.Second}
	base := strings.TrimSuffix(*hooksURL, "/")
	if path, ok := strings.CutPrefix(base, "unix:"); ok {
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
		base = "http://localhost"
	}
	query := url.Values{"channel": {f.Arg(0)}}
	if *event != "" {
		query.Set("event", *event)
	}
	req, err := http.NewRequest(http.MethodPost, base+"/publish?"+query.Encode(), bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if *token != "" {
		req.Header.Set("Authorization", "Bearer "+*token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("publish: %s: %s", resp.Status, bytes.TrimSpace(answer))
	}
	_, err = out.Write(answer)
	return err
}
