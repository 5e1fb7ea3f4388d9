package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"holdfast/internal/inspect"
)

// apiTimeout limits a request to the API, which is near.
const apiTimeout = 5 * time.Second

// api is Holdfast's HTTP API.
type api struct {
	base   string // without a slash at the end
	shown  string // as given
	token  string
	client http.Client
}

// newAPI returns the API at a URL, or unix:/path.
func newAPI(where, token string) *api {
	a := &api{base: strings.TrimSuffix(where, "/"), shown: where, token: token, client: http.Client{Timeout: apiTimeout, CheckRedirect: noRedirect}}
	if u, err := url.Parse(where); err == nil && u.User != nil {
		a.shown = u.Redacted()
	}
	if path, ok := strings.CutPrefix(where, "unix:"); ok {
		a.base = "http://localhost"
		a.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	}
	return a
}

// noRedirect has redirects be responses like others: whoever sends one must not get the token, or a cookie, elsewhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// cause returns an error without the URL of its request, which has the secret of a session.
func cause(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// statusError is a response with a status other than 200.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.text) }

// call sends a request, and reads the JSON of the response into v.
func (a *api) call(ctx context.Context, method, path string, body []byte, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return cause(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &statusError{resp.StatusCode, clip(string(bytes.TrimSpace(text)))}
	}
	return json.Unmarshal(text, v)
}

// session is one session of the doctor at an API.
type session struct {
	*api
	Secret    string           `json:"secret"`
	Responses map[int]uint64   `json:"responses"`
	Settings  inspect.Settings `json:"settings"`
}

func (a *api) begin(ctx context.Context) (*session, error) {
	s := &session{api: a}
	if err := a.call(ctx, http.MethodPost, "/doctor", nil, s); err != nil {
		return nil, err
	}
	if s.Secret == "" || len(s.Settings.PushPaths) == 0 {
		return nil, errors.New("the response is not that of Holdfast")
	}
	return s, nil
}

// seen returns how the requests arrived, the last of each name.
func (s *session) seen(ctx context.Context) (map[string]inspect.Request, error) {
	var answer struct {
		Requests []inspect.Request `json:"requests"`
	}
	if err := s.call(ctx, http.MethodGet, "/doctor/"+s.Secret, nil, &answer); err != nil {
		return nil, err
	}
	list := map[string]inspect.Request{}
	for _, r := range answer.Requests {
		list[r.Name] = r
	}
	return list, nil
}

// publish sends data to the session's connections and returns how many those are.
func (s *session) publish(ctx context.Context, data string) (subscribers int, err error) {
	var answer struct {
		Subscribers int `json:"subscribers"`
	}
	err = s.call(ctx, http.MethodPost, "/doctor/"+s.Secret+"/publish", []byte(data), &answer)
	return answer.Subscribers, err
}

// end closes the session's connections. It works also when the context of the examination is over.
func (s *session) end(ctx context.Context) error {
	var answer struct {
		Disconnected int `json:"disconnected"`
	}
	return s.call(context.WithoutCancel(ctx), http.MethodPost, "/doctor/"+s.Secret+"/end", nil, &answer)
}

// clip shortens what others wrote, for one line of a report.
func clip(text string) string {
	const most = 160
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) { // also what a terminal takes for a command, or that turns a line around
			return ' '
		}
		return r
	}, text)
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
