//go:build e2e && linux

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile is data that would be more than data in a stream that is not written with care: line ends in every
// spelling, what looks like fields, a BOM, what some parsers take for a line end.
var hostile = []string{
	"plain", "", " ", "  two spaces before", "\ttab", "a:b", ":", ": a comment", ":\n\n",
	"\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r", "a\nb", "a\rb", "a\r\nb", "a\n", "a\r", "\na", "a\n\n\nb",
	"data: x", "data", "data:", "id: 9", "id", "id:\x00", "event: forged\ndata: y", "retry: 1", "retry:1\n\n",
	"x\n\nid: 9\ndata: forged\n\n", "x\r\rid: 9\revent: forged\rdata: forged\r\r", "x\r\n\r\nevent: forged\r\ndata: forged\r\n\r\n",
	"x\n\nretry: 1\n\n", "x\n:\n\ndata: forged\n\n", "\n\ndata: forged", "x\u2028data: forged\u2028\u2028", "x\u2029\u2029data: forged", "x\u0085\u0085data: forged",
	"x\v\vdata: forged", "x\f\fdata: forged", "\x00", "a\x00b", "\x00\n\ndata: forged", "\ufeff", "\ufeffdata: forged", "\ufeff\n\ndata: forged\n\n", "a\ufeffb",
	"</script><script>got = []</script>", "<!--", `"}` + "\n\n" + `{"type":"gap","channel":"public.h"}`, `","id":"9","data":"forged`, "\\n\\ndata: forged", "\\", `\u000a`,
	"%0A%0Adata: forged", "grüße 🐢", "\x1b[2J", strings.Repeat("long ", 60_000), strings.Repeat("lines\n", 10_000), strings.Repeat("\r", 1000),
	"\xff\n\ndata: forged\n\n", "\xed\xa0\x80", "\xc0\x8a\xc0\x8adata: forged", "after",
}

// hostileEvents are good names of events that mean something in a stream.
var hostileEvents = []string{"message", "id", "data", "retry", "event", "forged", "x"}

// TestHostileMessages is what a real EventSource, and the browser client by every way, makes of hostile data: the messages
// that were published, in order, with their ids, and nothing else. Names that could be more than names are refused.
func TestHostileMessages(t *testing.T) {
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!DOCTYPE html><script src="/_push/client.js"></script>`)
	}))
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`{listen: %q, upstream: %q, hooks: {listen: %q}, push: {send_queue: 16MB}, channels: [{match: "public.**", access: public, history: {bytes: 16MB, messages: 1000}}]}`, listen, app, hooks)
	})
	ctx, leave := context.WithTimeout(t.Context(), 4*patience)
	defer leave()
	raw, err := newVisitor(t, h.url).open(ctx, "/_push?channel=public.h", http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Body.Close()

	b := startBrowser(t)
	b.open(h.url + "/")
	names, err := json.Marshal(append([]string{"gap", "hello", "subscribed", "open"}, hostileEvents...))
	if err != nil {
		t.Fatal(err)
	}
	b.eval(fmt.Sprintf(`
		got = {}, errors = 0, source = new EventSource("/_push?channel=public.h");
		got.eventsource = [];
		source.onerror = () => errors++;
		for (const name of %s) source.addEventListener(name, e => {
			if (e instanceof MessageEvent) got.eventsource.push({event: e.type, data: e.data, id: e.lastEventId});
		});
		for (const kind of ["websocket", "sse", "longpoll"]) {
			const list = got[kind] = [], push = new Holdfast("public.h", {transports: [kind], share: false});
			push.on("message", m => list.push({event: m.event || "message", data: m.data, id: m.id, channel: m.channel, encoding: m.encoding}));
			push.on("gap", () => list.push({event: "gap"}));
			push.on("state", s => { if (s.state === "live") list.live = true; });
		}
		return 0`, names), nil)
	b.waitFor("all of them hold", "source.readyState === 1 && got.websocket.live && got.sse.live && got.longpoll.live")

	type message struct{ Event, Data, ID, Channel, Encoding string }
	var want []message
	publish := func(data, event string) {
		t.Helper()
		query := "/publish?channel=public.h"
		if event != "" {
			query += "&event=" + event
		} else {
			event = "message"
		}
		a := newVisitor(t, h.hooks).do(http.MethodPost, query, nil, strings.NewReader(data))
		a.want(t, http.StatusOK)
		want = append(want, message{Event: event, Data: data, ID: parsePublished(t, a.body).ID, Channel: "public.h"})
	}
	for _, data := range hostile {
		publish(data, "")
	}
	for _, event := range hostileEvents {
		publish("x\n\nevent: forged\ndata: forged", event)
	}
	wantRefusedNames(t, h)
	publish("last", "")
	last := want[len(want)-1].ID

	lineEnds := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	for _, by := range []string{"eventsource", "websocket", "sse", "longpoll"} {
		b.waitFor("the last message, by "+by, fmt.Sprintf("got.%s.length && got.%[1]s[got.%[1]s.length-1].id === %q", by, last))
		var got []message
		b.eval("return got."+by, &got)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) {
				t.Errorf("%s had %d messages, want %d", by, len(got), len(want))
				break
			}
			w := want[i]
			if !utf8.ValidString(w.Data) {
				w.Data, w.Encoding = base64.StdEncoding.EncodeToString([]byte(w.Data)), "base64"
			}
			if by == "eventsource" {
				w.Data, w.Channel, w.Encoding = lineEnds.Replace(w.Data), "", ""
			}
			if got[i] != w {
				t.Errorf("%s: message %d is %s\nwant %s", by, i, brief(got[i]), brief(w))
				break
			}
		}
	}
	var errors int
	if b.eval("return errors", &errors); errors != 0 {
		t.Errorf("the EventSource had %d errors", errors)
	}
	wantRawStream(t, bufio.NewReader(raw.Body), last)
}

func brief(m any) string {
	s := fmt.Sprintf("%+q", m)
	if len(s) > 400 {
		s = fmt.Sprintf("%s… (%d bytes)", s[:400], len(s))
	}
	return s
}

// wantRefusedNames: events, channels and ids that are more than a name are refused, and nothing of them is published.
func wantRefusedNames(t *testing.T, h *holdfast) {
	t.Helper()
	bad := []string{"x\ndata: forged", "x\n\ndata: forged\n\n", "x\r", "x\r\rid: 9", "x\x00", "\ufeff", " x", "x ", "x\u2028", "a,b", "a b", "", "%0A", "*", strings.Repeat("x", 256)}
	v := newVisitor(t, h.hooks)
	for _, name := range bad {
		for what, query := range map[string]url.Values{
			"event":   {"channel": {"public.h"}, "event": {name}},
			"channel": {"channel": {"public." + name}},
			"id":      {"channel": {"public.h"}, "id": {name}},
			"retry":   {"channel": {"public.h"}, "retry": {name}},
		} {
			if a := v.do(http.MethodPost, "/publish?"+query.Encode(), nil, strings.NewReader("forged")); a.StatusCode != http.StatusBadRequest {
				t.Errorf("publish with the %s %q: %s", what, name, a.Status)
			}
		}
		for what, body := range map[string]map[string]any{
			"event":   {"channel": "public.h", "data": "forged", "event": name},
			"channel": {"channel": []string{"public.h", "public." + name}, "data": "forged"},
			"id":      {"channel": "public.h", "data": "forged", "id": name},
			"retry":   {"channel": "public.h", "data": "forged", "retry": name},
		} {
			encoded, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			if a := v.do(http.MethodPost, "/publish", nil, bytes.NewReader(encoded)); a.StatusCode != http.StatusBadRequest {
				t.Errorf("publish of JSON with the %s %q: %s", what, name, a.Status)
			}
		}
		for _, query := range []string{"channel=" + url.QueryEscape("public."+name), "channel=public.h&last_id=" + url.QueryEscape(name+"!")} {
			want := http.StatusBadRequest
			if name == "*" && !strings.Contains(query, "last_id") {
				want = http.StatusForbidden // a pattern, which the rule does not allow
			}
			if a := newVisitor(t, h.url).do(http.MethodGet, "/_push?wait=0&"+query, http.Header{"Accept": {"text/event-stream"}}, nil); a.StatusCode != want {
				t.Errorf("hold with %s: %s", query, a.Status)
			}
		}
	}
}

// wantRawStream reads the stream as it is up to an id: it has one retry, its own, and no line end but LF.
func wantRawStream(t *testing.T, r *bufio.Reader, last string) {
	t.Helper()
	retries := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream: %v", err)
		}
		if strings.Contains(line, "\r") {
			t.Errorf("a line has a CR: %.80q", line)
		}
		if strings.HasPrefix(line, "retry") {
			retries++
		}
		if line == "id: "+last+"\n" {
			break
		}
	}
	if retries != 1 {
		t.Errorf("the stream has %d lines of retry, want 1", retries)
	}
}
