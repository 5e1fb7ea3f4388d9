package appcall

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/strictjson"
)

const (
	maxUser    = 255                       // bytes
	maxExpires = 10 * 365 * 24 * time.Hour // more counts as never
)

// takeFields copies the fields of a response that are for the client.
func takeFields(r *auth.Result, resp *fasthttp.Response, failed bool) {
	status := resp.StatusCode()
	for name, cookie := range resp.Header.All() { // PeekAll joins them
		if string(name) == fasthttp.HeaderSetCookie {
			r.SetCookie = append(r.SetCookie, string(cookie))
		}
	}
	switch {
	case failed && (status == fasthttp.StatusServiceUnavailable || status == fasthttp.StatusTooManyRequests):
		r.RetryAfter = string(resp.Header.Peek(fasthttp.HeaderRetryAfter))
	case status == fasthttp.StatusUnauthorized:
		for _, challenge := range resp.Header.PeekAll(fasthttp.HeaderWWWAuthenticate) {
			r.Challenge = append(r.Challenge, string(challenge))
		}
	}
}

// parseResponse reads the app's response. A response that neither allows nor denies is an error.
func parseResponse(resp *fasthttp.Response, requested []string, within func(pattern, name string) bool) (auth.Result, error) {
	status := resp.StatusCode()
	switch {
	case status == fasthttp.StatusUnauthorized, status == fasthttp.StatusForbidden:
		return auth.Result{Status: status}, nil
	case status >= 300 && status < 400:
		return auth.Result{Status: fasthttp.StatusUnauthorized}, nil // to the login page
	case status < 200 || status >= 300:
		return auth.Result{}, &responseError{hint: fmt.Sprintf("the app answered status %d", status)}
	}
	if len(resp.Body()) == 0 {
		if status != fasthttp.StatusNoContent && endedByClose(resp) {
			return auth.Result{}, errEmptyBody
		}
		return auth.Result{Allowed: true}, nil
	}
	r, err := parseBody(resp)
	if err != nil {
		return auth.Result{}, err
	}
	if r.Channels == nil {
		return r, nil
	}
	named := r.Channels
	r.Channels = slices.DeleteFunc(slices.Clone(requested), func(channel string) bool {
		return !slices.Contains(named, channel)
	})
	for _, name := range named {
		part := func(pattern string) bool { return within != nil && within(pattern, name) }
		if slices.ContainsFunc(requested, part) && !slices.Contains(r.Channels, name) {
			r.Channels = append(r.Channels, name)
		}
	}
	if len(r.Channels) == 0 {
		return auth.Result{Status: fasthttp.StatusForbidden}, nil
	}
	return r, nil
}

// parseBody reads the body of a 2xx response, which must be one JSON object whatever its Content-Type says. An unknown
// key is an error: it may be a "channel" that was meant to narrow.
func parseBody(resp *fasthttp.Response) (auth.Result, error) {
	r := auth.Result{Allowed: true}
	if len(resp.Header.ContentEncoding()) > 0 {
		return r, &responseError{hint: "the app compressed its answer, which was not requested"}
	}
	body := resp.Body()
	object, err := strictjson.Object(body)
	if err != nil {
		return r, &responseError{hint: likelyCause(body), err: err}
	}
	if err := object.Members(func(key string, m strictjson.Value) error { return parseMember(&r, key, m) }); err != nil {
		return r, &responseError{hint: "the app answered a JSON object with an unknown or invalid member", err: err}
	}
	return r, nil
}

// parseMember reads one member of the JSON object that allows.
func parseMember(r *auth.Result, key string, m strictjson.Value) (err error) {
	switch key {
	case "channels":
		if r.Channels, err = m.Strings(); err != nil {
			return m.At(fmt.Errorf("%w: channels: want a list of names", strictjson.Error))
		}
	case "user":
		r.User, err = m.Text()
		if m.IsInteger() { // such as the key of a row
			r.User, err = string(m.Raw()), nil
		}
		if err != nil || len(r.User) > maxUser || strings.ContainsFunc(r.User, unicode.IsControl) {
			return m.At(fmt.Errorf("%w: user: want Unicode text of at most %d bytes without control characters, or a whole number", strictjson.Error, maxUser))
		}
	case "expires":
		seconds, err := m.Number()
		if err != nil || seconds <= 0 {
			return m.At(fmt.Errorf("%w: expires: want a number of seconds above 0", strictjson.Error))
		}
		r.Expires = maxExpires
		if seconds < maxExpires.Seconds() {
			r.Expires = max(time.Duration(seconds*float64(time.Second)), 1)
		}
	default:
		return m.At(fmt.Errorf("%w: unknown key %.100q; want channels, user or expires", strictjson.Error, key))
	}
	return nil
}

// responseError is a response that neither allows nor denies, or none.
type responseError struct {
	hint string // for the app's developer; quotes nothing of the response
	err  error  // details; nil: none
}

func (e *responseError) Error() string {
	if e.err == nil {
		return e.hint
	}
	return e.hint + ": " + e.err.Error()
}

func (e *responseError) Unwrap() error { return e.err }

// Hint returns the likely cause in words that any client may read.
func (e *responseError) Hint() string { return e.hint }

var errEmptyBody = &responseError{hint: "the app closed the connection without a response, as a crash would: answer 204, or send Content-Length: 0"}

// likelyCause returns what the body of a 2xx response seems to be instead of one JSON object.
func likelyCause(body []byte) string {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	var first json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&first); err == nil && len(first) > 0 && first[0] == '{' {
		rest := bytes.TrimSpace(body[dec.InputOffset():])
		if isPHPMessage(rest) {
			return "the app answered a PHP error message after the JSON"
		}
		if len(rest) > 0 {
			return "the app answered trailing text after the JSON"
		}
	}
	body = bytes.TrimSpace(body)
	switch {
	case isPHPMessage(body):
		return "the app answered a PHP error message: turn display_errors off and look into PHP's error log"
	case len(body) == 0:
		return "the app answered white space, such as a line end after ?>: send nothing, or JSON"
	case body[0] == '<':
		return "the app answered HTML, such as a form to log in: answer 401 or 403 to clients without a login"
	case body[0] == '{':
		return "the app answered broken JSON"
	}
	return "the app answered something other than a JSON object; to allow without one, answer 204"
}

// isPHPMessage reports whether text begins as PHP prints its errors, with html_errors or without.
func isPHPMessage(text []byte) bool {
	text = bytes.TrimSpace(text)
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("<br />")))
	text = bytes.TrimPrefix(bytes.TrimPrefix(text, []byte("PHP ")), []byte("<b>"))
	for _, level := range []string{
		"Warning", "Notice", "Deprecated", "Fatal error", "Parse error", "Recoverable fatal error", "Catchable fatal error", "Strict Standards",
	} {
		if rest, ok := bytes.CutPrefix(text, []byte(level)); ok && (bytes.HasPrefix(rest, []byte(":")) || bytes.HasPrefix(rest, []byte("</b>:"))) {
			return true
		}
	}
	return false
}
