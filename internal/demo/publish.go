package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	channel = "public.parcel." + parcelID
	watched = "public.watched." + parcelID // what Holdfast publishes itself, of the app that it polls

	// The API listener is on this machine and answers at once, or it is not there.
	publishTimeout = 2 * time.Second
)

// newClient returns a client for the API listener that leaves nothing behind after a call, and that no
// proxy of the environment and no redirect leads elsewhere.
func newClient() http.Client {
	return http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// publish is all that an app needs to push: one POST. It returns how many subscribers the message is on
// its way to.
func (a *App) publish(s state) (subscribers int, err error) {
	message, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(a.life, publishTimeout)
	defer cancel()
	to := a.options.HooksURL + "/publish?channel=" + url.QueryEscape(channel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(message))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read as far as it matters
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return 0, fmt.Errorf("publish: the response of the API: %w", err)
	}
	if res.StatusCode/100 != 2 {
		return 0, fmt.Errorf("publish: the API responded %s: %s", res.Status, bytes.TrimSpace(body))
	}
	var answer struct {
		Subscribers int `json:"subscribers"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, fmt.Errorf("publish: the response of the API: %w", err)
	}
	return answer.Subscribers, nil
}
