package appcall

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/strictjson"
)

// MessageForwarderOptions are the properties of a MessageForwarder. All but Key are required.
type MessageForwarderOptions struct {
	Target   Target
	Key      string // of the signature; empty: none is sent
	Timeout  time.Duration
	MaxConns int // POSTs at a time, others wait
	MaxReply int // bytes
}

// ClientMessage is what a client sends over its connection.
type ClientMessage struct {
	Connection, User string
	Data             []byte
	JSON             bool // Data is one JSON value
}

// Reply is the app's response to a message.
type Reply struct {
	Status int
	Data   []byte
	JSON   bool // Data is one JSON value
}

// MessageForwarder posts client messages to one path of the app. Any number of goroutines may use it.
type MessageForwarder struct {
	options MessageForwarderOptions
	client  *fasthttp.HostClient
}

// NewMessageForwarder returns a forwarder. It starts nothing; connections are made when there is a message.
func NewMessageForwarder(o MessageForwarderOptions) *MessageForwarder {
	f := &MessageForwarder{options: o}
	f.client = newClient(o.MaxConns, o.MaxReply, o.Timeout, func(timeout time.Duration) (net.Conn, error) {
		return f.options.Target.dial(context.Background(), timeout)
	})
	return f
}

// Close closes the connections that wait for the next message.
func (f *MessageForwarder) Close() { f.client.CloseIdleConnections() }

// clientMessageJSON is a message on the wire.
type clientMessageJSON struct {
	Connection string `json:"connection"`
	User       string `json:"user,omitempty"`
	Data       any    `json:"data"`
	Encoding   string `json:"encoding,omitempty"`
}

func (m *ClientMessage) encode() ([]byte, error) {
	e := clientMessageJSON{Connection: m.Connection, User: m.User}
	switch {
	case m.JSON:
		e.Data = json.RawMessage(m.Data)
	case utf8.Valid(m.Data):
		e.Data = string(m.Data)
	default:
		e.Data, e.Encoding = m.Data, "base64"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(e)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Post sends a message to the app, with the client's own credentials. Whatever the app responds is a Reply; an error
// means that there is no response, and the app may have the message or not. It is never posted twice.
func (f *MessageForwarder) Post(client auth.Request, m ClientMessage) (Reply, error) {
	body, err := m.encode()
	if err != nil {
		return Reply{}, err
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(f.options.Target.url())
	req.Header.SetMethod(fasthttp.MethodPost)
	writeClient(&req.Header, &client, f.options.Target.host())
	req.Header.SetCanonical([]byte(fasthttp.HeaderContentType), []byte("application/json"))
	if f.options.Key != "" {
		req.Header.SetCanonical([]byte(SignatureField), []byte(Sign(f.options.Key, time.Now(), body)))
	}
	req.SetBodyRaw(body)
	if err := f.client.DoTimeout(req, resp, f.options.Timeout); err != nil {
		return Reply{}, fmt.Errorf("POST %s: %w", f.options.Target.Path, err)
	}
	r := Reply{Status: resp.StatusCode(), Data: bytes.Clone(resp.Body())}
	mediaType, _, _ := strings.Cut(string(resp.Header.ContentType()), ";")
	if strings.EqualFold(strings.TrimSpace(mediaType), "application/json") && len(r.Data) > 0 {
		v, err := strictjson.One(r.Data)
		if err != nil {
			return Reply{}, fmt.Errorf("POST %s: the app's response says that it is JSON: %w", f.options.Target.Path, err)
		}
		r.Data, r.JSON = v.Raw(), true
	}
	return r, nil
}
