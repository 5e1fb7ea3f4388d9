package hooks

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"holdfast/internal/channel"
	"holdfast/internal/hub"
)

const (
	defaultLimit = 1000
	maxLimit     = 10000
)

// channelInfo describes a channel.
type channelInfo struct {
	Name        string `json:"name"`
	Subscribers int    `json:"subscribers"`
	Users       *int   `json:"users,omitempty"` // absent if the rule has no presence
	Messages    int    `json:"messages"`
	LastID      string `json:"last_id,omitempty"` // absent before the first message
}

func infoOf(i hub.Info) channelInfo {
	c := channelInfo{Name: i.Name, Subscribers: i.Subscribers, Messages: i.Messages}
	if i.LastID != 0 {
		c.LastID = i.LastID.String()
	}
	return c
}

// channels responds to GET /channels.
func (s *Server) channels(c *call) error {
	query, err := parseQuery(c.query, "match", "limit")
	if err != nil {
		return err
	}
	limit, err := parseLimit(query)
	if err != nil {
		return err
	}
	answer := struct {
		Channels []channelInfo `json:"channels"`
		More     bool          `json:"more,omitempty"`
	}{Channels: []channelInfo{}}
	match := "**"
	if v, ok := query["match"]; ok {
		if len(v) > 1 {
			return fmt.Errorf("%w: match is given %d times", errQuery, len(v))
		}
		match = v[0]
	}
	prefix, open := strings.CutSuffix(match, "**")
	switch {
	case strings.Contains(prefix, "*"):
		return fmt.Errorf("%w: match %.100q; want a name, or the beginning of names and **", errQuery, match)
	case !open:
		if i, ok := s.options.Hub.Channel(match); ok {
			answer.Channels = append(answer.Channels, infoOf(i))
		}
	default:
		var list []hub.Info
		list, answer.More = s.options.Hub.Channels(prefix, limit)
		for _, i := range list {
			answer.Channels = append(answer.Channels, infoOf(i))
		}
	}
	s.answerJSON(c.ctx, answer)
	return nil
}

// channel responds to GET /channels/{name}.
func (s *Server) channel(c *call) error {
	name, err := url.PathUnescape(strings.TrimPrefix(c.path, channelsPath+"/"))
	if err != nil {
		return fmt.Errorf("%w: %w", errChannel, err)
	}
	if err := validChannel(name); err != nil {
		return err
	}
	if _, err := parseQuery(c.query); err != nil {
		return err
	}
	i, ok := s.options.Hub.Channel(name)
	if !ok {
		return fmt.Errorf("%w: %q", errChannelNotFound, name)
	}
	info := infoOf(i)
	if s.present(name) {
		total := s.options.Presence.Count(name)
		info.Users = &total
	}
	s.answerJSON(c.ctx, info)
	return nil
}

// position responds to GET /position: the ID after which a client resumes that gets the app's present state.
func (s *Server) position(c *call) error {
	query, err := parseQuery(c.query, "channel")
	if err != nil {
		return err
	}
	if len(query["channel"]) == 0 {
		return fmt.Errorf("%w: want channel=NAME, once for each channel of the page", errQuery)
	}
	for _, name := range query["channel"] {
		if err := s.subscribable(name); err != nil {
			return err
		}
	}
	s.answerJSON(c.ctx, struct {
		LastID string `json:"last_id"`
	}{s.options.Hub.Position().String()})
	return nil
}

// parseLimit returns the parameter limit, or its default.
func parseLimit(query url.Values) (int, error) {
	v, ok := query["limit"]
	if !ok {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(v[0])
	if err != nil || limit < 1 || limit > maxLimit || len(v) > 1 {
		return 0, fmt.Errorf("%w: limit %.100q; want one number from 1 to %d", errQuery, v, maxLimit)
	}
	return limit, nil
}

func validChannel(name string) error {
	if err := channel.ValidName(name); err != nil {
		return fmt.Errorf("channel %.100q: %w", name, err)
	}
	return nil
}

// parseQuery parses a query that may have these parameters and no others.
func parseQuery(query string, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errQuery, err)
	}
next:
	for name := range values {
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		want := "none is known here"
		if len(known) > 0 {
			want = "want " + strings.Join(known, " or ")
		}
		return nil, fmt.Errorf("%w: parameter %.100q; %s", errQuery, name, want)
	}
	return values, nil
}
