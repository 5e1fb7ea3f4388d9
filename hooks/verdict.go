package hooks

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
	maxExpires = 10 * 365 * 24 * time.Hour // more is as good as never
)

// takeFields copies the fields of a response that are for the client.
func takeFields(v *auth.Result, resp *fasthttp.Response, failed bool) {
	status := resp.StatusCode()
	if failed {
		if status == fasthttp.StatusServiceUnavailable || status == fasthttp.StatusTooManyRequests {
			v.RetryAfter = string(resp.Header.Peek(fasthttp.HeaderRetryAfter))
		}
		return
	}
	for name, cookie := range resp.Header.All() { // PeekAll joins them
		if string(name) == fasthttp.HeaderSetCookie {
			v.SetCookie = append(v.SetCookie, string(cookie))
		}
	}
	if status == fasthttp.StatusUnauthorized {
		for _, challenge := range resp.Header.PeekAll(fasthttp.HeaderWWWAuthenticate) {
			v.Challenge = append(v.Challenge, string(challenge))
		}
	}
}

// verdictOf reads the app's response. A response that is not clearly a yes or a no is an error.
func verdictOf(resp *fasthttp.Response, asked []string, within func(pattern, name string) bool) (auth.Result, error) {
	status := resp.StatusCode()
	switch {
	case status == fasthttp.StatusUnauthorized, status == fasthttp.StatusForbidden:
		return auth.Result{Status: status}, nil
	case status >= 300 && status < 400:
		return auth.Result{Status: fasthttp.StatusUnauthorized}, nil // to the login page
	case status < 200 || status >= 300:
		return auth.Result{}, &answerError{hint: fmt.Sprintf("the app answered status %d", status)}
	}
	if len(resp.Body()) == 0 {
		if status != fasthttp.StatusNoContent && endedByClose(resp) {
			return auth.Result{}, errEmptyCut
		}
		return auth.Result{Allowed: true}, nil
	}
	v, err := parseVerdict(resp)
	if err != nil {
		return auth.Result{}, err
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
		return auth.Result{Status: fasthttp.StatusForbidden}, nil
	}
	return v, nil
}

// parseVerdict reads the body of a 2xx response, which must be one JSON object whatever its Content-Type says. A key
// that it does not know is an error: it may be a "channel" that was meant to narrow.
func parseVerdict(resp *fasthttp.Response) (auth.Result, error) {
	v := auth.Result{Allowed: true}
	if len(resp.Header.ContentEncoding()) > 0 {
		return v, &answerError{hint: "the app compressed its answer, which was not requested"}
	}
	body := resp.Body()
	object, err := strictjson.Object(body)
	if err != nil {
		return v, &answerError{hint: likelyCause(body), err: err}
	}
	if err := object.Members(func(key string, m strictjson.Value) error { return readMember(&v, key, m) }); err != nil {
		return v, &answerError{hint: "the app answered a JSON object with an unknown or invalid member", err: err}
	}
	return v, nil
}

// readMember reads one member of the JSON of a yes.
func readMember(v *auth.Result, key string, m strictjson.Value) (err error) {
	switch key {
	case "channels":
		if v.Channels, err = m.Strings(); err != nil {
			return m.At(fmt.Errorf("%w: channels: want a list of names", strictjson.Error))
		}
	case "user":
		v.User, err = m.Text()
		if m.IsInteger() { // such as the key of a row
			v.User, err = string(m.Raw()), nil
		}
		if err != nil || len(v.User) > maxUser || strings.ContainsFunc(v.User, unicode.IsControl) {
			return m.At(fmt.Errorf("%w: user: want text of at most %d bytes without control characters, or a whole number", strictjson.Error, maxUser))
		}
	case "expires":
		seconds, err := m.Number()
		if err != nil || seconds <= 0 {
			return m.At(fmt.Errorf("%w: expires: want a number of seconds above 0", strictjson.Error))
		}
		v.Expires = maxExpires
		if seconds < maxExpires.Seconds() {
			v.Expires = max(time.Duration(seconds*float64(time.Second)), 1)
		}
	default:
		return m.At(fmt.Errorf("%w: unknown key %.100q; want channels, user or expires", strictjson.Error, key))
	}
	return nil
}

// answerError is an answer of the app that is neither a yes nor a no.
type answerError struct {
	hint string // for the app's developer; quotes nothing of the answer
	err  error  // details; nil: none
}

func (e *answerError) Error() string {
	if e.err == nil {
		return e.hint
	}
	return e.hint + ": " + e.err.Error()
}

func (e *answerError) Unwrap() error { return e.err }

// Hint returns the likely cause in words that any client may read.
func (e *answerError) Hint() string { return e.hint }

var errEmptyCut = &answerError{hint: "the app answered nothing and closed the connection, as a crash would: answer 204, or send Content-Length: 0"}

// likelyCause says what the body of a 2xx response seems to be instead of one JSON object.
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
