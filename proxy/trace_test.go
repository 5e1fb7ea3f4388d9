package proxy

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/tracecontext"
	"holdfast/internal/wiretest"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceparent = "00-" + traceID + "-00f067aa0ba902b7-01"
)

var (
	logOnly  = &tracecontext.Policy{}
	makeOnes = &tracecontext.Policy{Make: true, Sample: 1}

	madeParent = regexp.MustCompile(`\r\ntraceparent: 00-([0-9a-f]{32})-[0-9a-f]{16}-01\r\n`)
)

// tracing sets what is done with traces.
func tracing(p *tracecontext.Policy) func(*Options) { return func(o *Options) { o.Trace = p } }

// TestTraceparent: what the app gets of a request with each policy, byte by byte, and what the access log has.
func TestTraceparent(t *testing.T) {
	null, err := request.NewRules([]request.Change{{Name: "traceparent", Remove: true}})
	if err != nil {
		t.Fatal(err)
	}
	valid := []string{"TraceParent: " + traceparent, "tracestate: a=b", "X-A: 1", "Tracestate: c=d"}
	invalid := []string{"traceparent: " + strings.ToUpper(traceparent), "tracestate: a=b", "X-A: 1", "Trace: me"}
	for _, c := range []struct {
		name   string
		policy *tracecontext.Policy
		rules  *request.Rules
		fields []string
		sent   []string // those that the app gets
		made   bool     // with a new one
		id     string   // in the log, if none is made
	}{
		{"off, valid", nil, nil, valid, valid, false, ""},
		{"off, not valid", nil, nil, invalid, invalid, false, ""},
		{"log, valid", logOnly, nil, valid, valid, false, traceID},
		{"log, not valid", logOnly, nil, invalid, invalid, false, ""},
		{"log, none", logOnly, nil, nil, nil, false, ""},
		{"make, valid", makeOnes, nil, valid, valid, false, traceID},
		{"make, not valid", makeOnes, nil, invalid, invalid[2:], true, ""},
		{"make, state alone", makeOnes, nil, []string{"tracestate: a=b", "X-A: 1"}, []string{"X-A: 1"}, true, ""},
		{"make, two", makeOnes, nil, []string{"traceparent: " + traceparent, "traceparent: " + traceparent}, nil, true, ""},
		{"make, none", makeOnes, nil, nil, nil, true, ""},
		{"make, not believed", &tracecontext.Policy{Make: true, Sample: 1, Replace: true}, null, valid, []string{"X-A: 1"}, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, wiretest.Answer(echo))
			toLog, logLines := logged(t, true)
			addr, _ := start(t, u.Addr, tracing(c.policy), toLog, func(o *Options) { o.Request = c.rules })
			client := wiretest.Dial(t, addr)
			client.Send(lines(append([]string{"GET /a HTTP/1.1", "Host: x"}, c.fields...)...))
			client.Response(http.MethodGet)
			got := u.Sent()
			id := c.id
			if m := madeParent.FindStringSubmatch(got); c.made && m != nil {
				id = m[1]
				got = strings.Replace(got, m[0], "\r\n", 1)
			}
			want := lines(append(append([]string{"GET /a HTTP/1.1", "Host: x"}, c.sent...), strings.TrimSuffix(forwardedTo("x"), "\r\n"))...)
			if got != want || c.made == (id == "") && c.id == "" || id == traceID && c.made {
				t.Errorf("the app got\n%s\nwant\n%s", u.Sent(), want)
			}
			var line struct {
				ID string `json:"trace_id"`
			}
			if err := json.Unmarshal([]byte(logLines(1)[0]), &line); err != nil || line.ID != id || strings.Contains(logLines(1)[0], "trace_id") != (id != "") {
				t.Errorf("logged %s, want %q", logLines(1)[0], id)
			}
		})
	}
}

// TestTraceOfScripts: a script has the same as HTTP_TRACEPARENT and HTTP_TRACESTATE.
func TestTraceOfScripts(t *testing.T) {
	var got [2]string
	fpm := responder(t, func(id uint16, params map[string]string, _ string) string {
		got = [2]string{params["HTTP_TRACEPARENT"], params["HTTP_TRACESTATE"]}
		return whole(id, "Content-Type: text/plain\r\n\r\nhello")
	})
	site, _ := folder(t)
	toLog, logLines := logged(t, true)
	addr, _ := start(t, fpm.Addr, site, tracing(makeOnes), toLog)
	for i, c := range []struct {
		fields []string
		state  string
	}{{[]string{"Traceparent: " + traceparent, "tracestate: a=b"}, "a=b"}, {[]string{"tracestate: a=b"}, ""}} {
		client := wiretest.Dial(t, addr)
		client.Send(lines(append([]string{"GET /app.php HTTP/1.1", "Host: x"}, c.fields...)...))
		client.Response(http.MethodGet)
		if (got[0] == traceparent) != (i == 0) || len(got[0]) != len(traceparent) || got[1] != c.state {
			t.Errorf("the script got %q", got)
		}
		if id := got[0][3:35]; !strings.Contains(logLines(i + 1)[i], `"trace_id":"`+id+`"`) {
			t.Errorf("logged %s, want %s", logLines(i + 1)[i], id)
		}
	}
}

// TestTraceOfFailures: a request that is sent to two upstreams has one trace, which is in each line of the log about it, also
// of one that no upstream gets.
func TestTraceOfFailures(t *testing.T) {
	var apps []*wiretest.Upstream
	for range 2 {
		apps = append(apps, wiretest.NewUpstream(t, func(c *wiretest.Recorded) { http.ReadRequest(c.Reader) })) // and closes
	}
	var log wiretest.Log
	addr, _ := start(t, apps[0].Addr, tracing(makeOnes), func(o *Options) {
		o.Log, o.NextError = slog.New(slog.NewTextHandler(&log, nil)), true
		o.Upstreams = append(o.Upstreams, Upstream{Network: "tcp", Address: apps[1].Addr, Host: apps[1].Addr})
		o.Routes = []Route{{Match: "/closed", Settings: closedTo(t, o, "192.0.2.0/24", "", "")}}
	})
	client := wiretest.Dial(t, addr)
	client.Send(lines("GET /a HTTP/1.1", "Host: x"))
	if resp, _ := client.Response(http.MethodGet); resp.StatusCode != 502 {
		t.Errorf("answered %d", resp.StatusCode)
	}
	first, second := madeParent.FindStringSubmatch(apps[0].Sent()), madeParent.FindStringSubmatch(apps[1].Sent())
	if first == nil || second == nil || first[0] != second[0] {
		t.Fatalf("sent\n%s\nand\n%s", apps[0].Sent(), apps[1].Sent())
	}
	client = wiretest.Dial(t, addr)
	client.Send(lines("GET /closed HTTP/1.1", "Host: x", "traceparent: "+traceparent))
	if resp, _ := client.Response(http.MethodGet); resp.StatusCode != 403 {
		t.Errorf("answered %d", resp.StatusCode)
	}
	for _, want := range []string{
		`msg="upstream did not respond; trying the next" .*trace_id=` + first[1] + `\b`, `msg="upstream failed" .*trace_id=` + first[1] + `\b`,
		`msg="request refused" .*trace_id=` + traceID + `\b`,
	} {
		if !regexp.MustCompile(want).MatchString(log.String()) {
			t.Errorf("no line %s in\n%s", want, log.String())
		}
	}
}

// TestTraceOfTunnel: the line at its end has the trace of its request.
func TestTraceOfTunnel(t *testing.T) {
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		http.ReadRequest(c.Reader)
		c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbye"))
	})
	toLog, logLines := logged(t, true)
	addr, _ := start(t, u.Addr, tracing(makeOnes), toLog)
	client := wiretest.Dial(t, addr)
	client.Send(lines("GET /a HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: x"))
	client.Rest()
	client.Conn.Close()
	m := madeParent.FindStringSubmatch(u.Sent())
	if m == nil || !strings.Contains(logLines(1)[0], `"status":101`) || !strings.Contains(logLines(1)[0], `"trace_id":"`+m[1]+`"`) {
		t.Errorf("sent\n%s\nlogged %s", u.Sent(), logLines(1)[0])
	}
}

// localTraces is a PushHandler that tells the traces of its requests.
type localTraces struct{ got chan string }

func (localTraces) Owns(path []byte) bool { return string(path) == "/_push" }

func (l localTraces) Serve(c *park.Conn, r *request.Request) {
	l.got <- string(r.Trace.AppendID(nil))
	c.Close()
}

// TestTraceOfPushPath: the PushHandler gets the trace of its request.
func TestTraceOfPushPath(t *testing.T) {
	local := localTraces{got: make(chan string, 2)}
	addr, _ := start(t, "127.0.0.1:1", tracing(makeOnes), func(o *Options) { o.Local = local })
	for i, field := range []string{"Traceparent: " + traceparent, "X-A: 1"} {
		client := wiretest.Dial(t, addr)
		client.Send(lines("GET /_push HTTP/1.1", "Host: x", field))
		if got := <-local.got; len(got) != len(traceID) || (got == traceID) != (i == 0) {
			t.Errorf("%s: %q", field, got)
		}
	}
}
