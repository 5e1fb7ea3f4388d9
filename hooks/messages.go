package hooks

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"holdfast/internal/hub"
)

const (
	messagesPath = "/messages"

	// maxPage is how many bytes of messages a response has at most, unless a single message is larger. The caller reads
	// on with next.
	maxPage = 4 << 20
)

// historyMessage is a message of history, in the form that a long poll has.
type historyMessage struct {
	ID       string `json:"id"`
	Event    string `json:"event,omitempty"`
	Data     any    `json:"data"`
	Encoding string `json:"encoding,omitempty"`
}

func newHistoryMessage(m *hub.Message) historyMessage {
	k := historyMessage{ID: m.ID.String(), Event: m.Event}
	switch {
	case m.JSON:
		k.Data = json.RawMessage(m.Data)
	case m.Binary:
		k.Data, k.Encoding = m.Data, "base64"
	default:
		k.Data = string(m.Data)
	}
	return k
}

// messages responds to GET /channels/{name}/messages: the channel's history, oldest first. Without history, the list is
// empty.
func (s *Server) messages(c *call) error {
	name, err := url.PathUnescape(strings.TrimSuffix(strings.TrimPrefix(c.path, channelsPath+"/"), messagesPath))
	if err != nil {
		return fmt.Errorf("%w: %w", errChannel, err)
	}
	if err := s.publishable(name); err != nil {
		return err
	}
	query, err := parseQuery(c.query, "after", "limit")
	if err != nil {
		return err
	}
	limit, err := parseLimit(query)
	if err != nil {
		return err
	}
	var after hub.ID
	if v, ok := query["after"]; ok {
		if len(v) > 1 {
			return fmt.Errorf("%w: after is given %d times", errQuery, len(v))
		}
		if after, err = hub.ParseID(v[0]); err != nil {
			return fmt.Errorf("%w: after %.100q is not the id of a message", errQuery, v[0])
		}
	}
	page := s.options.Hub.Read(name, after, limit, maxPage)
	answer := struct {
		Messages []historyMessage `json:"messages"`
		Next     string           `json:"next"`
		More     bool             `json:"more,omitempty"`
		Gap      bool             `json:"gap,omitempty"`
	}{make([]historyMessage, 0, len(page.Messages)), page.Next.String(), page.More, page.Gap}
	for _, m := range page.Messages {
		answer.Messages = append(answer.Messages, newHistoryMessage(m))
	}
	s.answerJSON(c.ctx, answer)
	return nil
}
