package hooks

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/connection"
	"holdfast/internal/hub"
	"holdfast/internal/inspect"
)

// doctorPath is where holdfast doctor begins a session. A session has paths of its own below: its secret, for the
// requests that were seen; publish and end.
const doctorPath = "/doctor"

// doctorRoute returns the handler of a path below doctorPath, nil if there is none, and the value of Allow.
func doctorRoute(path []byte) (methods string, do func(*Server, *call) error) {
	rest, ok := bytes.CutPrefix(path, []byte(doctorPath+"/"))
	secret, part, more := bytes.Cut(rest, []byte{'/'})
	switch {
	case !ok || len(secret) == 0:
	case !more:
		return getMethods, doctorSeen
	case string(part) == "publish":
		return fasthttp.MethodPost, doctorPublish
	case string(part) == "end":
		return fasthttp.MethodPost, doctorEnd
	}
	return "", nil
}

// doctorBegin responds to POST /doctor: it begins a session.
func doctorBegin(s *Server, c *call) error {
	if _, err := parseQuery(c.query); err != nil {
		return err
	}
	secret, err := s.options.Inspect.Begin(time.Now())
	if err != nil {
		return err
	}
	answer := struct {
		Secret    string         `json:"secret"`
		ExpiresIn int            `json:"expires_in"` // seconds
		Responses map[int]uint64 `json:"responses"`  // of this API since the start, by status
		Settings  any            `json:"settings"`
	}{Secret: secret, ExpiresIn: int(inspect.Lifetime / time.Second), Responses: map[int]uint64{}, Settings: s.options.Settings()}
	s.mu.Lock()
	for status, n := range s.responses {
		answer.Responses[status] = n.Get()
	}
	s.mu.Unlock()
	s.log.Info("holdfast doctor has begun a session")
	s.answerJSON(c.ctx, answer)
	return nil
}

// secret returns the secret in the path of a session.
func (c *call) secret() (string, error) {
	if _, err := parseQuery(c.query); err != nil {
		return "", err
	}
	secret, _, _ := strings.Cut(strings.TrimPrefix(c.path, doctorPath+"/"), "/")
	return secret, nil
}

// doctorSeen responds to GET /doctor/{secret} with the requests that came in with the secret.
func doctorSeen(s *Server, c *call) error {
	secret, err := c.secret()
	if err != nil {
		return err
	}
	list, ok := s.options.Inspect.Seen(secret, time.Now())
	if !ok {
		return errSession
	}
	s.answerJSON(c.ctx, struct {
		Requests []inspect.Request `json:"requests"`
	}{list})
	return nil
}

// doctorPublish responds to POST /doctor/{secret}/publish: it publishes the body to the session's connections.
func doctorPublish(s *Server, c *call) error {
	secret, err := c.secret()
	if err != nil {
		return err
	}
	channel := s.options.Inspect.Channel(secret, time.Now())
	if channel == "" {
		return errSession
	}
	r, err := s.options.Hub.PublishOne(hub.Draft{Channels: []string{channel}, Data: bytes.Clone(c.ctx.Request.Body()), Exact: true})
	if err != nil {
		return fmt.Errorf("holdfast doctor: %w", err)
	}
	c.answerReceipt(r)
	return nil
}

// doctorEnd responds to POST /doctor/{secret}/end: it closes the session's connections, and forgets it.
func doctorEnd(s *Server, c *call) error {
	secret, err := c.secret()
	if err != nil {
		return err
	}
	channel := s.options.Inspect.End(secret, time.Now())
	if channel == "" {
		return errSession
	}
	n := 0
	if held := s.options.Connections; held != nil {
		list, _ := held.List(connection.Selection{Channel: channel}, math.MaxInt)
		for _, x := range list {
			if slices.Contains(x.Channels, channel) { // and not a pattern that matches all names
				n += held.Disconnect(connection.Selection{Connection: x.ID}, defaultCloseCode, "holdfast doctor is done")
			}
		}
	}
	s.answerJSON(c.ctx, struct {
		Disconnected int `json:"disconnected"`
	}{n})
	return nil
}
