//go:build e2e && linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
)

// held is a client that Holdfast holds. receive returns the data of its next message.
type held interface {
	receive(t *testing.T) string
}

// holdSSE opens a stream on behalf of the visitor and returns once it has begun.
func holdSSE(t *testing.T, v *visitor, channels ...string) *sseClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	header := http.Header{"Accept": {"text/event-stream"}}
	res, err := v.open(ctx, pushPath(channels), header)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("SSE: %s\n%s", res.Status, body)
	}
	if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("SSE: Content-Type is %q", kind)
	}
	return &sseClient{bufio.NewReader(res.Body)}
}

func pushPath(channels []string) string {
	return "/_push?" + url.Values{"channel": channels}.Encode()
}

// open is do for a response that stays open.
func (v *visitor) open(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	patient := *v.http
	patient.Timeout = 0 // ctx bounds it
	return patient.Do(req)
}

type sseClient struct{ body *bufio.Reader }

func (c *sseClient) receive(t *testing.T) string {
	t.Helper()
	var data []string
	for {
		line, err := c.body.ReadString('\n')
		if err != nil {
			t.Fatalf("SSE: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" && data != nil {
			return strings.Join(data, "\n")
		}
		if value, ok := strings.CutPrefix(line, "data:"); ok {
			data = append(data, strings.TrimPrefix(value, " "))
		}
	}
}

type webSocketClient struct{ conn *websocket.Conn }

func holdWebSocket(t *testing.T, h *holdfast, channels ...string) *webSocketClient {
	t.Helper()
	return &webSocketClient{dial(t, h, pushPath(channels))}
}

func (c *webSocketClient) receive(t *testing.T) string {
	t.Helper()
	_, message, err := c.conn.ReadMessage()
	if err != nil {
		t.Fatalf("WebSocket: %v", err)
	}
	return string(message)
}

// longPollClient has one request under way, and messages of the last answer that nobody has
// received yet.
type longPollClient struct {
	v        *visitor
	path     string
	answerc  chan longPollAnswer
	messages []pushedMessage
	next     string
}

type longPollAnswer struct {
	err      error
	Messages []pushedMessage `json:"messages"`
	Next     string          `json:"next"`
}

type pushedMessage struct {
	ID      string `json:"id"`
	Channel string `json:"channel"`
	Event   string `json:"event"`
	Data    string `json:"data"`
}

func holdLongPoll(t *testing.T, v *visitor, channels ...string) *longPollClient {
	t.Helper()
	c := &longPollClient{v: v, path: pushPath(channels) + "&wait=60"}
	c.poll(t)
	return c
}

func (c *longPollClient) poll(t *testing.T) {
	path := c.path
	if c.next != "" {
		path += "&last_id=" + url.QueryEscape(c.next)
	}
	c.answerc = make(chan longPollAnswer, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	go func(answerc chan<- longPollAnswer) {
		var a longPollAnswer
		a.err = c.v.fetchJSON(ctx, path, &a)
		answerc <- a
	}(c.answerc)
}

func (v *visitor) fetchJSON(ctx context.Context, path string, into any) error {
	res, err := v.open(ctx, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w in %s", err, body)
	}
	return nil
}

func (c *longPollClient) receive(t *testing.T) string {
	t.Helper()
	for len(c.messages) == 0 {
		a := <-c.answerc
		if a.err != nil {
			t.Fatalf("long poll: %v", a.err)
		}
		c.messages, c.next = a.Messages, a.Next
		c.poll(t)
	}
	m := c.messages[0]
	c.messages = c.messages[1:]
	return m.Data
}

// published is what POST /publish answers.
type published struct {
	ID          string `json:"id"`
	Subscribers int    `json:"subscribers"`
}

func (h *holdfast) publish(t *testing.T, channel, data string) published {
	t.Helper()
	a := newVisitor(t, h.hooks).do(http.MethodPost, "/publish?"+url.Values{"channel": {channel}}.Encode(),
		http.Header{"Content-Type": {"text/plain"}}, strings.NewReader(data))
	a.want(t, http.StatusOK)
	return parsePublished(t, a.body)
}

func parsePublished(t *testing.T, body string) published {
	t.Helper()
	var p published
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("publish answered %q: %v", body, err)
	}
	if p.ID == "" {
		t.Errorf("publish answered %q: no id", body)
	}
	return p
}

// waitSubscribers waits until the channel has n subscribers.
func (h *holdfast) waitSubscribers(t *testing.T, channel string, n int) {
	t.Helper()
	v := newVisitor(t, h.hooks)
	deadline := time.Now().Add(patience)
	for {
		a := v.do(http.MethodGet, "/channels/"+url.PathEscape(channel), nil, nil)
		var c struct {
			Subscribers int `json:"subscribers"`
		}
		if a.StatusCode == http.StatusOK {
			if err := json.Unmarshal([]byte(a.body), &c); err != nil {
				t.Fatalf("/channels/%s answered %q: %v", channel, a.body, err)
			}
		}
		if c.Subscribers == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("channel %s has %d subscribers after %v, want %d (%s)", channel, c.Subscribers, patience, n, a.body)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestPushReachesEveryTransport sends one POST to the API, and a WebSocket, an SSE stream and a long
// poll have the message.
func TestPushReachesEveryTransport(t *testing.T) {
	h := startHoldfast(t, "http://"+freeAddr(t), "") // no app listens there, and none is needed
	const channel = "public.news"
	clients := map[string]held{
		"websocket": holdWebSocket(t, h, channel),
		"sse":       holdSSE(t, newVisitor(t, h.url), channel),
		"long poll": holdLongPoll(t, newVisitor(t, h.url), channel, "public.other"),
	}
	h.waitSubscribers(t, channel, len(clients))

	for _, message := range []string{"hello", "grüße 🐢", `{"parcel": 42}`} {
		// A long poll between two requests is not subscribed, and catches up by the id it has.
		p := h.publish(t, channel, message)
		if p.Subscribers < 2 || p.Subscribers > len(clients) {
			t.Errorf("%q was published to %d subscribers", message, p.Subscribers)
		}
		for name, c := range clients {
			if got := c.receive(t); got != message {
				t.Errorf("%s received %q, want %q", name, got, message)
			}
		}
	}
}

func TestPushIsRefused(t *testing.T) {
	h := startHoldfast(t, "http://"+freeAddr(t), "/authorize")
	for name, c := range map[string]struct {
		path   string
		header http.Header
		status int
	}{
		"channel that no rule matches": {"/_push?channel=secret", nil, http.StatusForbidden},
		"no channel":                   {"/_push", nil, http.StatusBadRequest},
		"other origin":                 {"/_push?channel=public.news", http.Header{"Origin": {"http://elsewhere.example"}}, http.StatusForbidden},
		"app that cannot be asked":     {"/_push?channel=private.members", nil, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			a := newVisitor(t, h.url).do(http.MethodGet, c.path, c.header, nil)
			a.want(t, c.status)
			if !json.Valid([]byte(a.body)) {
				t.Errorf("the reason is no JSON: %q", a.body)
			}
		})
	}
	t.Run("page of another origin publishes", func(t *testing.T) {
		a := newVisitor(t, h.hooks).do(http.MethodPost, "/publish?channel=public.news",
			http.Header{"Origin": {h.url}}, strings.NewReader("hello"))
		a.want(t, http.StatusForbidden)
	})
}
