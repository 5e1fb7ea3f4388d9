package upgrade

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/hub"
)

// maxRef is the bytes of a ref, its quotes included: it is sent back.
const maxRef = 64

// clientFrame is a JSON frame of a client.
type clientFrame struct {
	kind     string // subscribe, unsubscribe, message, token or ping
	data     json.RawMessage
	token    string
	channels []string
	after    ResumePoint
	ref      string // JSON: a string or a number; empty: none
}

var errNotObject = errors.New("a message is one JSON object")

// parseClientFrame reads a frame. A member that it does not know, or that comes twice, is an error: it may be one that was
// meant to narrow. With an error, the frame has the ref if it could be read.
func parseClientFrame(p []byte) (s clientFrame, err error) {
	d := json.NewDecoder(bytes.NewReader(p))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return s, errNotObject
	}
	var fault error // the first; what follows may be the ref to answer it with
	seen := make(map[string]bool, 4)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return s, errNotObject
		}
		key, _ := t.(string) // of an object nothing else is a key
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return s, errNotObject
		}
		if seen[key] {
			return s, fmt.Errorf("%.100q comes twice", key)
		}
		seen[key] = true
		if e := s.member(key, raw); e != nil && fault == nil {
			fault = e
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return s, errNotObject
	}
	if _, err := d.Token(); err != io.EOF {
		return s, errNotObject
	}
	if fault != nil {
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

func (s *clientFrame) member(key string, raw json.RawMessage) error {
	switch key {
	case "type":
		if raw[0] != '"' || json.Unmarshal(raw, &s.kind) != nil {
			return errors.New("type: want a string")
		}
	case "channels":
		var list []*string
		if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
			return errors.New("channels: want a list of names")
		}
		for _, name := range list {
			if name == nil {
				return errors.New("channels: want a list of names")
			}
			s.channels = append(s.channels, *name)
		}
	case "data":
		s.data = raw
	case "token":
		if raw[0] != '"' || json.Unmarshal(raw, &s.token) != nil {
			return errors.New("token: want text")
		}
	case "last_id":
		var text string
		if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
			return errors.New("last_id: want a string")
		}
		id, err := hub.ParseID(text)
		if err != nil {
			return errors.New("last_id is not an id of a message")
		}
		s.after = ResumePoint{ID: id, HasID: true}
	case "ref":
		if c := raw[0]; len(raw) > maxRef || c != '"' && c != '-' && (c < '0' || c > '9') {
			return fmt.Errorf("ref: want a string or a number of at most %d bytes", maxRef)
		}
		s.ref = string(raw)
	default:
		return fmt.Errorf("%.100q is not known; want type, channels, last_id, data, token or ref", key)
	}
	return nil
}
