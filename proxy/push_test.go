package proxy

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
	"holdfast/internal/hub"
	"holdfast/internal/pushfields"
	"holdfast/internal/wiretest"
)

// published records what responses publish.
type published struct {
	mu   sync.Mutex
	list []string
	err  error
	most int // bytes of a message; 0: 1000
	log  wiretest.Log
	*pushfields.Reader
}

func (p *published) add(what string, d hub.Draft) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", what, strings.Join(d.Channels, "+"), d.Event, d.Data)))
	return p.err
}

func (p *published) Publish(d hub.Draft) (hub.Receipt, error) {
	return hub.Receipt{}, p.add("publish", d)
}

func (p *published) Changed(channels []string, event string) (int, hub.Receipt, error) {
	return 0, hub.Receipt{}, p.add("changed", hub.Draft{Channels: channels, Event: event})
}

// take returns what was published since the last call.
func (p *published) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := strings.Join(p.list, "; ")
	p.list = nil
	return list
}

// failures returns the reasons of what was not published.
func (p *published) failures() string {
	var list []string
	for reason, n := range p.Stats().Failed {
		for range n {
			list = append(list, reason)
		}
	}
	return strings.Join(list, ";")
}

// use has the proxy's app publish.
func (p *published) use(o *Options) {
	if p.most == 0 {
		p.most = 1000
	}
	p.Reader = pushfields.New(pushfields.Options{
		Publisher: p, MaxMessage: p.most, MaxTotal: int64(p.most) * 3 / 2, Log: slog.New(slog.NewTextHandler(&p.log, nil)),
	})
	o.Push = p.Reader
}

// pushCases are requests and responses, what they publish, the Push-Channel that is left for the client, and why nothing is
// published.
var pushCases = []struct {
	name, method, status, fields, body string
	want, left, failed                 string
}{
	{"changed", "POST", "200 OK", "Push-Channel: parcel.42\r\n", "ok", "changed parcel.42", "", ""},
	{"changed after a redirect", "POST", "303 See Other", "Location: /x\r\npush-channel: parcel.42\r\n", "", "changed parcel.42", "", ""},
	{"changed channels", "DELETE", "200 OK", "Push-Channel: parcel.42; fresh=60 , , parcels\r\nPush-Channel: c\r\n", "ok", "changed parcel.42+parcels+c", "", ""},
	{"with an event", "PUT", "200 OK", "Push-Channel: a\r\nPush-Event: moved\r\n", "ok", "changed a moved", "", ""},
	{"204", "POST", "204 No Content", "Push-Channel: a\r\n", "", "changed a", "", ""},
	{"an unknown method", "BOOK", "200 OK", "Push-Channel: a\r\n", "ok", "changed a", "", ""},
	{"data", "POST", "200 OK", "Push-Channel: a\r\nPush-Data: It%20has+arrived%21%0a%7b\"%c3%a9%2B\r\n", "ok", "", "", "headers"},
	{"data, encoded", "POST", "200 OK", "Push-Channel: a\r\nPush-Data: It%20has+arrived%21%0a%7b%22%c3%a9%2B-_.~!'()*\r\nPush-Event: e\r\n", "ok", "publish a e It has arrived!\n{\"é+-_.~!'()*", "", ""},
	{"empty data", "POST", "200 OK", "Push-Channel: a\r\nPush-Data:\r\n", "ok", "publish a", "", ""},
	{"data of a GET", "GET", "200 OK", "Push-Channel: a; fresh=60\r\nPush-Data: x\r\n", "ok", "publish a  x", "", ""},
	{"data of a 304", "GET", "304 Not Modified", "Push-Channel: a\r\nPush-Data: x\r\n", "", "publish a  x", "", ""},
	{"body", "POST", "201 Created", "Push-Channel: a\r\nPush-Body: 1\r\n", "{\"state\":1}", "publish a  {\"state\":1}", "", ""},
	{"body of a GET", "GET", "200 OK", "Push-Channel: a\r\nPush-Body: 1\r\nPush-Event: e\r\n", "x", "publish a e x", "", ""},
	{"the largest body", "POST", "200 OK", "Push-Channel: a\r\nPush-Body: 1\r\n", strings.Repeat("x", 1000), "publish a  " + strings.Repeat("x", 1000), "", ""},

	{"whose state it shows", "GET", "200 OK", "Push-Channel: a; fresh=60, b\r\n", "ok", "", "a; fresh=60, b", ""},
	{"the same of HEAD", "HEAD", "200 OK", "Push-Channel: a\r\n", "", "", "a", ""},
	{"the same of a 304", "GET", "304 Not Modified", "Push-Channel: a\r\n", "", "", "a", ""},
	{"the same of an error", "GET", "404 Not Found", "Push-Channel: a\r\n", "no", "", "a", ""},
	{"no fields", "POST", "200 OK", "X-Push: 1\r\nPush-Other: 1\r\n", "ok", "", "", ""},

	{"data without channel", "POST", "200 OK", "Push-Data: x\r\n", "ok", "", "", "headers"},
	{"no channel in the list", "POST", "200 OK", "Push-Channel: ,;a\r\n", "ok", "", "", "headers"},
	{"body without channel", "GET", "200 OK", "Push-Body: 1\r\n", "ok", "", "", "headers"},
	{"an event alone", "GET", "200 OK", "Push-Event: e\r\n", "ok", "", "", "headers"},
	{"data and body", "POST", "200 OK", "Push-Channel: a\r\nPush-Data: x\r\nPush-Body: 1\r\n", "ok", "", "", "headers"},
	{"two messages", "POST", "200 OK", "Push-Channel: a\r\nPush-Data: x\r\nPush-Channel: b\r\nPush-Data: y\r\n", "ok", "", "", "headers"},
	{"another flag", "POST", "200 OK", "Push-Channel: a\r\nPush-Body: 0\r\n", "ok", "", "", "headers"},
	{"half an escape", "POST", "200 OK", "Push-Channel: a\r\nPush-Data: 100%\r\n", "ok", "", "", "headers"},
	{"many channels", "POST", "200 OK", "Push-Channel: " + strings.Repeat("a,", 65) + "\r\n", "ok", "", "", "headers"},
	{"an error", "POST", "500 Oops", "Push-Channel: a\r\n", "ok", "", "", "status"},
	{"a part", "GET", "206 Partial Content", "Push-Channel: a\r\nPush-Body: 1\r\n", "ok", "", "", "status"},
	{"large data", "POST", "200 OK", "Push-Channel: a\r\nPush-Data: " + strings.Repeat("x", 1001) + "\r\n", "ok", "", "", "too_large"},
	{"a large body", "POST", "200 OK", "Push-Channel: a\r\nPush-Body: 1\r\n", strings.Repeat("x", 1001), "", "", "too_large"},
	{"the body of HEAD", "HEAD", "200 OK", "Push-Channel: a\r\nPush-Body: 1\r\n", "", "", "", "no_body"},
	{"the body of a 304", "GET", "304 Not Modified", "Push-Channel: a\r\nPush-Body: 1\r\n", "", "", "", "no_body"},
	{"a compressed body", "GET", "200 OK", "Push-Channel: a\r\nPush-Body: 1\r\nContent-Encoding: gzip\r\n", "zz", "", "", "encoding"},
}

// TestPush has an app publish by its responses: HTTP with each framing, and FastCGI. What is published is so before the client
// has the response, and the client has the same response as ever without the fields.
func TestPush(t *testing.T) {
	for _, c := range pushCases {
		bodyless := c.method == "HEAD" || c.status[:3] == "204" || c.status[:3] == "304"
		plain := func(fields, body string) func(*testing.T) *wiretest.Upstream {
			return func(t *testing.T) *wiretest.Upstream {
				return wiretest.NewUpstream(t, func(up *wiretest.Recorded) {
					if _, err := http.ReadRequest(up.Reader); err == nil {
						io.WriteString(up, "HTTP/1.1 "+c.status+"\r\n"+c.fields+fields+"\r\n"+body)
					}
				})
			}
		}
		forms := map[string]func(*testing.T) *wiretest.Upstream{
			"length": plain(fmt.Sprintf("Content-Length: %d\r\n", len(c.body)), c.body),
			"FastCGI": func(t *testing.T) *wiretest.Upstream {
				return responder(t, func(id uint16, _ map[string]string, _ string) string {
					return whole(id, "Status: "+c.status+"\r\n"+c.fields+"\r\n"+c.body)
				})
			},
		}
		if bodyless {
			forms["length"] = plain("", "")
		} else {
			forms["chunks"] = plain("Transfer-Encoding: chunked\r\n", chunked([]byte(c.body), 700))
			forms["until the end"] = plain("Connection: close\r\n", c.body)
		}
		for form, upstream := range forms {
			t.Run(c.name+", "+form, func(t *testing.T) {
				var p published
				target, change := "/x", []func(*Options){p.use}
				if form == "FastCGI" {
					inFolder, _ := folder(t)
					target, change = "/app.php", append(change, inFolder)
				}
				addr, _ := start(t, upstream(t).Addr, change...)
				client := wiretest.Dial(t, addr)
				client.Send(lines(c.method+" "+target+" HTTP/1.1", "Host: x", "Push-Channel: forged", "Push-Data: forged", "Push-Body: 1", "Content-Length: 0"))
				r, body := client.Response(c.method)
				if got := p.take(); got != c.want {
					t.Errorf("published %q, want %q", got, c.want)
				}
				if got := p.failures(); got != c.failed {
					t.Errorf("failed: %q, want %q", got, c.failed)
				}
				if want := int64(len(c.want)); (want > 0) != (p.Stats().Published == 1) || p.Stats().Buffered != 0 {
					t.Errorf("counted %+v", p.Stats())
				}
				if logged := strings.Contains(p.log.String(), "not published"); logged != (c.failed != "") {
					t.Errorf("log: %s", p.log.String())
				}
				left := strings.Join(r.Header.Values("Push-Channel"), "|")
				if left != c.left || len(r.Header.Values("Push-Data"))+len(r.Header.Values("Push-Body"))+len(r.Header.Values("Push-Event")) > 0 {
					t.Errorf("the client has %v, want Push-Channel %q", r.Header, c.left)
				}
				if fmt.Sprint(r.StatusCode) != c.status[:3] || body != c.body {
					t.Errorf("the client has %d %.100q, want %s %.100q", r.StatusCode, body, c.status, c.body)
				}
			})
		}
	}
}

// TestPushOff: without the key, nothing is published, and the response is passed on as it is.
func TestPushOff(t *testing.T) {
	up := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
		return []byte("HTTP/1.1 200 OK\r\nPush-Channel: a\r\nPush-Data: x\r\nContent-Length: 0\r\n\r\n")
	}))
	addr, _ := start(t, up.Addr)
	c := wiretest.Dial(t, addr)
	c.Send(lines("POST / HTTP/1.1", "Host: x", "Content-Length: 0"))
	if r, _ := c.Response("POST"); r.Header.Get("Push-Channel") != "a" || r.Header.Get("Push-Data") != "x" {
		t.Errorf("fields %v", r.Header)
	}
}

// TestPushCut: of a body that does not come whole, because of the app or of the client, nothing is published, and that is said.
func TestPushCut(t *testing.T) {
	for name, sent := range map[string]string{
		"length": "Content-Length: 10\r\n\r\nabc",
		"chunks": "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"faulty": "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxx\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var p published
			up := wiretest.NewUpstream(t, func(up *wiretest.Recorded) {
				if _, err := http.ReadRequest(up.Reader); err == nil {
					io.WriteString(up, "HTTP/1.1 200 OK\r\nPush-Channel: a\r\nPush-Body: 1\r\n"+sent)
				}
			})
			addr, proxy := start(t, up.Addr, p.use)
			c := wiretest.Dial(t, addr)
			c.Send(lines("POST / HTTP/1.1", "Host: x", "Content-Length: 0"))
			c.Rest()
			settled(t, proxy)
			if got := p.take() + p.failures(); got != "incomplete" || p.Stats().Buffered != 0 {
				t.Errorf("%q, %+v", got, p.Stats())
			}
		})
	}
}

// TestPushBodyWithoutClient: a message that has begun to come is published when it has come whole, whether its client is there,
// has hung up, ended its side, or does not read. It is not if the app breaks off, or says nothing more in time.
func TestPushBodyWithoutClient(t *testing.T) {
	long := strings.Repeat("x", 16<<20) // more than the kernel's buffers take
	for _, c := range []struct {
		name, method   string
		first, rest    string // of the response behind its head
		length         int
		leave          func(c *wiretest.Client)
		want, failures string
	}{
		{"it hangs up", "POST", "abc", "defghij", 10, func(c *wiretest.Client) { c.Close() }, "publish a  abcdefghij", ""},
		{"a GET", "GET", "abc", "defghij", 10, func(c *wiretest.Client) { c.Close() }, "publish a  abcdefghij", ""},
		{"it resets", "POST", "abc", "defghij", 10, func(c *wiretest.Client) { wiretest.Reset(c) }, "publish a  abcdefghij", ""},
		{"it ends its side", "POST", "abc", "defghij", 10, func(c *wiretest.Client) { wiretest.EndSide(c) }, "publish a  abcdefghij", ""},
		{"the app breaks off", "POST", "abc", "def", 10, func(c *wiretest.Client) { c.Close() }, "", "incomplete"},
		{"the app says nothing more", "POST", "abc", "-", 10, func(c *wiretest.Client) { c.Close() }, "", "incomplete"},
		{"it does not read", "POST", long[:len(long)/2], long[len(long)/2:], len(long), func(*wiretest.Client) {}, "publish a  " + long, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := published{most: 32 << 20}
			left := make(chan struct{})
			up := wiretest.NewUpstream(t, func(up *wiretest.Recorded) {
				if _, err := http.ReadRequest(up.Reader); err != nil {
					return
				}
				fmt.Fprintf(up, "HTTP/1.1 200 OK\r\nPush-Channel: a\r\nPush-Body: 1\r\nContent-Length: %d\r\n\r\n%s", c.length, c.first)
				<-left
				if c.rest == "-" { // it keeps the connection
					io.Copy(io.Discard, up)
					return
				}
				io.WriteString(up, c.rest)
			})
			addr, proxy := start(t, up.Addr, p.use, func(o *Options) {
				o.UpstreamTime, o.SendTime, o.ResponseBuffer = time.Second, 200*time.Millisecond, 1000
			})
			client := wiretest.Dial(t, addr)
			client.Send(lines(c.method+" / HTTP/1.1", "Host: x", "Content-Length: 0"))
			client.Expect("HTTP/1.1 200 OK\r\n")
			c.leave(client)
			for range 8 { // by then both loops have seen that the client has left
				other := wiretest.Dial(t, addr)
				other.Send("x\r\n\r\n")
				other.Rest()
			}
			close(left)
			settled(t, proxy)
			wiretest.Eventually(t, "nothing is kept of the message", func() bool { return p.Stats().Buffered == 0 })
			if got := p.take(); got != c.want || p.failures() != c.failures {
				t.Errorf("published %d bytes %.60q, failures %q, %+v", len(got), got, p.failures(), p.Stats())
			}
		})
	}
}

// TestPushAbandoned: a client that leaves does not take with it what the app says of its change. A request that only reads ends
// with its client, and one that the app does not answer is counted.
func TestPushAbandoned(t *testing.T) {
	for _, c := range []struct {
		method, answer string
		want           string
		unseen         int64
	}{
		{"POST", "HTTP/1.1 200 OK\r\nPush-Channel: a\r\nContent-Length: 2\r\n\r\nok", "changed a", 0},
		{"POST", "HTTP/1.1 303 See Other\r\nLocation: /x\r\nPush-Channel: a\r\nPush-Data: x\r\nContent-Length: 0\r\n\r\n", "publish a  x", 0},
		{"POST", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "", 0},
		{"POST", "", "", 1},
		{"GET", "HTTP/1.1 200 OK\r\nPush-Channel: a\r\nPush-Data: x\r\nContent-Length: 0\r\n\r\n", "", 0},
	} {
		var p published
		asked, left := make(chan struct{}), make(chan struct{})
		up := wiretest.NewUpstream(t, func(up *wiretest.Recorded) {
			r, err := http.ReadRequest(up.Reader)
			switch {
			case err != nil:
			case r.URL.Path == "/other":
				up.Write(ok("other"))
			default:
				close(asked)
				<-left
				io.WriteString(up, c.answer)
			}
		})
		addr, proxy := start(t, up.Addr, p.use)
		client := wiretest.Dial(t, addr)
		client.Send(lines(c.method+" / HTTP/1.1", "Host: x", "Content-Length: 0"))
		<-asked
		client.Close()
		for range 8 { // by then both loops have seen that the client has left
			other := wiretest.Dial(t, addr)
			other.Send(lines("GET /other HTTP/1.1", "Host: x"))
			other.Response("GET")
		}
		close(left)
		settled(t, proxy)
		if got := p.take(); got != c.want || p.failures() != "" || p.Stats().Unseen != c.unseen {
			t.Errorf("%s, %.60q: published %q, want %q; %+v", c.method, c.answer, got, c.want, p.Stats())
		}
	}
}

// TestPushMemory: bodies that come slowly take no more than their share together.
func TestPushMemory(t *testing.T) {
	var p published
	release := make(chan struct{})
	body := strings.Repeat("x", 900)
	up := wiretest.NewUpstream(t, func(up *wiretest.Recorded) {
		if _, err := http.ReadRequest(up.Reader); err == nil {
			io.WriteString(up, "HTTP/1.1 200 OK\r\nPush-Channel: a\r\nPush-Body: 1\r\nContent-Length: 901\r\n\r\n"+body)
			<-release
			io.WriteString(up, "y")
		}
	})
	addr, _ := start(t, up.Addr, p.use)
	var clients []*wiretest.Client
	for range 2 {
		c := wiretest.Dial(t, addr)
		c.Send(lines("POST / HTTP/1.1", "Host: x", "Content-Length: 0"))
		clients = append(clients, c)
	}
	wiretest.Eventually(t, "one has no room", func() bool { return p.failures() == "memory" })
	close(release)
	for _, c := range clients {
		if _, got := c.Response("POST"); got != body+"y" {
			t.Errorf("body of %d bytes", len(got))
		}
	}
	if got := p.take(); got != "publish a  "+body+"y" || p.Stats().Buffered != 0 {
		t.Errorf("published %.40q, %+v", got, p.Stats())
	}
}

// TestPushRefused: what the API would refuse is counted and logged with its cause, and the client has its response.
func TestPushRefused(t *testing.T) {
	for err, reason := range map[error]string{hub.ErrBusy: "undelivered", hub.ErrStore: "not_storable", errors.New("bad channel name"): "refused"} {
		p := published{err: err}
		up := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
			return []byte("HTTP/1.1 200 OK\r\nPush-Channel: a\r\n" + r.Header.Get("X-Say") + ": 1\r\nContent-Length: 2\r\n\r\nok")
		}))
		addr, _ := start(t, up.Addr, p.use)
		c := wiretest.Dial(t, addr)
		for _, say := range []string{"X-Nothing", "Push-Data", "Push-Body"} {
			c.Send(lines("POST /path HTTP/1.1", "Host: x", "X-Say: "+say, "Content-Length: 0"))
			if _, body := c.Response("POST"); body != "ok" {
				t.Errorf("body %q", body)
			}
		}
		if got := p.failures(); got != strings.Join([]string{reason, reason, reason}, ";") {
			t.Errorf("failed: %s", got)
		}
		if log := p.log.String(); !strings.Contains(log, err.Error()) || !strings.Contains(log, "path=/path channel=a") {
			t.Errorf("log: %s", log)
		}
	}
}

// TestPushRoutes: the app of a route publishes only if the route says so, and nothing of the fields goes to clients.
func TestPushRoutes(t *testing.T) {
	up := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
		if r.URL.Path == "/go" || r.URL.Path == "/body" {
			more := map[string]string{"/go": "", "/body": "Push-Body: 1\r\n"}[r.URL.Path]
			return []byte("HTTP/1.1 200 OK\r\nPush-Channel: go\r\n" + more + "X-Accel-Redirect: /inside/file\r\nContent-Length: 0\r\n\r\n")
		}
		return []byte("HTTP/1.1 200 OK\r\nPush-Channel: a\r\nContent-Length: 2\r\n\r\nok")
	}))
	to := []Upstream{{Network: "tcp", Address: up.Addr, Host: up.Addr}}
	for _, c := range []struct{ method, path, want, left, failed string }{
		{"POST", "/x", "changed a", "", ""},
		{"POST", "/other", "", "", "route"},
		{"GET", "/other", "", "", "route"},
		{"POST", "/trusted", "changed a", "", ""},
		{"GET", "/trusted", "", "a", ""},
		{"POST", "/go", "changed go", "", "route"}, // the second is what the other app says
		{"GET", "/go", "", "", "route"},
		{"POST", "/body", "", "", "no_body;route"},
	} {
		var p published
		addr, _ := start(t, up.Addr, p.use, func(o *Options) {
			o.Routes = []Route{{Match: "/other", Upstreams: to}, {Match: "/trusted", Upstreams: to, Publishes: true}, {Match: "/inside", Upstreams: to, Internal: true}}
		})
		client := wiretest.Dial(t, addr)
		client.Send(lines(c.method+" "+c.path+" HTTP/1.1", "Host: x", "Content-Length: 0"))
		r, body := client.Response(c.method)
		failed := maps.Clone(p.Stats().Failed)
		for _, reason := range strings.Split(c.failed, ";") {
			if reason != "" && failed[reason] != 1 {
				t.Errorf("%s %s: %s is counted %d times", c.method, c.path, reason, failed[reason])
			}
			delete(failed, reason)
		}
		for reason, n := range failed {
			if n > 0 {
				t.Errorf("%s %s: failed: %s", c.method, c.path, reason)
			}
		}
		if got := p.take(); got != c.want || r.Header.Get("Push-Channel") != c.left || body != "ok" {
			t.Errorf("%s %s: published %q, the client has %v, %q", c.method, c.path, got, r.Header, body)
		}
	}
}

// TestPushInterim: of responses that are not the final one, nothing is published, and the fields stay here.
func TestPushInterim(t *testing.T) {
	var p published
	up := wiretest.NewUpstream(t, func(up *wiretest.Recorded) {
		if _, err := http.ReadRequest(up.Reader); err == nil {
			io.WriteString(up, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nPush-Channel: a\r\nPush-Data: x\r\n\r\n"+
				"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nPush-Channel: a\r\nPush-Data: x\r\n\r\n")
			io.Copy(up, up)
		}
	})
	addr, _ := start(t, up.Addr, p.use)
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET / HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"))
	c.Expect("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	c.Close()
	if got := p.take() + p.failures(); got != "" {
		t.Errorf("published %q", got)
	}
}

// TestPushCached: a response that is stored has published once, when the app gave it, and a hit has the fields that are for the
// client.
func TestPushCached(t *testing.T) {
	var p published
	a := newCachedApp(t, []rules.Options{{Name: "poll", Match: "/poll", MaxBytes: 1 << 20, Policy: cache.Policy{Fresh: wiretest.Timeout, IgnoreApp: true}}},
		func(_ int64, r *http.Request, _ []byte) []byte {
			return []byte("HTTP/1.1 200 OK\r\nPush-Channel: a; fresh=60\r\n" + r.URL.Query().Get("say") + "\r\nContent-Length: 2\r\n\r\nok")
		}, p.use)
	for _, c := range []struct{ say, first, left string }{
		{"X-Nothing:+1", "", "a; fresh=60"},
		{"Push-Data:+x", "publish a  x", ""},
		{"Push-Body:+1", "publish a  ok", ""},
	} {
		for _, want := range []string{c.first, ""} {
			r, body := a.get("GET", "/poll?say="+c.say)
			if got := p.take(); got != want || body != "ok" || strings.Join(r.Header.Values("Push-Channel"), "") != c.left || r.Header.Get("Push-Data")+r.Header.Get("Push-Body") != "" {
				t.Errorf("%s: published %q, the client has %v, %q; want %q", c.say, got, r.Header, body, want)
			}
		}
	}
	if n := a.asked.Load(); n != 3 {
		t.Errorf("the app was asked %d times", n)
	}
}
