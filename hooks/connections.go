package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"holdfast/internal/connection"
	"holdfast/internal/strictjson"
)

const (
	connectionsPath = "/connections"

	defaultCloseCode = 4403
	maxCloseReason   = 123 // bytes (RFC 6455 §5.5)
)

var (
	errConnection = errors.New("connection not found")
	errSelection  = errors.New("no target: want user, connection or channel")
	errClose      = errors.New("bad close")
)

// Connections lists and changes held connections.
type Connections interface {
	// List describes at most limit of the selected connections, and returns how many there are.
	List(s connection.Selection, limit int) (list []connection.Info, total int)

	// Change subscribes the selected connections to join and unsubscribes them from leave. It returns how many now have
	// all of join or had some of leave, and how many it left unchanged, by error text. When it returns, messages published
	// later to join reach these connections, and no more of leave do.
	Change(s connection.Selection, join, leave []string) (n int, refused map[string]int)

	// Disconnect closes the selected connections, with a code and a reason for WebSockets, and returns how many. Nothing is
	// delivered to them after it has returned.
	Disconnect(s connection.Selection, code int, reason string) int
}

// connections responds to GET /connections.
func (s *Server) connections(c *call) error {
	query, err := parseQuery(c.query, "user", "channel", "limit")
	if err != nil {
		return err
	}
	limit, err := parseLimit(query)
	if err != nil {
		return err
	}
	for name, v := range query {
		if len(v) > 1 || v[0] == "" {
			return fmt.Errorf("%w: want one %s", errQuery, name)
		}
	}
	answer := struct {
		Connections []connection.Info `json:"connections"`
		Total       int               `json:"total"`
	}{}
	answer.Connections, answer.Total = s.options.Connections.List(connection.Selection{User: query.Get("user"), Channel: query.Get("channel")}, limit)
	if answer.Connections == nil {
		answer.Connections = []connection.Info{}
	}
	s.answerJSON(c.ctx, answer)
	return nil
}

// connection responds to GET /connections/{id}.
func (s *Server) connection(c *call) error {
	id, err := url.PathUnescape(strings.TrimPrefix(c.path, connectionsPath+"/"))
	if err != nil {
		return fmt.Errorf("%w: %w", errConnection, err)
	}
	if _, err := parseQuery(c.query); err != nil {
		return err
	}
	list, _ := s.options.Connections.List(connection.Selection{Connection: id}, 1)
	if len(list) == 0 {
		return errConnection
	}
	s.answerJSON(c.ctx, list[0])
	return nil
}

// target reads the name of a user, or the ID of a connection. An empty one is refused: it is the value of a variable that is
// not set, and would select all.
func target(key string, m strictjson.Value) (string, error) {
	text, err := m.Text()
	if err == nil && text == "" {
		err = fmt.Errorf("%w: %s is empty; leave it out to select any", errTarget, key)
	}
	return text, err
}

// disconnect responds to POST /disconnect.
func (s *Server) disconnect(c *call) error {
	object, err := c.object()
	if err != nil {
		return err
	}
	var which connection.Selection
	code, reason := defaultCloseCode, "disconnected"
	err = object.Members(func(key string, m strictjson.Value) (err error) {
		switch key {
		case "user":
			which.User, err = target(key, m)
		case "connection":
			which.Connection, err = target(key, m)
		case "channel":
			if which.Channel, err = m.Text(); err == nil {
				err = s.validName(which.Channel)
			}
		case "reason":
			if reason, err = m.Text(); err == nil && (len(reason) > maxCloseReason || !utf8.ValidString(reason)) {
				err = fmt.Errorf("%w: a reason has at most %d bytes", errClose, maxCloseReason)
			}
		case "code":
			if err = json.Unmarshal(m.Raw(), &code); err != nil || !m.IsInteger() || code != 1000 && (code < 3000 || code > 4999) {
				err = fmt.Errorf("%w: code %.20s; want 1000, or 3000 to 4999", errClose, m.Raw())
			}
		default:
			err = fmt.Errorf("%w: unknown key %.100q; want user, connection, channel, code or reason", strictjson.Error, key)
		}
		if err != nil {
			return m.At(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if which == (connection.Selection{}) {
		return errSelection
	}
	if which.Channel != "" && s.options.Cache != nil { // who is shut out must not be shown it from memory
		s.options.Cache.InvalidateChannel(which.Channel)
	}
	n := s.options.Connections.Disconnect(which, code, reason)
	s.log.Info("disconnected", "user", which.User, "connection", which.Connection, "channel", which.Channel, "connections", n)
	s.answerJSON(c.ctx, struct {
		Disconnected int `json:"disconnected"`
	}{n})
	return nil
}
