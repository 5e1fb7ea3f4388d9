package hooks

import (
	"cmp"
	"fmt"
	"slices"

	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/strictjson"
)

// refusedConnections counts connections that were not changed, and says why.
type refusedConnections struct {
	Error       string `json:"error"`
	Connections int    `json:"connections"`
}

// subscribe responds to POST /subscribe.
func (s *Server) subscribe(c *call) error {
	which, channels, err := s.wantedChange(c)
	if err != nil {
		return err
	}
	answer := struct {
		Subscribed int                  `json:"subscribed"`
		Refused    []refusedConnections `json:"refused,omitempty"`
	}{}
	answer.Subscribed, answer.Refused = s.change("subscribed", which, channels, nil)
	s.answerJSON(c.ctx, answer)
	return nil
}

// unsubscribe responds to POST /unsubscribe.
func (s *Server) unsubscribe(c *call) error {
	which, channels, err := s.wantedChange(c)
	if err != nil {
		return err
	}
	answer := struct {
		Unsubscribed int                  `json:"unsubscribed"`
		Refused      []refusedConnections `json:"refused,omitempty"`
	}{}
	answer.Unsubscribed, answer.Refused = s.change("unsubscribed", which, nil, channels)
	s.answerJSON(c.ctx, answer)
	return nil
}

// change changes the channels of connections, and logs the change.
func (s *Server) change(what string, which connection.Selection, join, leave []string) (n int, list []refusedConnections) {
	n, refused := s.options.Connections.Change(which, join, leave)
	for why, n := range refused {
		list = append(list, refusedConnections{why, n})
	}
	slices.SortFunc(list, func(a, b refusedConnections) int { return cmp.Compare(a.Error, b.Error) })
	s.log.Info(what, "user", which.User, "connection", which.Connection, "channels", slices.Concat(join, leave),
		"connections", n, "refused", list)
	return n, list
}

// wantedChange reads the connections and the channels of a request.
func (s *Server) wantedChange(c *call) (which connection.Selection, channels []string, err error) {
	object, err := c.object()
	if err != nil {
		return which, nil, err
	}
	err = object.Members(func(key string, m strictjson.Value) (err error) {
		switch key {
		case "user":
			which.User, err = target(key, m)
		case "connection":
			which.Connection, err = target(key, m)
		case "channel":
			if channels, err = m.StringOrStrings(); err != nil {
				break
			}
			for _, name := range channels {
				if err = s.subscribable(name); err != nil {
					break
				}
			}
		default:
			err = fmt.Errorf("%w: unknown key %.100q; want user, connection or channel", strictjson.Error, key)
		}
		if err != nil {
			return m.At(err)
		}
		return nil
	})
	switch {
	case err != nil:
	case which == connection.Selection{}:
		err = errNoTarget
	case len(channels) == 0:
		err = fmt.Errorf("%w: none; want a name or a list of names", errChannel)
	}
	return which, channels, err
}

// validName accepts the name of a channel, or a pattern.
func (s *Server) validName(name string) error {
	if s.access.Load().rules.AllowsPattern(name) {
		return nil
	}
	return validChannel(name)
}

// subscribable returns why no connection may subscribe to the channel or pattern, or nil.
func (s *Server) subscribable(name string) error {
	if !channel.IsPattern(name) {
		return s.publishable(name)
	}
	if !s.access.Load().rules.AllowsPattern(name) {
		return fmt.Errorf("%w: %.100q; a pattern needs one with wildcards that matches all of it", errRule, name)
	}
	return nil
}
