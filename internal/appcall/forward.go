package appcall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/strictjson"
)

// Errors of a response that has arrived. The texts are for clients, too.
var (
	ErrReplyTooLarge = errors.New("the app's response is larger than push.max_reply")
	ErrReplyInvalid  = errors.New("the app's response is not the JSON that its Content-Type says")
	ErrReplyCut      = errors.New("the app closed the connection without a response, as a crash would")
)

// streamedFrom is the size from which a message's body is streamed, and not built in memory.
const streamedFrom = 64 << 10

// MessageForwarderOptions are the properties of a MessageForwarder. All but Key are required.
type MessageForwarderOptions struct {
	Target   Target
	Key      string // of the signature; empty: none is sent
	Timeout  time.Duration
	MaxConns int // POSTs at a time, others wait
	MaxReply int // bytes of a response's body
}

// ClientMessage is what a client sends over its connection.
type ClientMessage struct {
	Connection, User string
	Data             []byte // UTF-8 unless it is Binary
	JSON             bool   // Data is one JSON value
	Binary           bool   // it came in a binary frame
}

// Reply is the app's response to a message.
type Reply struct {
	Status int
	Data   []byte
	JSON   bool // Data is one JSON value
	Binary bool // by its Content-Type, or because it is not UTF-8
	None   bool // nothing is sent to the client, not even an empty message
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

// Post sends a message to the app, with the client's own credentials. Any response of the app is a Reply. One of the
// errors above means that the app has the message; any other that there is no response, and the app may or may not have
// it. A message is never posted twice.
func (f *MessageForwarder) Post(client auth.Request, m ClientMessage) (Reply, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(f.options.Target.url())
	req.Header.SetMethod(fasthttp.MethodPost)
	writeClient(&req.Header, &client, &f.options.Target)
	req.Header.SetCanonical([]byte(fasthttp.HeaderContentType), []byte("application/json"))
	if f.options.Key != "" {
		signature := signStream(f.options.Key, time.Now(), m.body())
		req.Header.SetCanonical([]byte(SignatureField), []byte(signature))
	}
	err := f.send(req, resp, &m)
	if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		err = ErrReplyTooLarge
	}
	if err != nil {
		return Reply{}, fmt.Errorf("POST %s: %w", f.options.Target.Path, err)
	}
	r, err := parseReply(resp)
	if err != nil {
		return Reply{}, fmt.Errorf("POST %s: %w", f.options.Target.Path, err)
	}
	return r, nil
}

// send posts the body, a long one as a stream. The client posts no stream again, so that what it does for connections that
// are stale before a byte is written to them is done here.
func (f *MessageForwarder) send(req *fasthttp.Request, resp *fasthttp.Response, m *ClientMessage) (err error) {
	if len(m.Data) < streamedFrom {
		var b bytes.Buffer
		b.ReadFrom(m.body()) // into memory
		req.SetBodyRaw(b.Bytes())
		return f.client.DoTimeout(req, resp, f.options.Timeout)
	}
	size, _ := io.Copy(io.Discard, m.body()) // from memory
	deadline := time.Now().Add(f.options.Timeout)
	for range f.options.MaxConns + 1 {
		req.SetBodyStream(m.body(), int(size))
		if err = f.client.DoTimeout(req, resp, time.Until(deadline)); !errors.Is(err, errStaleConn) {
			return err
		}
	}
	return err
}

// parseReply reads the app's response. Its Content-Type decides the kind of frame for the client. With 204, and other
// 2xx without a body, nothing is sent; with an empty 200, an empty message is.
func parseReply(resp *fasthttp.Response) (Reply, error) {
	r := Reply{Status: resp.StatusCode(), Data: bytes.Clone(resp.Body())}
	mediaType, _, _ := strings.Cut(string(resp.Header.ContentType()), ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	isJSON := mediaType == "application/json" || strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json")
	switch {
	case len(r.Data) == 0 && r.Status != fasthttp.StatusOK:
		r.None = true
	case len(r.Data) == 0 && endedByClose(resp):
		return Reply{}, ErrReplyCut
	case len(r.Data) > 0 && isJSON:
		v, err := strictjson.One(r.Data)
		if err != nil {
			return Reply{}, fmt.Errorf("%w: %w", ErrReplyInvalid, err)
		}
		r.Data, r.JSON = v.Raw(), true
	default:
		r.Binary = !isJSON && !isText(mediaType) || !utf8.Valid(r.Data)
	}
	return r, nil
}

// isText reports whether a media type is one of text. So is none.
func isText(mediaType string) bool {
	main, sub, _ := strings.Cut(mediaType, "/")
	switch main {
	case "", "text":
		return true
	case "application", "image":
		return sub == "xml" || sub == "javascript" || sub == "x-www-form-urlencoded" || strings.HasSuffix(sub, "+xml")
	}
	return false
}
