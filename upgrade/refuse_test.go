package upgrade_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestRefusals: raw bytes in, a status and a JSON reason out; nothing is held and the app is not asked.
func TestRefusals(t *testing.T) {
	ws := func(change ...string) string {
		s := request("websocket", "/_push?channel=public.a")
		for i := 0; i+1 < len(change); i += 2 {
			s = strings.Replace(s, change[i], change[i+1], 1)
		}
		return s
	}
	many := "/_push?channel=public.a" + strings.Repeat("&channel=public.a", 10000)
	for _, tt := range []struct {
		name, sent string
		status     int
		reason     string
	}{
		{"no channel", request("longpoll", "/_push"), 400, "no channel"},
		{"empty channel", request("longpoll", "/_push?channel="), 400, "empty"},
		{"no rule", request("longpoll", "/_push?channel=secret.a"), 403, "no rule"},
		{"one of two without a rule", request("longpoll", "/_push?channel=public.a&channel=secret.a"), 403, "no rule"},
		{"comma", request("longpoll", "/_push?channel=public.a,b"), 400, "','"},
		{"space", request("longpoll", "/_push?channel=public.a+b"), 400, "' '"},
		{"CR", request("longpoll", "/_push?channel=public.a%0d"), 400, "0x0d"},
		{"NUL", request("longpoll", "/_push?channel=public.%00"), 400, "0x00"},
		{"star", request("longpoll", "/_push?channel=public.x*"), 400, "whole last segment"},
		{"dots", request("longpoll", "/_push?channel=public..a"), 400, "empty segment"},
		{"leading dot", request("longpoll", "/_push?channel=.a"), 400, "dot"},
		{"percent of a percent", request("longpoll", "/_push?channel=public.%252e%252e"), 400, "'%'"},
		{"look-alike", request("longpoll", "/_push?channel=p%D1%83blic.a"), 400, "0xd1"},
		{"encoded dots", request("longpoll", "/_push?channel=public%2e%2e%2fx"), 400, "empty segment"},
		{"line end and a field", request("longpoll", "/_push?channel=public.a%0d%0aX-Y:%20z"), 400, "0x0d"},
		{"look-alike of full width", request("longpoll", "/_push?channel=public%EF%BC%8Ea"), 400, "0xef"},
		{"two stars", request("longpoll", "/_push?channel=public.**.x"), 400, "'*'"},
		{"braces", request("longpoll", "/_push?channel=user.%7Buser%7D"), 400, "'{'"},
		{"long", request("longpoll", "/_push?channel=public."+strings.Repeat("a", 300)), 400, "255"},
		{"10,000 channels", request("longpoll", many), 431, "head"},
		{"33 channels", request("longpoll", "/_push?channel=public.a"+strings.Repeat("&channel=public.a", 32)), 400, "32"},
		{"bad last_id", request("longpoll", "/_push?channel=public.a&last_id=abc"), 400, "last_id"},
		{"bad Last-Event-ID", request("sse", "/_push?channel=public.a", "Last-Event-ID: ../x"), 400, "last_id"},
		{"bad wait", request("longpoll", "/_push?channel=public.a&wait=soon"), 400, "wait"},
		{"negative wait", request("longpoll", "/_push?channel=public.a&wait=-1"), 400, "wait"},
		{"POST", "POST /_push?channel=public.a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405, "GET"},
		{"below the path", request("longpoll", "/_push/x?channel=public.a"), 404, "path"},
		{"a body", "GET /_push?channel=public.a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400, "body"},
		{"WebSocket version", ws("Version: 13", "Version: 8"), 426, "13"},
		{"no WebSocket version", ws("Sec-WebSocket-Version: 13\r\n", ""), 426, "13"},
		{"short key", ws(key, "eA=="), 400, "Sec-WebSocket-Key"},
		{"key that is not base64", ws(key, "!!!!!!!!!!!!!!!!!!!!!!!!"), 400, "Sec-WebSocket-Key"},
		{"no key", ws("Sec-WebSocket-Key: "+key+"\r\n", ""), 400, "Sec-WebSocket-Key"},
		{"two keys", ws("Connection: Upgrade", "Connection: Upgrade\r\nSec-WebSocket-Key: "+key), 400, "Sec-WebSocket-Key"},
		{"two versions", ws("Connection: Upgrade", "Connection: Upgrade\r\nSec-WebSocket-Version: 13"), 400, "Sec-WebSocket-Version"},
		{"a token that only contains upgrade", ws("Connection: Upgrade", "Connection: upgrades"), 400, "Connection"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			c := wiretest.Dial(t, w.addr)
			c.Send(tt.sent)
			resp, body := c.Response(http.MethodGet)
			var e struct{ Error string }
			if err := json.Unmarshal([]byte(body), &e); err != nil || resp.StatusCode != tt.status || !strings.Contains(e.Error, tt.reason) {
				t.Errorf("answered %d %q; want %d and %q in the reason", resp.StatusCode, body, tt.status, tt.reason)
			}
			if resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type %q", resp.Header.Get("Content-Type"))
			}
			if w.held() != 0 || w.app.Sent() != "" || w.rejected() != 1 {
				t.Errorf("%d held, the app was sent %q, %d counted", w.held(), w.app.Sent(), w.rejected())
			}
		})
	}
}

// TestOtherPathsGoToTheApp: only the path itself and what is below it is ours; no other spelling of it, and no path of
// the API listener.
func TestOtherPathsGoToTheApp(t *testing.T) {
	w := start(t)
	for _, target := range []string{"/_pushy?channel=public.a", "/%5fpush?channel=public.a", "//_push", "/a/../_push?channel=public.a", "/_PUSH", "/_push;a=b", "/x?/_push",
		"/publish?channel=public.a", "/subscribe", "/disconnect", "/channels", "/channels/public.a/messages", "/connections", "/metrics", "/healthz", "/readyz"} {
		c := wiretest.Dial(t, w.addr)
		c.Send(request("longpoll", target))
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != target {
			t.Errorf("%s: answered %d %q; want the app's answer", target, resp.StatusCode, body)
		}
	}
	if w.held() != 0 {
		t.Errorf("%d are held", w.held())
	}
}

func TestAuthorize(t *testing.T) {
	for _, tt := range []struct {
		name    string
		verdict auth.Result
		err     error
		query   string
		status  int      // 0: held
		hears   []string // of user.a, user.b, public.a
	}{
		{"allowed", auth.Result{Allowed: true}, nil, "channel=user.a&channel=user.b", 0, []string{"user.a", "user.b"}},
		{"beside public", auth.Result{Allowed: true}, nil, "channel=public.a&channel=user.a", 0, []string{"user.a", "public.a"}},
		{"narrowed", auth.Result{Allowed: true, Channels: []string{"user.b"}}, nil, "channel=user.a&channel=user.b&channel=public.a", 0, []string{"user.b", "public.a"}},
		{"narrowed to nothing", auth.Result{Allowed: true, Channels: []string{}}, nil, "channel=user.a", 403, nil},
		{"401", auth.Result{Status: 401}, nil, "channel=user.a", 401, nil},
		{"403", auth.Result{Status: 403}, nil, "channel=user.a&channel=public.a", 403, nil},
		{"no verdict", auth.Result{}, errors.New("connection refused"), "channel=user.a", 503, nil},
		{"no verdict, yet allowed", auth.Result{Allowed: true}, errors.New("timed out"), "channel=user.a", 503, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(t *testing.T, kind string) {
				var mu sync.Mutex
				var asked []auth.Request
				w := start(t, func(o *upgrade.Options) {
					o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
						mu.Lock()
						defer mu.Unlock()
						asked = append(asked, q)
						return tt.verdict, tt.err
					})
				})
				fields := []string{"Cookie: session=anna", "Cookie: b=c", "User-Agent: me", "X-Forwarded-For: 6.6.6.6"}
				c := wiretest.Dial(t, w.addr)
				if tt.status != 0 {
					c.Send(request(kind, "/_push?"+tt.query, fields...))
					if resp, body := c.Response(http.MethodGet); wires[kind].postponed && tt.status == 503 {
						wantPostponed(t, resp, body)
					} else if resp.StatusCode != tt.status || !strings.Contains(body, `{"error":"`) {
						t.Fatalf("answered %d %s; want %d", resp.StatusCode, body, tt.status)
					}
					if w.held() != 0 {
						t.Errorf("%d are held", w.held())
					}
				} else {
					h := w.hold(t, kind, tt.query, fields...)
					w.waitHeld(t, 1)
					for _, channel := range []string{"user.a", "user.b", "public.a"} {
						i, _ := w.hub.Channel(channel)
						if want := slices.Contains(tt.hears, channel); (i.Subscribers == 1) != want {
							t.Errorf("%d subscribers of %s", i.Subscribers, channel)
						}
					}
					w.publish(t, "hello", tt.hears[0])
					h.expect("hello")
				}
				mu.Lock()
				defer mu.Unlock()
				q := asked[0]
				if q.Cookie != "session=anna; b=c" || q.UserAgent != "me" || q.Host != "app.test" || q.ClientAddr != "127.0.0.1" ||
					q.ForwardedFor != "127.0.0.1" || q.ForwardedHost != "app.test" || q.ForwardedPort != "80" || q.Proto != "http" {
					t.Errorf("asked %+v", q)
				}
				if slices.Contains(q.Channels, "public.a") || len(q.Channels) == 0 {
					t.Errorf("asked for %v", q.Channels)
				}
			})
		})
	}
}

// TestSlowAuthorizeBlocksNoLoop: workers wait for the app, the loop does not.
func TestSlowAuthorizeBlocksNoLoop(t *testing.T) {
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	w := start(t, func(o *upgrade.Options) {
		o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
			<-release
			return auth.Result{Allowed: true}, nil
		})
	})
	var waiting []*client
	for range 20 {
		waiting = append(waiting, w.hold(t, "longpoll", "channel=user.a"))
	}
	open := w.hold(t, "sse", "channel=public.a")
	w.waitHeld(t, 1)
	w.publish(t, "on time", "public.a")
	open.expect("on time")
	free()
	w.waitHeld(t, 21)
	w.publish(t, "late", "user.a")
	for _, c := range waiting {
		c.expect("late")
	}
}

// TestMaxConnections: one more than push.max_connections is told when to come again.
func TestMaxConnections(t *testing.T) {
	w := start(t, func(o *upgrade.Options) { o.MaxConnections = 2 })
	for range 2 {
		w.hold(t, "sse", "channel=public.a")
	}
	w.waitHeld(t, 2)
	c := wiretest.Dial(t, w.addr)
	c.Send(request("longpoll", "/_push?channel=public.a"))
	if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("answered %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

// TestLongPollAndTheNextRequest: the connection goes on, also when the next request came early.
func TestLongPollAndTheNextRequest(t *testing.T) {
	w := start(t)
	c := wiretest.Dial(t, w.addr)
	c.Send(request("longpoll", "/_push?channel=public.a"))
	w.waitHeld(t, 1)
	c.Send("GET /app HTTP/1.1\r\nHost: x\r\n\r\n" + request("longpoll", "/_push?channel=public.b"))
	time.Sleep(5 * time.Millisecond) // it is read while the poll is held
	w.publish(t, "one", "public.a")
	if _, body := c.Response(http.MethodGet); !strings.Contains(body, `"data":"one"`) {
		t.Fatalf("answered %s", body)
	}
	if _, body := c.Response(http.MethodGet); body != "/app" {
		t.Fatalf("answered %s; want the app", body)
	}
	w.waitHeld(t, 1)
	w.publish(t, "two", "public.b")
	if _, body := c.Response(http.MethodGet); !strings.Contains(body, `"data":"two"`) {
		t.Fatalf("answered %s", body)
	}
	c.Send("GET /again HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, body := c.Response(http.MethodGet); body != "/again" {
		t.Fatalf("answered %s", body)
	}
}

// TestNextRequestInThePollsPacket: a poll that is answered at once does not swallow what came with it.
func TestNextRequestInThePollsPacket(t *testing.T) {
	w := start(t)
	first := w.publish(t, "one", "public.a")
	w.publish(t, "two", "public.a")
	for _, poll := range []string{"/_push?channel=public.a&wait=0", "/_push?channel=public.a&last_id=" + first} {
		c := wiretest.Dial(t, w.addr)
		c.Send(request("longpoll", poll) + "POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 44\r\n\r\n")
		if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 200 {
			t.Fatalf("answered %d", resp.StatusCode)
		}
		c.Send("GET /smuggled HTTP/1.1\r\nHost: x\r\nA: bcdef\r\n\r\n"[:44])
		if _, body := c.Response(http.MethodPost); body != "/app" {
			t.Fatalf("answered %q; want the app's answer to the POST", body)
		}
		if strings.Contains(w.app.Sent(), "GET /smuggled") && !strings.Contains(w.app.Sent(), "\r\n\r\nGET /smuggled") {
			t.Fatalf("the app was sent %q", w.app.Sent())
		}
	}
}

// TestNextRequestWhileTheAnswerIsTaken: the client takes what the kernel had of an answer and sends its next
// request, all before the loop looks: that it may write the rest and that there is something to read
// come as one event.
func TestNextRequestWhileTheAnswerIsTaken(t *testing.T) {
	w := start(t)
	size := wiretest.KernelTakes // found out in the first round: a little more than the kernel takes
	for range 4 {
		c := wiretest.Dial(t, w.addr)
		c.Send(request("longpoll", "/_push?channel=public.a"))
		w.waitHeld(t, 1)
		w.publish(t, strings.Repeat("x", size), "public.a")
		w.waitHeld(t, 0)
		var stopped sync.WaitGroup
		gate := make(chan struct{})
		for _, l := range w.poller.Loops() {
			stopped.Add(1)
			l.Post(func() { stopped.Done(); <-gate })
		}
		stopped.Wait()
		waits := int(w.keeper.Stats().SendQueue)
		c.Send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		taken, err := io.ReadAll(c.Reader)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		close(gate)
		c.SetReadDeadline(time.Now().Add(wiretest.Timeout))
		c.Reader = bufio.NewReader(io.MultiReader(bytes.NewReader(taken), c.Conn))
		if _, body := c.Response(http.MethodGet); len(body) < size || !strings.HasSuffix(body, "\"}\n") {
			t.Fatalf("answered %d bytes; want %d and a little", len(body), size)
		}
		if _, body := c.Response(http.MethodGet); body != "/next" {
			t.Fatalf("answered %s; want /next", body)
		}
		size += 64<<10 - waits
	}
}

// TestLongPollAnswerIsBounded: what is more than an outbox comes with the next poll; nothing is lost.
func TestLongPollAnswerIsBounded(t *testing.T) {
	w := start(t)
	first := w.publish(t, "first", "public.a")
	data := strings.Repeat("x", 10<<10)
	for i := range 40 {
		w.publish(t, fmt.Sprint(i, data), "public.a")
	}
	c := w.hold(t, "longpoll", "channel=public.a&last_id="+first)
	c.target = "/_push?channel=public.a"
	polls := 0
	for i := range 40 {
		if len(c.queue) == 0 {
			polls++
		}
		if m := c.recv(); m.Data != fmt.Sprint(i, data) {
			t.Fatalf("message %d is %.20q", i, m.Data)
		}
		if n := len(c.queue) + 1; n*len(data) > 64<<10+len(data) {
			t.Fatalf("%d messages in one answer", n)
		}
	}
	if polls < 6 {
		t.Errorf("%d polls for 400 kB with an outbox of 64 kB", polls)
	}
}

// TestLongPollWait: an empty list when the time runs out, by the query or by Prefer (RFC 7240).
func TestLongPollWait(t *testing.T) {
	long := func(o *upgrade.Options) { o.Wait, o.MaxWait = time.Hour, time.Second }
	short := func(o *upgrade.Options) { o.Wait, o.MaxWait = 100*time.Millisecond, time.Hour }
	var list []*wiretest.Client
	var sent []string
	for _, tt := range []struct {
		options func(*upgrade.Options)
		sent    []string
	}{
		{long, []string{
			request("longpoll", "/_push?channel=public.a&wait=0"),
			request("longpoll", "http://app.test/_push?channel=public.a&wait=0"),
			request("longpoll", "/_push?channel=public.a&wait=1"),
			request("longpoll", "/_push?channel=public.a", "Prefer: respond-async, wait=1"),
			request("longpoll", "/_push?channel=public.a", "Prefer: respond-async", "Prefer: Wait=\"1\"; x=y, wait=abc"),
			request("longpoll", "/_push?channel=public.a", `Prefer: a="\", wait=abc", WAIT = 1 ;b="c;d"`),
			request("longpoll", "/_push?channel=public.a&wait=99999"), // no longer than push.poll_max_wait
		}},
		{short, []string{
			request("longpoll", "/_push?channel=public.a"),
			request("longpoll", "/_push?channel=public.a", "Prefer: wait=soon"), // which is ignored
		}},
	} {
		w := start(t, tt.options)
		for _, s := range tt.sent { // they wait at the same time
			c := wiretest.Dial(t, w.addr)
			c.Send(s)
			list, sent = append(list, c), append(sent, s)
		}
	}
	for i, c := range list {
		resp, body := c.Response(http.MethodGet)
		if resp.StatusCode != 200 || !strings.Contains(body, `"messages":[],"next":"`) || resp.Close {
			t.Errorf("%.60q: answered %d %s", sent[i], resp.StatusCode, body)
		}
	}
	c := wiretest.Dial(t, start(t).addr)
	c.Send("GET /_push?channel=public.a&wait=0 HTTP/1.0\r\n\r\n")
	if all, reset := c.Rest(); reset || !strings.Contains(all, "Connection: close\r\n") || !strings.HasSuffix(all, "}\n") {
		t.Errorf("HTTP/1.0: answered %q, reset %v", all, reset)
	}
}

// TestNothingIsLostBetweenPolls: a publisher that does not wait, and polls one after the other.
func TestNothingIsLostBetweenPolls(t *testing.T) {
	w := start(t)
	const messages = 2000
	c := w.hold(t, "longpoll", "channel=public.a")
	w.waitHeld(t, 1)
	go func() {
		for i := range messages {
			w.publish(t, fmt.Sprint(i), "public.a")
			if i%50 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for i := range messages {
		c.expect(fmt.Sprint(i))
	}
}

// TestBehindAProxy: a TLS terminator says scheme, host and client; the origin and the app's question follow.
func TestBehindAProxy(t *testing.T) {
	asked := make(chan auth.Request, 1)
	path := filepath.Join(t.TempDir(), "access.log")
	log := openAccessLog(t, path)
	w := startBehind(t, netip.Addr.IsLoopback, func(o *upgrade.Options) {
		o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
			asked <- q
			return auth.Result{Allowed: true}, nil
		})
		o.Access = log
	})
	from := []string{"Origin: https://www.app.test", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.app.test", "X-Forwarded-For: 6.6.6.6, 192.0.2.7", "User-Agent: me"}
	w.hold(t, "sse", "channel=user.a", from...)
	if q := <-asked; q.ClientAddr != "192.0.2.7" || q.ForwardedFor != "6.6.6.6, 192.0.2.7, 127.0.0.1" ||
		q.Proto != "https" || q.Host == "www.app.test" || q.ForwardedHost != "www.app.test" || q.ForwardedPort != "443" {
		t.Errorf("asked %+v", q)
	}
	c := wiretest.Dial(t, w.addr)
	c.Send(request("sse", "/_push?channel=none", from...))
	c.Response(http.MethodGet)
	var lines []string
	wiretest.Eventually(t, "two lines in the access log", func() bool {
		log.Flush()
		b, _ := os.ReadFile(path)
		lines = strings.Split(strings.TrimSpace(string(b)), "\n")
		return len(lines) == 2
	})
	for i, want := range []string{`"GET /_push?channel=user.a HTTP/1.1" 200 0 "-" "me"`, `"GET /_push?channel=none HTTP/1.1" 403 37 "-" "me"`} {
		if !strings.HasPrefix(lines[i], "192.0.2.7 - - [") || !strings.HasSuffix(lines[i], want) {
			t.Errorf("logged %s; want %s", lines[i], want)
		}
	}
}

// hinted is an error that tells the app's developer something.
type hinted struct{ error }

func (hinted) Hint() string { return "the app answered HTML" }

// TestRefusalCarriesHint: the developer who looks at the response sees what the app did; no detail of the error.
func TestRefusalCarriesHint(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("GET /x: %w", hinted{errors.New("at offset 7: secret")}), `{"error":"could not be authorized now","hint":"the app answered HTML"}` + "\n"},
		{errors.New("secret"), `{"error":"could not be authorized now"}` + "\n"},
	} {
		run(t, func(t *testing.T, kind string) {
			w := start(t, func(o *upgrade.Options) {
				o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { return auth.Result{}, tt.err })
			})
			c := wiretest.Dial(t, w.addr)
			c.Send(request(kind, "/_push?channel=user.a"))
			if resp, body := c.Response(http.MethodGet); wires[kind].postponed {
				wantPostponed(t, resp, body)
				if hinted := strings.Contains(tt.want, "HTML"); strings.Contains(body, "HTML") != hinted || strings.Contains(body, "secret") {
					t.Errorf("%v: the stream says %q", tt.err, body)
				}
			} else if resp.StatusCode != 503 || body != tt.want {
				t.Errorf("%v: responded %d %q; want 503 %q", tt.err, resp.StatusCode, body, tt.want)
			}
		})
	}
}

// wantPostponed checks the response to an event stream that can't begin: a browser comes back after it.
func wantPostponed(t *testing.T, resp *http.Response, body string) {
	t.Helper()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || !strings.Contains(body, "\nretry: ") || strings.Contains(body, "data:") {
		t.Errorf("responded %d %v %q; want a stream that tells when to come back", resp.StatusCode, resp.Header, body)
	}
}

// TestAppFieldsReachClient: what the app sets, demands and asks for with its response comes with Holdfast's.
func TestAppFieldsReachClient(t *testing.T) {
	cookies := []string{"remember=new; Path=/; HttpOnly", "SID=2; Path=/", "SID=3; Path=/shop"}
	for _, tt := range []struct {
		name       string
		verdict    auth.Result
		err        error
		challenges []string
		retry      string
	}{
		{"allowed", auth.Result{Allowed: true, SetCookie: cookies}, nil, nil, ""},
		{"401", auth.Result{Status: 401, SetCookie: cookies, Challenge: []string{`Basic realm="a"`, "Negotiate"}}, nil, []string{`Basic realm="a"`, "Negotiate"}, ""},
		{"403", auth.Result{Status: 403, SetCookie: cookies}, nil, nil, ""},
		{"503", auth.Result{SetCookie: cookies, RetryAfter: "120"}, errors.New("status 503"), nil, "120"},
		{"503 without", auth.Result{}, errors.New("status 503"), nil, "5"},
	} {
		for _, kind := range kinds {
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				w := start(t, func(o *upgrade.Options) {
					o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { return tt.verdict, tt.err })
				})
				c := wiretest.Dial(t, w.addr)
				c.Send(request(kind, "/_push?channel=user.a&wait=0"))
				resp, err := http.ReadResponse(c.Reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := resp.Header["Set-Cookie"]; !slices.Equal(got, tt.verdict.SetCookie) {
					t.Errorf("Set-Cookie %q; want %q", got, tt.verdict.SetCookie)
				}
				if got := resp.Header["Www-Authenticate"]; !slices.Equal(got, tt.challenges) {
					t.Errorf("WWW-Authenticate %q; want %q", got, tt.challenges)
				}
				if got := resp.Header.Get("Retry-After"); !wires[kind].postponed && got != tt.retry {
					t.Errorf("Retry-After %q; want %q", got, tt.retry)
				}
			})
		}
	}
}

// TestPostponedStreamWaits: the app's Retry-After is how long a browser stays away at least.
func TestPostponedStreamWaits(t *testing.T) {
	w := start(t, func(o *upgrade.Options) {
		o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
			return auth.Result{RetryAfter: "120"}, errors.New("down")
		})
	})
	c := wiretest.Dial(t, w.addr)
	c.Send(request("sse", "/_push?channel=user.a"))
	_, body := c.Response(http.MethodGet)
	_, text, _ := strings.Cut(body, "retry: ")
	var retry int
	if _, err := fmt.Sscan(text, &retry); err != nil || retry < 120_000 || retry > 240_000 {
		t.Errorf("the stream says %q; want a retry of 120 to 240 s", body)
	}
}

// TestReplacedSessionIsAuthorizedAgain: an app that replaced the session while it allowed is asked again with the new
// one.
func TestReplacedSessionIsAuthorizedAgain(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	w := start(t, func(o *upgrade.Options) {
		o.LogoutCookies = []string{"SID"}
		o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, q.Cookie)
			if strings.Contains(q.Cookie, "SID=old") {
				return auth.Result{Allowed: true, User: "anna", SetCookie: []string{"SID=new; Path=/", "gone=; Max-Age=0", "more=1"}}, nil
			}
			return auth.Result{Allowed: true, User: "anna"}, nil
		})
	})
	w.hold(t, "sse", "channel=user.a", "Cookie: a=b; gone=x; SID=old")
	w.waitHeld(t, 1)
	w.keeper.AskAgain(w.keeper.Credentials([][]byte{[]byte("SID=new")}, nil))
	wiretest.Eventually(t, "the app is asked again", func() bool { mu.Lock(); defer mu.Unlock(); return len(asked) == 2 })
	if want := "a=b; SID=new; more=1"; asked[1] != want {
		t.Errorf("asked with %q; want %q", asked[1], want)
	}
	w.keeper.LogOut(w.keeper.Credentials([][]byte{[]byte("SID=new")}, nil))
	w.waitHeld(t, 0)
}

// TestSessionCookieLimit: sixteen sessions of one client are known; with one more it is refused, also beside a public
// channel, the app is not asked, and the log names the key.
func TestSessionCookieLimit(t *testing.T) {
	cookies := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("SID_%d=x", i), fmt.Sprintf("other_%d=x", i))
		}
		return "Cookie: " + strings.Join(list, "; ") + "; SID_0=x"
	}
	for _, tt := range []struct {
		channel string
		cookies int
		status  int
		asked   int64
	}{
		{"user.a", auth.MaxCredentials, 0, 1},
		{"user.a", auth.MaxCredentials + 1, 400, 0},
		{"public.a", auth.MaxCredentials, 0, 0},
		{"public.a", auth.MaxCredentials + 1, 400, 0},
		{"public.a", 3 * auth.MaxCredentials, 400, 0},
	} {
		t.Run(fmt.Sprint(tt.channel, " ", tt.cookies), func(t *testing.T) {
			var log shared
			var asked atomic.Int64
			w := start(t, func(o *upgrade.Options) {
				o.LogoutCookies = []string{"SID_*"}
				o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
					asked.Add(1)
					return auth.Result{Allowed: true}, nil
				})
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			const line = `reason="too many session cookies; see push.logout.cookies" client=127.0.0.1:`
			if tt.status == 0 {
				w.hold(t, "sse", "channel="+tt.channel, cookies(tt.cookies))
				w.waitHeld(t, 1)
			} else {
				c := wiretest.Dial(t, w.addr)
				c.Send(request("sse", "/_push?channel="+tt.channel, cookies(tt.cookies)))
				resp, body := c.Response(http.MethodGet)
				if resp.StatusCode != tt.status || body != `{"error":"more than 16 session cookies"}`+"\n" {
					t.Errorf("answered %d %s", resp.StatusCode, body)
				}
			}
			if refused := tt.status != 0; bytes.Contains(log.bytes(), []byte(line)) != refused || (w.rejected() == 1) != refused {
				t.Errorf("%d counted, logged:\n%s", w.rejected(), log.bytes())
			}
			if asked.Load() != tt.asked {
				t.Errorf("the app was asked %d times; want %d", asked.Load(), tt.asked)
			}
		})
	}
}

// TestDeniedWithoutCookieIsExplained: once, and only where the client sent nothing that the app could know it by.
func TestDeniedWithoutCookieIsExplained(t *testing.T) {
	for _, tt := range []struct {
		fields []string
		lines  int
	}{{nil, 1}, {[]string{"Cookie: a=b"}, 0}, {[]string{"Authorization: Basic YTpi"}, 0}} {
		var log shared
		w := start(t, func(o *upgrade.Options) {
			o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { return auth.Result{Status: 401}, nil })
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		for range 3 {
			c := wiretest.Dial(t, w.addr)
			c.Send(request("sse", "/_push?channel=user.a", tt.fields...))
			c.Response(http.MethodGet)
		}
		if n := bytes.Count(log.bytes(), []byte("must cover push.path")); n != tt.lines {
			t.Errorf("%q: %d lines; want %d", tt.fields, n, tt.lines)
		}
	}
}
