package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// shown returns all lines that the page gets, as its script sees them.
func shown(t *testing.T, r *Recorder) string {
	t.Helper()
	lines, _ := r.since(0)
	b, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRecorderHidesSecrets: no token, cookie, password or query of a log line reaches the page, wherever it is. The log
// itself gets the line as it is.
func TestRecorderHidesSecrets(t *testing.T) {
	const secret = "s3cr3t-value-0123"
	log := new(wiretest.Log)
	r := Record(slog.NewTextHandler(log, nil))
	r.Hide("hooks-token-of-config", "", "short")
	l := slog.New(r)
	for _, text := range []string{
		"Authorization: Bearer " + secret, "authorization: bearer " + secret, "Basic " + secret, "proxy said Digest " + secret,
		"Cookie: JSESSIONID=" + secret, "Set-Cookie: sid=" + secret + "; Path=/", "PHPSESSID=" + secret, "session_id=" + secret,
		"GET /a?token=" + secret, "http://app/x?a=1&access_token=" + secret, `"/reset?` + secret + `": no route`,
		"https://user.example.com/cb?code=" + secret, "password: " + secret, `{"password":"` + secret + `"}`, "api_key=" + secret,
		"x-api-key: " + secret, "refresh_token=" + secret, "eyJhbGciOiJIUzI1NiJ9." + secret + ".sig", "hooks-token-of-config",
		"GET /find?q=it's&x=" + secret, "password='" + secret + "'", "token=it's" + secret,
		strings.Repeat("x", 280) + " Bearer " + secret,
	} {
		l.Info("event", "error", errors.New(text), "path", text)
		l.Info(text)
		l.With("upstream", text).WithGroup("g").Info("event", slog.Group("h", "reason", text))
	}
	l.Info("event", "cookie", secret, "token", secret, "Authorization", secret)
	l.Error("script wrote to standard error", "stderr", "mysql password "+secret, "stack", secret)
	got := shown(t, r)
	for _, bad := range []string{secret, secret[:9], "hooks-token-of-config"} {
		if i := strings.Index(got, bad); i >= 0 {
			t.Errorf("the page gets %q: …%s", bad, got[max(0, i-100):i+len(bad)])
		}
	}
	if !strings.Contains(log.String(), secret) {
		t.Error("the log has less than before")
	}
	for _, want := range []string{"event", "/a?***", "Authorization: Bearer ***", "g.h.reason"} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestRecorderKeepsOrdinaryLines: what is no secret stays legible.
func TestRecorderKeepsOrdinaryLines(t *testing.T) {
	for _, text := range []string{
		"token is missing or wrong: send it as Authorization: Bearer, see hooks.token", "foreign origin; see push.origins",
		"dial tcp 127.0.0.1:8081: connect: connection refused", "path /a/b has no route", "too many session cookies; see push.logout.cookies",
		"Grüße, 世界", "what? nothing",
	} {
		if got := clean(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestRecorderEscapes: a client's bytes can't make a line look like another: no control byte, no change of direction.
func TestRecorderEscapes(t *testing.T) {
	r := Record(slog.NewTextHandler(new(wiretest.Log), nil))
	slog.New(r).Info("event", "path", "/a\x1b[31m\r\nlevel=ERROR\u202egpj.exe\x00\xff</script>")
	lines, _ := r.since(0)
	if got, want := lines[0].field("path"), `/a\u001b[31m\u000d\u000alevel=ERROR\u202egpj.exe\u0000`+"\ufffd</script>"; got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

// TestRecorderIsBounded: in lines, fields and bytes, also in a flood of different reasons.
func TestRecorderIsBounded(t *testing.T) {
	r := Record(slog.NewTextHandler(io.Discard, nil))
	l := slog.New(r)
	var fields []any
	for i := range 2 * maxFields {
		fields = append(fields, fmt.Sprint("k", i), strings.Repeat("é", maxRaw))
	}
	const n = maxLines + 100
	for i := range n {
		l.Info(strings.Repeat("m", 2*maxRaw), append([]any{"reason", fmt.Sprint(i)}, fields...)...)
	}
	lines, seq := r.since(0)
	if len(lines) != maxLines || seq != n || lines[0].Seq != n-maxLines+1 || len(r.kept.examples) != maxExamples {
		t.Errorf("%d lines from %d to %d, %d examples", len(lines), lines[0].Seq, seq, len(r.kept.examples))
	}
	if b := shown(t, r); len(b) > maxLines*(maxFields+2)*(maxText+40) {
		t.Errorf("%d bytes", len(b))
	}
	if l := r.newest(func(l *Line) bool { return l.field("reason") == fmt.Sprint(n-1) }); l == nil {
		t.Error("the newest example is gone")
	}
	if l := r.newest(func(l *Line) bool { return l.field("reason") == "1" }); l != nil {
		t.Error("an old example is there")
	}
	if more, _ := r.since(n - 2); len(more) != 2 {
		t.Errorf("%d lines after the second to last", len(more))
	}
	if more, _ := r.since(5 * n); len(more) != 0 {
		t.Errorf("%d lines after the newest", len(more))
	}
}

// TestRecorderPassesOn: the handler behind it decides what is logged, and gets it whole.
func TestRecorderPassesOn(t *testing.T) {
	log := new(wiretest.Log)
	level := new(slog.LevelVar)
	r, l := RecorderOf(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	if again, _ := RecorderOf(l); again != r {
		t.Error("a second Recorder")
	}
	l.Debug("not logged")
	l.With("a", 1).WithGroup("g").Warn("event", "b", time.Second)
	if got, want := log.String(), "level=WARN msg=event a=1 g.b=1s\n"; got != want {
		t.Errorf("the log has %q; want %q", got, want)
	}
	if got := shown(t, r); !strings.Contains(got, `"level":"warn","text":"event","fields":[{"key":"a","value":"1"},{"key":"g.b","value":"1s"}]`) || strings.Contains(got, "not logged") {
		t.Error(got)
	}
}
