package upgrade_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/token"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

const tokenSecret = "0123456789abcdef0123456789abcdef"

// sign makes a token of HS256 whose claims begin with an exp in so many seconds.
func sign(exp time.Duration, more string) string {
	enc := base64.RawURLEncoding.EncodeToString
	text := enc([]byte(`{"alg":"HS256"}`)) + "." + enc(fmt.Appendf(nil, `{"exp":%d%s}`, time.Now().Add(exp).Unix(), more))
	h := hmac.New(sha256.New, []byte(tokenSecret))
	h.Write([]byte(text))
	return text + "." + enc(h.Sum(nil))
}

// tokens takes tokens as the command does, and from the cookie T. "signed.user.NAME" is NAME's.
func tokens(o *upgrade.Options) {
	v, err := token.New(token.Options{Secret: tokenSecret, Audience: "push"})
	if err != nil {
		panic(err)
	}
	o.TokenCookie = "T"
	o.Rules = rules(channel.Rule{Match: "signed.user.{user}", Access: channel.Token, Wildcards: true})
	o.Tokens = v
}

// anna is a token of the test's user, for an hour.
func anna(channels string) string {
	return sign(time.Hour, `,"aud":"push","sub":"anna","channels":`+channels)
}

// TestToken: a token opens what it lists and nothing else, from each place that it may be in.
func TestToken(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w, d := guarded(t, tokens)
		good, own := anna(`["signed.a.*","public.b"]`), sign(time.Hour, `,"aud":"push","sub":"anna"`)
		for _, tt := range []struct {
			name, query string
			fields      []string
			status      int // 0: it is held
			why         string
		}{
			{"header", "channel=signed.a.b", []string{"Authorization: Bearer " + good}, 0, ""},
			{"header in other letters", "channel=signed.a.b", []string{"Authorization: bEARER  " + good}, 0, ""},
			{"URL", "channel=signed.a.b&channel=public.x&token=" + good, nil, 0, ""},
			{"cookie", "channel=signed.a.b", []string{"Cookie: x=y; T=" + good}, 0, ""},
			{"URL before the cookie", "channel=signed.a.b&token=" + good, []string{"Cookie: T=old"}, 0, ""},
			{"Basic is not one", "channel=signed.a.b&token=" + good, []string{"Authorization: Basic YTpi"}, 0, ""},
			{"own channel", "channel=signed.user.anna&token=" + own, nil, 0, ""},
			{"not needed, so not read", "channel=public.x", []string{"Authorization: Bearer x"}, 0, ""},

			{"twice in the URL", "channel=signed.a.b&token=" + good + "&token=" + good, nil, 0, ""},
			{"URL and header", "channel=signed.a.b&token=" + good, []string{"Authorization: Bearer " + good}, 0, ""},
			{"URL and the app's own", "channel=signed.a.b&token=" + good, []string{"Authorization: Bearer app"}, 0, ""},
			{"empty and a header", "channel=signed.a.b&token=", []string{"Authorization: Bearer " + good}, 0, ""},
			{"empty and a cookie", "channel=signed.a.b&token=&token=", []string{"Cookie: T=" + good}, 0, ""},
			{"empty and not needed", "channel=public.x&token=", nil, 0, ""},
			{"the app's own and a cookie", "channel=signed.a.b", []string{"Authorization: Bearer app", "Cookie: T=" + good}, 0, ""},
			{"stale cookie first", "channel=signed.a.b", []string{"Cookie: T=x; T=" + good}, 0, ""},
			{"stale cookie last", "channel=signed.a.b", []string{"Cookie: T=" + good + "; T=x"}, 0, ""},
			{"stale cookie in a field of its own", "channel=signed.a.b", []string{"Cookie: T=" + sign(-time.Minute, `,"aud":"push"`), "Cookie: T=" + good}, 0, ""},
			{"two good cookies", "channel=signed.a.b", []string{"Cookie: T=" + good + "; T=" + own}, 0, ""},

			{"pattern", "channel=signed.a.*&token=" + good, nil, 0, ""},
			{"pattern in place of what is listed", "channel=signed.a.*&token=" + anna(`["signed.**"]`), nil, 0, ""},

			{"wider pattern", "channel=signed.a.**&token=" + good, nil, 403, "does not allow"},
			{"pattern of another", "channel=signed.c.*&token=" + good, nil, 403, "does not allow"},
			{"pattern of one more segment", "channel=signed.b.**&token=" + anna(`["*.*"]`), nil, 403, "does not allow"},
			{"none", "channel=signed.a.b", nil, 401, "missing"},
			{"empty", "channel=signed.a.b&token=", nil, 401, "missing"},
			{"Basic only", "channel=signed.a.b", []string{"Authorization: Basic YTpi"}, 401, "missing"},
			{"two in the URL", "channel=signed.a.b&token=" + good + "&token=" + own, nil, 400, "several"},
			{"two, URL and header", "channel=signed.a.b&token=" + good, []string{"Authorization: Bearer " + own}, 400, "several"},
			{"bad in the URL, good cookie", "channel=signed.a.b&token=x", []string{"Cookie: T=" + good}, 401, "malformed JWT"},
			{"two bad cookies", "channel=signed.a.b", []string{"Cookie: T=y; T=x"}, 401, "malformed JWT"},
			{"good after eight bad ones", "channel=signed.a.b&token=1&token=2&token=3&token=4&token=5&token=6&token=7&token=8&token=" + good, nil, 401, "malformed JWT"},
			{"forged", "channel=signed.a.b&token=" + good[:len(good)-8] + "AAAAAAAA", nil, 401, "signature"},
			{"forged and not needed", "channel=public.x&token=" + good + "x", nil, 401, "signature"},
			{"expired", "channel=signed.a.b&token=" + sign(-time.Minute, `,"aud":"push"`), nil, 401, "expired"},
			{"other audience", "channel=signed.a.b&token=" + sign(time.Hour, `,"aud":"shop"`), nil, 401, "audience"},
			{"too long", "channel=signed.a.b&token=" + strings.Repeat("a", 9000), nil, 401, "longer"},
			{"not listed", "channel=signed.a.b&channel=signed.c&token=" + good, nil, 403, "does not allow"},
			{"one segment too many", "channel=signed.a.b.c&token=" + good, nil, 403, "does not allow"},
			{"no list, no channel", "channel=signed.a.b&token=" + own, nil, 403, "does not allow"},
			{"another's", "channel=signed.user.bert&token=" + own, nil, 403, "does not allow"},
			{"another's, listed", "channel=signed.user.bert&token=" + anna(`["signed.**"]`), nil, 403, "another user"},
			{"what the app decides", "channel=user.x&token=" + anna(`["**"]`), nil, 401, "not logged in"},
		} {
			if tt.status == 0 {
				c := w.hold(t, kind, tt.query, tt.fields...)
				w.waitHeld(t, 1)
				c.Close()
				w.waitHeld(t, 0)
				continue
			}
			c := wiretest.Dial(t, w.addr)
			c.Send(request(kind, "/_push?"+tt.query, tt.fields...))
			if resp, body := c.Response(http.MethodGet); resp.StatusCode != tt.status || !strings.Contains(body, tt.why) || strings.Contains(body, good[:40]) {
				t.Errorf("%s: answered %d %s; want %d and %q", tt.name, resp.StatusCode, body, tt.status, tt.why)
			}
		}
		if s := w.keeper.Stats(); d.count() != 1 || s.TokensRefused != 13 {
			t.Errorf("the app was asked %d times; %d tokens were refused", d.count(), s.TokensRefused)
		}
	})
}

// TestTokenWithoutKey: nobody gets in where tokens cannot be read.
func TestTokenWithoutKey(t *testing.T) {
	w := start(t)
	c := wiretest.Dial(t, w.addr)
	c.Send(request("sse", "/_push?channel=signed.a&token="+anna(`["**"]`)))
	if resp, body := c.Response(http.MethodGet); resp.StatusCode != 401 {
		t.Errorf("answered %d %s", resp.StatusCode, body)
	}
}

// TestHoldEndsWithItsToken, and nothing that is published from then on is delivered.
func TestHoldEndsWithItsToken(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		t.Parallel()
		end := sync.OnceValue(func() time.Time { return time.Now().Add(300 * time.Millisecond) }) // after it is first read
		w, _ := guarded(t, func(o *upgrade.Options) {
			o.Tokens = verifyFunc(func(string) (auth.TokenGrant, error) {
				if !time.Now().Before(end()) {
					return auth.TokenGrant{}, token.ErrExpired
				}
				return auth.TokenGrant{User: "anna", ExpiresAt: end(), Channels: []string{"**"}}, nil
			})
		})
		c := w.hold(t, kind, "channel=signed.a&token=x")
		w.waitHeld(t, 1)
		wiretest.Eventually(t, "it is over", func() bool {
			late := !time.Now().Before(end())
			w.publish(t, fmt.Sprint("late ", late), "signed.a")
			return late
		})
		for !wires[kind].asksAgain {
			m := c.recv()
			if m.Data == "late true" {
				t.Fatal("delivered after the token's end")
			}
			if m.Type != "message" {
				c.queue = append([]message{m}, c.queue...)
				break
			}
		}
		if wires[kind].asksAgain {
			if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || strings.Contains(body, "late true") {
				t.Errorf("answered %d %s", resp.StatusCode, body)
			}
			c.asked = false
		}
		c.over(401)
		w.waitHeld(t, 0)
	})
}

// TestTokenAndLogin: channels that want both are held by who is one user by both, and the end of either ends the hold.
func TestTokenAndLogin(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w, d := guarded(t, tokens)
		d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
		d.set("SID=b", auth.Result{Allowed: true, User: "bert"})
		query := "channel=signed.a&channel=user.a&token=" + anna(`["signed.a"]`)
		c := w.hold(t, kind, query, "Cookie: SID=a")
		w.waitHeld(t, 1)
		x := wiretest.Dial(t, w.addr)
		x.Send(request(kind, "/_push?"+query, "Cookie: SID=b"))
		if resp, body := x.Response(http.MethodGet); resp.StatusCode != 403 {
			t.Errorf("answered %d %s; want 403", resp.StatusCode, body)
		}
		w.keeper.LogOut(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil))
		if !wires[kind].asksAgain {
			c.over(401)
		}
		w.waitHeld(t, 0)
	})
}

// TestTokenLogout: a hold by token alone ends with the session that it came with, and by the app's word.
func TestTokenLogout(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w, d := guarded(t, tokens)
		hold := func() {
			w.hold(t, kind, "channel=signed.a&token="+anna(`["signed.a"]`), "Cookie: SID=a")
			w.waitHeld(t, 1)
		}
		hold()
		w.keeper.LogOut(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil))
		w.waitHeld(t, 0)
		hold()
		w.keeper.Disconnect(connection.Selection{User: "anna"}, 4403, "") // how many is not asked: it may have just begun
		w.waitHeld(t, 0)
		hold() // an old end is none of this one
		w.publish(t, "x", "signed.a")
		if w.held() != 1 && !wires[kind].asksAgain || d.count() != 0 {
			t.Errorf("%d are held, the app was asked %d times", w.held(), d.count())
		}
	})
}

// TestSubscribeByToken: a live subscription is under the token of the beginning, without push.live_subscribe.
func TestSubscribeByToken(t *testing.T) {
	w, d := guarded(t, tokens)
	c := w.hold(t, "websocket v1", "channel=public.x&token="+anna(`["signed.a.*","signed.user.*"]`))
	say := func(channel, want string) {
		t.Helper()
		c.Send(frame(true, 1, fmt.Appendf(nil, `{"type":"subscribe","channels":[%q]}`, channel)))
		if m := c.recv(); m.Type != "subscribed" && !strings.Contains(m.Data, want) || m.Type == "subscribed" && want != "" {
			t.Errorf("%s: told %+v; want %q", channel, m, want)
		}
	}
	say("signed.b", "does not allow")
	say("signed.user.bert", "another user")
	say("user.x", "push.live_subscribe")
	say("signed.a.b", "")
	w.publish(t, "yes", "signed.a.b")
	c.expect("yes")
	none := w.hold(t, "websocket v1", "channel=public.x")
	none.Send(frame(true, 1, []byte(`{"type":"subscribe","channels":["signed.a.b"]}`)))
	if m := none.recv(); m.Type != "error" || !strings.Contains(m.Data, "does not allow") {
		t.Errorf("told %+v", m)
	}
	if d.count() != 0 {
		t.Errorf("the app was asked %d times", d.count())
	}
}

// shared is a log that is read while it is written.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}

// TestTokensAreInNoLog: whether it was held, refused here, or refused before anything was read of it.
func TestTokensAreInNoLog(t *testing.T) {
	for _, json := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "access")
		l, err := accesslog.Open(path, json)
		if err != nil {
			t.Fatal(err)
		}
		l.Hide("token", "/_push")
		var errs shared
		t.Cleanup(func() { // writes what is left and closes the file
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			l.Serve(ctx, func(err error) { t.Error(err) })
		})
		w, _ := guarded(t, tokens, func(o *upgrade.Options) {
			o.Access, o.Log = l, slog.New(slog.NewTextHandler(&errs, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		good := anna(`["signed.a"]`)
		w.hold(t, "sse", "channel=signed.a&token="+good)
		for _, sent := range []string{
			request("sse", "/_push?channel=signed.b&token="+good), request("sse", "/_push?channel=signed.a&token="+good+"x"),
			request("sse", "/_push?channel=signed.b&token="+good+"&token="+good), request("longpoll", "/_push/x?token="+good),
			"GET /_push?token=" + good + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
			"GET /_push?%74oken=" + good + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		} {
			c := wiretest.Dial(t, w.addr)
			c.Send(sent)
			if resp, body := c.Response(http.MethodGet); resp.StatusCode < 400 || strings.Contains(body, good[:40]) {
				t.Errorf("answered %d %s", resp.StatusCode, body)
			}
		}
		w.keeper.Drain()
		w.waitHeld(t, 0)
		var text []byte
		wiretest.Eventually(t, "all are in the access log", func() bool {
			l.Flush()
			text, _ = os.ReadFile(path)
			return bytes.Count(text, []byte("\n")) == 7
		})
		if n := bytes.Count(text, []byte("token=***")) + bytes.Count(text, []byte("%74oken=***")); n != 8 {
			t.Errorf("%d tokens are hidden:\n%s", n, text)
		}
		for name, log := range map[string][]byte{"access": text, "error": errs.bytes()} {
			if bytes.Contains(log, []byte(good[len(good)-20:])) || bytes.Contains(log, []byte(good[:30])) {
				t.Errorf("the %s log has a token:\n%s", name, log)
			}
		}
	}
}

// TestFreshToken: a hold goes on under a token that comes in time, if it is the same user's and opens what is held.
func TestFreshToken(t *testing.T) {
	end := sync.OnceValue(func() time.Time { return time.Now().Add(500 * time.Millisecond) })
	w, _ := guarded(t, tokens, func(o *upgrade.Options) {
		verify := o.Tokens
		o.Tokens = verifyFunc(func(text string) (auth.TokenGrant, error) {
			p, err := verify.Verify(text)
			if p.User == "anna" && !slices.Contains(p.Channels, "signed.fresh") {
				p.ExpiresAt = end()
			}
			return p, err
		})
	})
	c := w.hold(t, "websocket v1", "channel=signed.a&token="+anna(`["signed.a"]`))
	say := func(c *client, token string) message {
		c.Send(frame(true, 1, fmt.Appendf(nil, `{"type":"token","token":%q,"ref":1}`, token)))
		return c.recv()
	}
	for _, tt := range []struct{ token, why string }{
		{"x", "malformed JWT"}, {sign(-time.Hour, `,"aud":"push","sub":"anna"`), "expired"}, {anna(`["signed.fresh"]`), "does not allow"},
		{sign(time.Hour, `,"aud":"push","sub":"bert","channels":["signed.**"]`), "another user"}, {"", "want text"},
	} {
		if m := say(c, tt.token); m.Type != "error" || !strings.Contains(m.Data, tt.why) {
			t.Errorf("%.20s: told %+v; want %q", tt.token, m, tt.why)
		}
	}
	if m := say(c, anna(`["signed.a","signed.fresh"]`)); m.Type != "token" {
		t.Errorf("told %+v", m)
	}
	wiretest.Eventually(t, "the first token is over", func() bool { return !time.Now().Before(end().Add(100 * time.Millisecond)) })
	w.publish(t, "still", "signed.a")
	c.expect("still")

	nobody := w.hold(t, "websocket v1", "channel=public.x")
	w.waitHeld(t, 2)
	if m := say(nobody, anna(`["signed.a","signed.fresh"]`)); m.Type != "token" {
		t.Errorf("told %+v", m)
	}
	if _, n := w.keeper.List(connection.Selection{User: "anna"}, 9); n != 2 {
		t.Errorf("%d are anna's", n)
	}
	w.keeper.Disconnect(connection.Selection{User: "anna"}, 4403, "bye")
	c.over(403)
	nobody.over(403)
}
