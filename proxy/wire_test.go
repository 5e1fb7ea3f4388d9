package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// says is an app that answers each request with the same bytes, and then ends its side: by FIN, or by reset.
func says(t testing.TB, answer string, reset bool) *wiretest.Upstream {
	return wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		if _, err := http.ReadRequest(c.Reader); err != nil {
			return
		}
		io.WriteString(c, answer)
		if reset {
			wiretest.TCP(c).SetLinger(0)
		}
	})
}

// TestBodyOfAnswer: how a body that ends in this way or that reaches a client, with what the operator is told.
func TestBodyOfAnswer(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	get, old := lines("GET / HTTP/1.1", "Host: x"), lines("GET / HTTP/1.0", "Connection: keep-alive")
	te := lines("GET / HTTP/1.1", "Host: x", "TE: trailers")
	const cut = "cut"
	tests := []struct {
		name, sent, answer string
		reset              bool
		want               string // the body, and trailers in brackets; cut: what came is visibly not all
		kept               bool   // the client's connection goes on
		notice             string
	}{
		{"until close", get, "HTTP/1.0 200 OK\r\n\r\nhi", false, "hi", true, ""},
		{"until close, HTTP/1.1", get, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi", false, "hi", true, ""},
		{"until close, empty", get, "HTTP/1.1 200 OK\r\n\r\n", false, "", true, ""},
		{"until close, to an old client", old, "HTTP/1.1 200 OK\r\n\r\nhi", false, "hi", false, ""},
		{"until close, cut by a reset", get, "HTTP/1.1 200 OK\r\n\r\nhi", true, cut, false, ""},
		{"until close, cut by a reset, to an old client", old, "HTTP/1.1 200 OK\r\n\r\nhi", true, cut, false, ""},
		{"an empty length", get, "HTTP/1.0 200 OK\r\nContent-Length:\r\n\r\nhi", false, "hi", true, "empty_length"},
		{"identity", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi", false, "hi", true, "identity_coding"},
		{"identity until close", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: Identity\r\n\r\nhi", false, "hi", true, "identity_coding"},
		{"an empty coding", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nContent-Length: 2\r\n\r\nhi", false, "hi", true, "identity_coding"},
		{"a name that is no token", get, "HTTP/1.1 200 OK\r\nX(y): z\r\nContent-Length: 2\r\n\r\nhi", false, "hi", true, "odd_name"},
		{"chunked twice on one line", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,, Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false, "hi", true, "equal_codings"},
		{"chunked twice", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false, "hi", true, "equal_codings"},
		{"chunks", get, chunked + "1\r\nh\r\n001;a=\"b\"\r\ni\r\n00\r\n\r\n", false, "hi", true, ""},
		{"chunks to an old client", old, chunked + "1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", false, "hi", false, ""},
		{"chunks with bare LF", get, chunked + "1\nh\n1;a\ni\r\n0\n\n", false, "hi", true, "bare_lf"},
		{"padded chunks", get, chunked + "2   \r\nhi\r\n0   \r\n\r\n", false, "hi", true, "padded_chunk"},
		{"chunks without an end", get, chunked + "2\r\nhi\r\n", false, cut, false, ""},
		{"chunks without an end, to an old client", old, chunked + "2\r\nhi\r\n", false, cut, false, ""},
		{"chunks without their last line", get, chunked + "2\r\nhi\r\n0\r\n", false, cut, false, ""},
		{"a bare semicolon", get, chunked + "2;\r\nhi\r\n0\r\n\r\n", false, cut, false, ""},
		{"an extension that is no token", get, chunked + "2;bad[=x\r\nhi\r\n0\r\n\r\n", false, cut, false, ""},
		{"two sizes", get, chunked + "2\r\nhi\r\n0 5\r\n\r\n", false, cut, false, ""},
		{"a chunk that is longer than its size", get, chunked + "2\r\nhi!\r\n0\r\n\r\n", false, cut, false, ""},

		{"trailers", te, chunked + "2\r\nhi\r\n0\r\nX-Sum:  1 \r\nY: 2\r\n\r\n", false, "hi[X-Sum: 1, Y: 2]", true, ""},
		{"trailers nobody asked for", get, chunked + "2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", false, "hi", true, ""},
		{"trailers to an old client", old, chunked + "2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", false, "hi", false, ""},
		{"trailers that may be none", te, chunked + "2\r\nhi\r\n0\r\nContent-Length: 9\r\ntransfer-encoding: chunked\r\nSet-Cookie: a=b\r\nHost: y\r\nAuthorization: z\r\nX-Forwarded-For: 1\r\nA: 1\r\n\r\n", false, "hi[A: 1]", true, "forbidden_trailer"},
		{"a trailer that is an answer", te, chunked + "2\r\nhi\r\n0\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", false, cut, false, ""},
		{"a trailer without a colon", get, chunked + "2\r\nhi\r\n0\r\njunk junk\r\n\r\n", false, cut, false, ""},
		{"a trailer with a space before its colon", te, chunked + "2\r\nhi\r\n0\r\nA : b\r\n\r\n", false, cut, false, ""},
		{"a folded trailer", te, chunked + "2\r\nhi\r\n0\r\nA: b\r\n c\r\n\r\n", false, cut, false, ""},
		{"a trailer with a control byte", te, chunked + "2\r\nhi\r\n0\r\nA: b\x01\r\n\r\n", false, cut, false, ""},
		{"trailers without an end", te, chunked + "2\r\nhi\r\n0\r\nA: " + strings.Repeat("b", 9<<10), false, cut, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := says(t, tt.answer, tt.reset)
			addr, p := start(t, u.Addr)
			c := wiretest.Dial(t, addr)
			c.Send(tt.sent)
			got, resp := bodyAndTrailers(c.Reader)
			if got != tt.want {
				t.Errorf("the client got %q; want %q", got, tt.want)
			}
			if resp != nil && resp.Close == tt.kept && tt.want != cut {
				t.Errorf("Connection: close %v; want the connection kept %v", resp.Close, tt.kept)
			}
			if tt.kept {
				c.Send(get)
				if again, _ := bodyAndTrailers(c.Reader); !strings.HasPrefix(tt.want, again) {
					t.Errorf("the next answer is %q", again)
				}
			} else if rest, reset := c.Rest(); rest != "" || reset && tt.want != cut {
				t.Errorf("then came %q, reset %v", rest, reset)
			}
			for kind, n := range p.Stats().Upstreams[0].Notices {
				if (n > 0) != (kind == tt.notice) {
					t.Errorf("notice %s: %d", kind, n)
				}
			}
		})
	}
}

// bodyAndTrailers reads a response with net/http, an independent parser.
func bodyAndTrailers(r *bufio.Reader) (string, *http.Response) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return "cut", nil
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "cut", resp
	}
	var list []string
	for name, values := range resp.Trailer {
		list = append(list, name+": "+strings.Join(values, "|"))
	}
	if slices.Sort(list); len(list) > 0 {
		return fmt.Sprintf("%s[%s]", b, strings.Join(list, ", ")), resp
	}
	return string(b), resp
}

// TestChunksAreSentOnNormalized: what the client sees of chunks is Holdfast's own, whatever the app wrote.
func TestChunksAreSentOnNormalized(t *testing.T) {
	u := says(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0000A;x=y\r\n0123456789\r\n00\r\nA:1\r\n\r\n", false)
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET / HTTP/1.1", "Host: x", "TE: deflate, trailers;q=1"))
	c.Expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\nA: 1\r\n\r\n")
}

// TestSwitchingProtocols: only to what was asked for, and named.
func TestSwitchingProtocols(t *testing.T) {
	const ws = "Connection: Upgrade\r\nUpgrade: websocket, other\r\n"
	for _, tt := range []struct{ name, asked, answered, want string }{
		{"asked and named", ws, "Connection: Upgrade\r\nUpgrade: WebSocket\r\n", "101"},
		{"the other that was asked for", ws, "Connection: Upgrade\r\nUpgrade: other, HTTP/1.1\r\n", "101"},
		{"without Upgrade", ws, "Connection: Upgrade\r\n", "502"},
		{"an empty Upgrade", ws, "Connection: Upgrade\r\nUpgrade:\r\n", "502"},
		{"another than was asked for", ws, "Connection: Upgrade\r\nUpgrade: h2c\r\n", "502"},
		{"not asked", "", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "502"},
		{"asked without Connection", "Upgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "502"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := says(t, "HTTP/1.1 101 Switching Protocols\r\n"+tt.answered+"\r\n", false)
			addr, _ := start(t, u.Addr)
			c := wiretest.Dial(t, addr)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n" + tt.asked + "\r\n")
			line, err := c.Reader.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+tt.want) {
				t.Errorf("answered %q, %v; want %s", line, err, tt.want)
			}
		})
	}
}

// TestUpgradeRequired: 426 keeps what it is of no use without.
func TestUpgradeRequired(t *testing.T) {
	const want = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n"
	t.Run("HTTP", func(t *testing.T) {
		u := says(t, "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\nContent-Length: 0\r\n\r\n", false)
		addr, _ := start(t, u.Addr)
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: x"))
		c.Expect(want)
	})
	t.Run("FastCGI", func(t *testing.T) {
		u := responder(t, func(id uint16, _ map[string]string, _ string) string {
			return whole(id, "Status: 426 Upgrade Required\r\nUpgrade: TLS/1.2\r\nContent-Length: 0\r\n\r\n")
		})
		site, _ := folder(t)
		addr, _ := start(t, u.Addr, site)
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET /app.php HTTP/1.1", "Host: x"))
		c.Expect(want)
	})
}

// TestOwnPageKeepsAnOldClient: a client of HTTP/1.0 that asked to go on is told that it may, also by a page that no app
// has written, and then does.
func TestOwnPageKeepsAnOldClient(t *testing.T) {
	addr, _ := start(t, nobody(t), func(o *Options) {
		o.Routes = []Route{{Match: "/old", Redirect: "https://www.example.com"}}
	})
	for _, tt := range []struct {
		head, connection string
		kept             bool
	}{
		{"GET / HTTP/1.0\r\nConnection: keep-alive", "keep-alive", true},
		{"HEAD / HTTP/1.0\r\nConnection: Keep-Alive", "keep-alive", true},
		{"GET /old/x HTTP/1.0\r\nConnection: keep-alive", "keep-alive", true},
		{"GET / HTTP/1.0", "close", false},
		{"GET /old HTTP/1.0", "close", false},
		{"GET / HTTP/1.1\r\nHost: x", "", true},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: close", "close", false},
	} {
		c := wiretest.Dial(t, addr)
		c.Send(lines(tt.head))
		method, _, _ := strings.Cut(tt.head, " ")
		resp, _ := c.Response(method)
		if got := strings.Join(resp.Header.Values("Connection"), "|"); got != tt.connection && !resp.Close || resp.Close == tt.kept {
			t.Errorf("%q: %d, Connection %q, want %q", tt.head, resp.StatusCode, got, tt.connection)
		}
		if tt.kept {
			c.Send(lines(tt.head))
			c.Response(method)
		} else if rest, _ := c.Rest(); rest != "" {
			t.Errorf("%q: then came %q", tt.head, rest)
		}
	}
}

// TestDate: every answer has one Date, the app's own if it sends one (RFC 9110 §6.6.1).
func TestDate(t *testing.T) {
	const own = "Sun, 06 Nov 1994 08:49:37 GMT"
	check := func(t *testing.T, addr, sent string, status int, want string) {
		t.Helper()
		c := wiretest.Dial(t, addr)
		c.Send(sent)
		before := time.Now().Add(-2 * time.Second)
		resp, err := http.ReadResponse(c.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		dates := resp.Header["Date"]
		if resp.StatusCode != status || len(dates) != 1 {
			t.Fatalf("%d with Date %q; want %d with one", resp.StatusCode, dates, status)
		}
		if want != "" {
			if dates[0] != want {
				t.Errorf("Date %q; want the app's", dates[0])
			}
			return
		}
		if d, err := http.ParseTime(dates[0]); err != nil || d.Before(before.Truncate(time.Second)) || !regexp.MustCompile(` GMT$`).MatchString(dates[0]) {
			t.Errorf("Date %q, %v; want now", dates[0], err)
		}
	}
	for _, tt := range []struct {
		name, answer, want string
		status             int
	}{
		{"none", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200},
		{"the app's", "HTTP/1.1 200 OK\r\ndate: " + own + "\r\nContent-Length: 0\r\n\r\n", own, 200},
		{"the app's, and its server's", "HTTP/1.1 200 OK\r\nDate: " + own + "\r\nContent-Length: 0\r\nDATE: Sun, 06 Nov 1994 08:49:38 GMT\r\n\r\n", own, 200},
		{"one that ends with the connection", "HTTP/1.1 200 OK\r\nConnection: date\r\nDate: " + own + "\r\nContent-Length: 0\r\n\r\n", "", 200},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", "", 204},
		{"a stream", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", "", 200},
		{"a malformed answer", "HTTP/1.1 2 OK\r\n\r\n", "", 502},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, _ := start(t, says(t, tt.answer, false).Addr)
			check(t, addr, lines("GET / HTTP/1.1", "Host: x"), tt.status, tt.want)
		})
	}
	t.Run("refused", func(t *testing.T) {
		addr, _ := start(t, says(t, "", false).Addr)
		check(t, addr, lines("GET / HTTP/1.1"), 400, "")
		check(t, addr, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "")
	})
	t.Run("FastCGI and files", func(t *testing.T) {
		u := responder(t, func(id uint16, params map[string]string, _ string) string {
			if params["QUERY_STRING"] != "" {
				return whole(id, "Date: "+own+"\r\n\r\n")
			}
			return whole(id, "Content-Type: text/plain\r\n\r\nhi")
		})
		site, _ := folder(t)
		addr, _ := start(t, u.Addr, site)
		check(t, addr, lines("GET /app.php HTTP/1.1", "Host: x"), 200, "")
		check(t, addr, lines("GET /app.php?own HTTP/1.1", "Host: x"), 200, own)
		check(t, addr, lines("GET /a.txt HTTP/1.1", "Host: x"), 200, "")
		check(t, addr, lines("GET /none HTTP/1.1", "Host: x"), 404, "")
	})
}
