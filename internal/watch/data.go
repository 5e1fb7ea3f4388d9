package watch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"holdfast/internal/appcall"
	"holdfast/internal/strictjson"
)

// Data says which part of a response is the value that is published. The zero Data is the body.
type Data struct {
	json    bool // the response is to be JSON
	pointer strictjson.Pointer
}

// ParseData reads what the configuration says: body, json, or a JSON pointer.
func ParseData(text string) (Data, error) {
	switch text {
	case "body":
		return Data{}, nil
	case "json":
		return Data{json: true}, nil
	}
	p, err := strictjson.ParsePointer(text)
	return Data{json: true, pointer: p}, err
}

// value is what is published.
type value struct {
	data []byte
	json bool
}

// find returns the value of a response that has one. An error says what the response is instead.
func (d Data) find(p *appcall.Page) (value, error) {
	if p.Encoded {
		return value{}, errors.New("the app compressed its answer, which was not requested")
	}
	typed := p.MediaType == "application/json" || strings.HasPrefix(p.MediaType, "application/") && strings.HasSuffix(p.MediaType, "+json")
	if !d.json && (!typed || len(p.Body) == 0) {
		return value{data: p.Body}, nil
	}
	whole, err := strictjson.One(p.Body)
	if err != nil {
		return value{}, fmt.Errorf("%s: %w", notJSON(p.Body), err)
	}
	found, err := d.pointer.Find(whole)
	if err != nil {
		return value{}, fmt.Errorf("the app's JSON has nothing where data points: %w", err)
	}
	if found.IsString() { // as in POST /publish
		text, err := found.Bytes()
		return value{data: text}, err
	}
	return value{data: bytes.Clone(found.Raw()), json: true}, nil
}

// notJSON returns what a body seems to be instead.
func notJSON(body []byte) string {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return "the app answered nothing where JSON was expected"
	case body[0] == '<':
		return "the app answered HTML where JSON was expected, such as a form to log in or an error message"
	}
	return "the app's answer is not JSON"
}
