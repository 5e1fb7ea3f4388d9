// Package clientframe parses the JSON frames that a client sends over a WebSocket with the subprotocol holdfast.v1.
package clientframe

import (
	"bytes"
	"errors"
	"fmt"

	"holdfast/internal/hub"
	"holdfast/internal/strictjson"
)

// MaxRef is the bytes of a ref, its quotes included: it is sent back.
const MaxRef = 64

// Bytes for a frame without the names of its channels, for the longest name with its quotes, and for a token.
const roomForType, roomForName, roomForToken = 1 << 10, 300, 8 << 10

// MaxSize returns how many bytes a frame may have that names channels or, if tokens are on, has a token.
func MaxSize(channels int, tokens bool) int {
	n := roomForType + roomForName*channels
	if tokens {
		n = max(n, roomForType+roomForToken)
	}
	return n
}

// Frame is a JSON frame of a client.
type Frame struct {
	Type      string // subscribe, unsubscribe, message, token or ping
	Data      []byte // JSON
	Token     string
	Channels  []string
	LastID    hub.ID
	HasLastID bool
	Ref       string // JSON: a string or a number; empty: none
}

var errNotObject = errors.New("a message is one JSON object")

// Parse reads a frame. A member that it does not know, or that comes twice, is an error: it may be one that was
// meant to narrow. With an error, the frame has the ref if it could be read.
func Parse(p []byte) (s Frame, err error) {
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
func (s *Frame) check(seen map[string]bool) error {
	foreign := map[string][]string{
		"subscribe": {"data", "token"}, "unsubscribe": {"last_id", "data", "token"},
		"message": {"channels", "last_id", "token"}, "token": {"channels", "last_id", "data"},
		"ping": {"channels", "last_id", "data", "token"},
	}
	not, ok := foreign[s.Type]
	switch {
	case s.Type == "":
		return errors.New("type is missing; want subscribe, unsubscribe, message, token or ping")
	case !ok:
		return fmt.Errorf("type %.100q is not known; want subscribe, unsubscribe, message, token or ping", s.Type)
	}
	for _, key := range not {
		if seen[key] {
			return fmt.Errorf("%s is not for %s", key, s.Type)
		}
	}
	switch {
	case s.Type == "token" && s.Token == "":
		return errors.New("token: want text")
	case s.Type == "message" && !seen["data"]:
		return errors.New("data is missing; want any JSON")
	case (s.Type == "subscribe" || s.Type == "unsubscribe") && len(s.Channels) == 0:
		return errors.New("channels: want a list of at least one name")
	}
	return nil
}

func (s *Frame) member(key string, m strictjson.Value) (err error) {
	switch key {
	case "type":
		if s.Type, err = m.Text(); err != nil {
			return errors.New("type: want a string")
		}
	case "channels":
		if s.Channels, err = m.Strings(); err != nil {
			return errors.New("channels: want a list of names")
		}
	case "data":
		s.Data = bytes.Clone(m.Raw()) // the frame is read into a buffer of the loop
	case "token":
		if s.Token, err = m.Text(); err != nil {
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
		s.LastID, s.HasLastID = id, true
	case "ref":
		raw := m.Raw()
		if c := raw[0]; len(raw) > MaxRef || c != '"' && c != '-' && (c < '0' || c > '9') {
			return fmt.Errorf("ref: want a string or a number of at most %d bytes", MaxRef)
		}
		s.Ref = string(raw)
	default:
		return fmt.Errorf("%.100q is not known; want type, channels, last_id, data, token or ref", key)
	}
	return nil
}
