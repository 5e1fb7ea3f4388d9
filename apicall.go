package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"holdfast/internal/config"
)

// apiFlags adds the flags of a command that calls the API, and returns a function that posts to a target there and returns
// the body of a good response.
func apiFlags(f *flag.FlagSet) (post func(target string, body []byte, timeout time.Duration) ([]byte, error)) {
	hooksURL := f.String("hooks", "http://127.0.0.1:9090", "`URL` of the API listener, or unix:/path")
	token := f.String("token", "", "hooks.token of the configuration; default $HOLDFAST_TOKEN")
	return func(target string, body []byte, timeout time.Duration) ([]byte, error) {
		if *token == "" { // not as default of the flag, which -h prints
			*token = os.Getenv("HOLDFAST_TOKEN")
		}
		client := &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { // would get the token elsewhere
			return http.ErrUseLastResponse
		}}
		base := strings.TrimSuffix(*hooksURL, "/")
		if path, ok := strings.CutPrefix(base, "unix:"); ok {
			client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			}}
			base = "http://localhost"
		}
		req, err := http.NewRequest(http.MethodPost, base+target, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if *token != "" {
			req.Header.Set("Authorization", "Bearer "+*token)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(resp.Body, 256<<10))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = &apiError{resp.Status, bytes.TrimSpace(answer)}
		}
		return answer, err
	}
}

// apiError is a response of the API that is not 200.
type apiError struct {
	status string
	body   []byte
}

func (e *apiError) Error() string { return fmt.Sprintf("%s: %s", e.status, e.body) }

// reasonOf returns what the API says in its response, which may have several lines; without that, err.
func reasonOf(err error) error {
	var refused *apiError
	var answer struct{ Error string }
	if errors.As(err, &refused) && json.Unmarshal(refused.body, &answer) == nil && answer.Error != "" {
		return errors.New(answer.Error)
	}
	return err
}

// setAPI sets the flags of apiFlags that the command line does not have, as a configuration says.
func setAPI(f *flag.FlagSet, c *config.Config) error {
	set := map[string]string{"hooks": apiURL(c), "token": c.Hooks.Token}
	if os.Getenv("HOLDFAST_TOKEN") != "" {
		delete(set, "token")
	}
	f.Visit(func(given *flag.Flag) { delete(set, given.Name) })
	for name, value := range set {
		if err := f.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// apiURL returns where the API of a configuration is.
func apiURL(c *config.Config) string {
	if c.Hooks.Listen.Network == "unix" {
		return "unix:" + c.Hooks.Listen.Address
	}
	return "http://" + reachable(c.Hooks.Listen.Address)
}
