package hooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/strictjson"
)

// MessengerOptions are the properties of a Messenger. All but Others and Key are required.
type MessengerOptions struct {
	Network, Address string  // where the app listens: tcp and host:port, or unix and a path
	Others           []Place // where else, called in this order when there is no connection to those before
	Host             string  // Host to send when the client's is not known
	Path             string  // on the app; it may have a query
	Key              string  // of the signature; empty: none is sent
	Timeout          time.Duration
	MaxConns         int // posts at a time, the others wait
	MaxReply         int // bytes
}

// Said is a message of a client.
type Said struct {
	Connection, User string
	Data             []byte
	JSON             bool // Data is one JSON value
}

// Reply is the app's answer to a message.
type Reply struct {
	Status int
	Data   []byte
	JSON   bool // Data is one JSON value
}

// Messenger posts what clients say to one path of the app. Any number of goroutines may use it.
type Messenger struct {
	options MessengerOptions
	client  *fasthttp.HostClient
}

// NewMessenger returns a messenger. It starts nothing; connections are made when there is a message.
func NewMessenger(o MessengerOptions) *Messenger {
	first := Place{o.Network, o.Address}
	return &Messenger{options: o, client: newAppClient(first, o.Others, o.MaxConns, o.MaxReply, o.Timeout)}
}

// Close closes the connections that wait for the next message.
func (m *Messenger) Close() { m.client.CloseIdleConnections() }

// saidJSON is a message on the wire.
type saidJSON struct {
	Connection string `json:"connection"`
	User       string `json:"user,omitempty"`
	Data       any    `json:"data"`
	Encoding   string `json:"encoding,omitempty"`
}

func (s *Said) encode() ([]byte, error) {
	e := saidJSON{Connection: s.Connection, User: s.User}
	switch {
	case s.JSON:
		e.Data = json.RawMessage(s.Data)
	case utf8.Valid(s.Data):
		e.Data = string(s.Data)
	default:
		e.Data, e.Encoding = s.Data, "base64"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(e)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Post hands a message to the app, with the client's own credentials. Whatever the app answers is a Reply; an error
// means that there is no answer, and the app may have taken the message or not. It is never posted twice.
func (m *Messenger) Post(client auth.Request, said Said) (Reply, error) {
	body, err := said.encode()
	if err != nil {
		return Reply{}, err
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://app" + m.options.Path)
	req.Header.SetMethod(fasthttp.MethodPost)
	writeClient(&req.Header, &client, m.options.Host)
	req.Header.SetCanonical([]byte(fasthttp.HeaderContentType), []byte("application/json"))
	if m.options.Key != "" {
		req.Header.SetCanonical([]byte(SignatureField), []byte(Sign(m.options.Key, time.Now(), body)))
	}
	req.SetBodyRaw(body)
	if err := m.client.DoTimeout(req, resp, m.options.Timeout); err != nil {
		return Reply{}, fmt.Errorf("POST %s: %w", m.options.Path, err)
	}
	r := Reply{Status: resp.StatusCode(), Data: bytes.Clone(resp.Body())}
	kind, _, _ := strings.Cut(string(resp.Header.ContentType()), ";")
	if strings.EqualFold(strings.TrimSpace(kind), "application/json") && len(r.Data) > 0 {
		if r.JSON = json.Valid(r.Data); !r.JSON {
			return Reply{}, fmt.Errorf("POST %s: %w in the answer, which says that it is JSON", m.options.Path, strictjson.Error)
		}
	}
	return r, nil
}
