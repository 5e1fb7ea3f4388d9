package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/valyala/fasthttp"
)

const (
	maxUser    = 255                       // bytes
	maxExpires = 10 * 365 * 24 * time.Hour // more is as good as never
)

// Verdict is what the app says about a Question.
type Verdict struct {
	Allowed bool
	Status  int // for the client when not Allowed: 401 or 403

	Channels []string      // what the client may hold, a part of what was asked; nil: all of it
	User     string        // who the client is; empty: the app did not say
	Expires  time.Duration // how long this is good; zero: the app did not say
}

// verdictOf reads the app's answer. Whatever is not clearly a yes or a no is an error.
func verdictOf(resp *fasthttp.Response, asked []string, within func(pattern, name string) bool) (Verdict, error) {
	status := resp.StatusCode()
	switch {
	case status == fasthttp.StatusUnauthorized, status == fasthttp.StatusForbidden:
		return Verdict{Status: status}, nil
	case status >= 300 && status < 400:
		return Verdict{Status: fasthttp.StatusUnauthorized}, nil // to the login page
	case status < 200 || status >= 300:
		return Verdict{}, fmt.Errorf("status %d", status)
	}
	kind, _, _ := strings.Cut(string(resp.Header.ContentType()), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if kind != "application/json" || status == fasthttp.StatusNoContent {
		if isPage(kind, resp) {
			return Verdict{}, errPage
		}
		return Verdict{Allowed: true}, nil
	}
	v, err := parseVerdict(resp.Body())
	if err != nil {
		return Verdict{}, err
	}
	if v.Channels == nil {
		return v, nil
	}
	named := v.Channels
	v.Channels = slices.DeleteFunc(slices.Clone(asked), func(channel string) bool {
		return !slices.Contains(named, channel)
	})
	for _, name := range named {
		part := func(pattern string) bool { return within != nil && within(pattern, name) }
		if slices.ContainsFunc(asked, part) && !slices.Contains(v.Channels, name) {
			v.Channels = append(v.Channels, name)
		}
	}
	if len(v.Channels) == 0 {
		return Verdict{Status: fasthttp.StatusForbidden}, nil
	}
	return v, nil
}

var errPage = errors.New("the answer is a page of HTML, such as a form to log in: answer 401 or 403, or a 2xx without a page")

// isPage reports whether an answer is there to be looked at. Containers and frameworks that guard a path answer with
// their form to log in as 200, and PHP answers with its warnings.
func isPage(kind string, resp *fasthttp.Response) bool {
	if kind != "text/html" && kind != "application/xhtml+xml" {
		return false
	}
	body := bytes.TrimLeft(resp.Body(), "\ufeff \t\r\n")
	return len(body) > 0 && (body[0] == '<' || len(resp.Header.ContentEncoding()) > 0)
}

// parseVerdict reads the JSON of a yes. A key it does not know is an error: it may be a "channel" that
// was meant to narrow.
func parseVerdict(body []byte) (Verdict, error) {
	v := Verdict{Allowed: true}
	values, array, err := splitJSON(body)
	if err != nil {
		return v, err
	}
	if array || len(values) != 1 {
		return v, fmt.Errorf("%w: want one object", errJSON)
	}
	err = values[0].members(func(key string, m jsonValue) error {
		var err error
		switch key {
		case "channels":
			if v.Channels, err = m.strings(); err != nil {
				return m.fail(fmt.Errorf("%w: channels: want a list of names", errJSON))
			}
		case "user":
			v.User, err = m.text()
			if err != nil || len(v.User) > maxUser || strings.ContainsFunc(v.User, unicode.IsControl) {
				return m.fail(fmt.Errorf("%w: user: want text of at most %d bytes without control characters", errJSON, maxUser))
			}
		case "expires":
			var seconds float64
			if err := json.Unmarshal(m.raw, &seconds); err != nil || seconds <= 0 {
				return m.fail(fmt.Errorf("%w: expires: want a number of seconds above 0", errJSON))
			}
			v.Expires = maxExpires
			if seconds < maxExpires.Seconds() {
				v.Expires = max(time.Duration(seconds*float64(time.Second)), 1)
			}
		default:
			return m.fail(fmt.Errorf("%w: unknown key %.100q; want channels, user or expires", errJSON, key))
		}
		return nil
	})
	return v, err
}
