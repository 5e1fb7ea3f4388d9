package upgrade

import (
	"errors"
	"fmt"

	"holdfast/internal/hub"
	"holdfast/internal/strictjson"
)

// maxRef is the bytes of a ref, its quotes included: it is sent back.
const maxRef = 64

// clientFrame is a JSON frame of a client.
type clientFrame struct {
	kind     string // subscribe, unsubscribe, message, token or ping
	data     []byte // JSON
	token    string
	channels []string
	after    ResumePoint
	ref      string // JSON: a string or a number; empty: none
}

var errNotObject = errors.New("a message is one JSON object")

// parseClientFrame reads a frame. A member that it does not know, or that comes twice, is an error: it may be one that was
// meant to narrow. With an error, the frame has the ref if it could be read.
func parseClientFrame(p []byte) (s clientFrame, err error) {
	object, err := strictjson.Object(p)
	if err != nil {
		return s, errNotObject
	}
	var fault error // the first; what follows may be the ref to answer it with
	seen := make(map[string]bool, 4)
	err = object.Members(func(key string, m strictjson.Value) error {
		seen[key] = true
		if e := s.member(key, m); e != nil && fault == nil {
			fault = e
		}
		return nil
	})
	switch {
	case err != nil:
		return s, err
	case fault != nil:
		return s, fault
	}
	return s, s.check(seen)
}

// check compares a frame's members with its type.
func (s *clientFrame) check(seen map[string]bool) error {
	foreign := map[string][]string{
		"subscribe": {"data", "token"}, "unsubscribe": {"last_id", "data", "token"},
		"message": {"channels", "last_id", "token"}, "token": {"channels", "last_id", "data"},
		"ping": {"channels", "last_id", "data", "token"},
	}
	not, ok := foreign[s.kind]
	switch {
	case s.kind == "":
		return errors.New("type is missing; want subscribe, unsubscribe, message, token or ping")
	case !ok:
		return fmt.Errorf("type %.100q is not known; want subscribe, unsubscribe, message, token or ping", s.kind)
	}
	for _, key := range not {
		if seen[key] {
			return fmt.Errorf("%s is not for %s", key, s.kind)
		}
	}
	switch {
	case s.kind == "token" && s.token == "":
		return errors.New("token: want text")
	case s.kind == "message" && !seen["data"]:
		return errors.New("data is missing; want any JSON")
	case (s.kind == "subscribe" || s.kind == "unsubscribe") && len(s.channels) == 0:
		return errors.New("channels: want a list of at least one name")
	}
	return nil
}

func (s *clientFrame) member(key string, m strictjson.Value) (err error) {
	switch key {
	case "type":
		if s.kind, err = m.Text(); err != nil {
			return errors.New("type: want a string")
		}
	case "channels":
		if s.channels, err = m.Strings(); err != nil {
			return errors.New("channels: want a list of names")
		}
	case "data":
		s.data = m.Raw()
	case "token":
		if s.token, err = m.Text(); err != nil {
			return errors.New("token: want text")
		}
	case "last_id":
		text, err := m.Text()
		if err != nil {
			return errors.New("last_id: want a string")
		}
		id, err := hub.ParseID(text)
		if err != nil {
			return errors.New("last_id is not an id of a message")
		}
		s.after = ResumePoint{ID: id, HasID: true}
	case "ref":
		raw := m.Raw()
		if c := raw[0]; len(raw) > maxRef || c != '"' && c != '-' && (c < '0' || c > '9') {
			return fmt.Errorf("ref: want a string or a number of at most %d bytes", maxRef)
		}
		s.ref = string(raw)
	default:
		return fmt.Errorf("%.100q is not known; want type, channels, last_id, data, token or ref", key)
	}
	return nil
}
