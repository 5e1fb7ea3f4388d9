package hooks

import (
	"fmt"
	"net/url"
	"strings"
)

const usersPath = "/users"

// user describes a user in a channel.
type user struct {
	User        string `json:"user"`
	Connections int    `json:"connections"`
}

// users responds to GET /channels/{name}/users. A channel without users has an empty list: the app need not know
// whether it ever had any.
func (s *Server) users(c *call) error {
	name, err := url.PathUnescape(strings.TrimSuffix(strings.TrimPrefix(c.path, channelsPath+"/"), usersPath))
	if err != nil {
		return fmt.Errorf("%w: %w", errChannel, err)
	}
	if err := validChannel(name); err != nil {
		return err
	}
	query, err := parseQuery(c.query, "limit")
	if err != nil {
		return err
	}
	limit, err := parseLimit(query)
	if err != nil {
		return err
	}
	if !s.present(name) {
		return fmt.Errorf("%w: %q; set presence in its rule under channels", errPresence, name)
	}
	members, total := s.options.Presence.Members(name, limit)
	answer := struct {
		Users []user `json:"users"`
		Total int    `json:"total"`
	}{make([]user, 0, len(members)), total}
	for _, m := range members {
		answer.Users = append(answer.Users, user(m))
	}
	s.answerJSON(c.ctx, answer)
	return nil
}

// present reports whether the channel's rule has presence.
func (s *Server) present(channel string) bool {
	r, ok := s.access.Load().rules.Rule(channel)
	return ok && r.Present()
}
