package hooks

import (
	"strings"
	"testing"
)

// Every refusal, in the order of the checks: what comes first wins. Nothing is ever published.
func TestRefusals(t *testing.T) {
	const secret = "0123456789abcdef"
	for _, c := range []struct {
		name    string
		request string
		status  int
		says    string
	}{
		{"other host", "POST /publish?channel=a HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 1\r\n\r\nx", 403, "hooks.hosts"},
		{"other host, port of ours", "POST /publish?channel=a HTTP/1.1\r\nHost: evil.test:9090\r\nContent-Length: 1\r\n\r\nx", 403, `\"evil.test:9090\"`},
		{"host that begins well", "GET /channels HTTP/1.1\r\nHost: localhost.evil.test\r\n\r\n", 403, "host not allowed"},
		{"host that ends well", "GET /channels HTTP/1.1\r\nHost: evil-localhost\r\n\r\n", 403, "host not allowed"},
		{"host with a dot", "GET /channels HTTP/1.1\r\nHost: localhost.\r\n\r\n", 403, "host not allowed"},
		{"any address", "GET /channels HTTP/1.1\r\nHost: 0.0.0.0:9090\r\n\r\n", 403, "host not allowed"},
		{"short address", "GET /channels HTTP/1.1\r\nHost: 127.1\r\n\r\n", 403, "host not allowed"},
		{"bare IPv6", "GET /channels HTTP/1.1\r\nHost: ::1\r\n\r\n", 400, "not a valid HTTP request"},
		{"no port after the colon", "GET /channels HTTP/1.1\r\nHost: localhost:\r\n\r\n", 403, ""},
		{"port of letters", "GET /channels HTTP/1.1\r\nHost: localhost:http\r\n\r\n", 400, "not a valid HTTP request"},
		{"empty host", "GET /channels HTTP/1.1\r\nHost: \r\n\r\n", 400, "not a valid HTTP request"},
		{"no host in HTTP/1.0", "GET /channels HTTP/1.0\r\n\r\n", 403, "host not allowed"},
		{"no host in HTTP/1.1", "GET /channels HTTP/1.1\r\n\r\n", 400, "not a valid HTTP request"},
		{"two hosts", "GET /channels HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n", 400, "not a valid HTTP request"},
		{"host before origin", "GET /channels HTTP/1.1\r\nHost: evil.test\r\nOrigin: http://evil.test\r\n\r\n", 403, "host not allowed"},
		{"a name for a probe", "GET /readyz HTTP/1.1\r\nHost: evil.test:9090\r\n\r\n", 403, "host not allowed"},
		{"any address for a scrape", "GET /metrics HTTP/1.1\r\nHost: 0.0.0.0:9090\r\n\r\n", 403, "host not allowed"},
		{"a pod's address, but no probe", "GET /channels HTTP/1.1\r\nHost: 10.244.1.7:9090\r\n\r\n", 403, "host not allowed"},
		{"a pod's address, no GET", "POST /metrics HTTP/1.1\r\nHost: 10.244.1.7:9090\r\nContent-Length: 0\r\n\r\n", 403, "host not allowed"},
		{"a pod's address with origin", "GET /healthz HTTP/1.1\r\nHost: 10.244.1.7:9090\r\nOrigin: http://10.244.1.7:9090\r\n\r\n", 403, "the request has Origin"},
		{"a pod's address without token", "GET /metrics HTTP/1.1\r\nHost: 10.244.1.7:9090\r\n\r\n", 401, "hooks.token"},
		{"plain data without channel", request("POST /publish", "+", "hello"), 400, "no channel in the URL"},
		{"host on healthz", "GET /healthz HTTP/1.1\r\nHost: evil.test\r\n\r\n", 403, "host not allowed"},

		{"origin", request("POST /publish?channel=a", "Origin: http://evil.test\r\n", "x"), 403, "the request has Origin"},
		{"own origin", request("POST /publish?channel=a", "Origin: http://localhost:9090\r\n", "x"), 403, "the request has Origin"},
		{"null origin", request("POST /publish?channel=a", "oRIGIN: null\r\n", "x"), 403, "the request has Origin"},
		{"empty origin", request("POST /publish?channel=a", "Origin:\r\n", "x"), 403, "the request has Origin"},
		{"sec-fetch-site", request("GET /channels", "Sec-Fetch-Site: none\r\n", ""), 403, "the request has Sec-Fetch-Site"},
		{"preflight", request("OPTIONS /publish", "Origin: http://evil.test\r\nAccess-Control-Request-Method: POST\r\n", ""), 403, "Origin"},
		{"origin on healthz", request("GET /healthz", "Origin: http://evil.test\r\n", ""), 403, "Origin"},
		{"origin before token", request("POST /publish?channel=a", "Origin: null\r\nAuthorization: Bearer wrong\r\n", "x"), 403, "Origin"},

		{"no token", request("POST /publish?channel=a", "", "x"), 401, "hooks.token"},
		{"wrong token", request("POST /publish?channel=a", "Authorization: Bearer wrong\r\n", "x"), 401, "it differs from hooks.token"},
		{"empty token", request("POST /publish?channel=a", "Authorization: Bearer \r\n", "x"), 401, "missing or wrong"},
		{"longer token", request("POST /publish?channel=a", "Authorization: Bearer "+secret+"0\r\n", "x"), 401, "missing or wrong"},
		{"shorter token", request("POST /publish?channel=a", "Authorization: Bearer "+secret[1:]+"\r\n", "x"), 401, "missing or wrong"},
		{"other scheme", request("POST /publish?channel=a", "Authorization: Basic "+secret+"\r\n", "x"), 401, "Authorization: Bearer"},
		{"token in the query", request("POST /publish?channel=a&token="+secret, "", "x"), 401, "missing or wrong"},
		{"two tokens", request("POST /publish?channel=a", "Authorization: Bearer "+secret+"\r\nAuthorization: Bearer wrong\r\n", "x"), 401, "missing or wrong"},
		{"no token for metrics", request("GET /metrics", "", ""), 401, ""},
		{"no token for readyz", request("GET /readyz", "", ""), 401, ""},
		{"no token for channels", request("GET /channels", "", ""), 401, ""},
		{"no token for what is not there", request("GET /nothing", "", ""), 401, ""},
		{"no token, large body", request("POST /publish?channel=a", "", strings.Repeat("x", 5000)), 401, ""},
		{"no token, announced body", "POST /publish?channel=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n", 401, ""},
		{"no token, expecting", "POST /publish?channel=a HTTP/1.0\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n", 401, ""},

		{"unknown path", request("GET /nothing", "+", ""), 404, `no such path: \"/nothing\"`},
		{"no token for the page", request("GET /", "", ""), 401, ""},
		{"POST to the page", request("POST /", "+", "x"), 405, "want GET, HEAD"},
		{"other spelling", request("POST /Publish?channel=a", "+", "x"), 404, ""},
		{"slash after", request("POST /publish/?channel=a", "+", "x"), 404, ""},
		{"two slashes", request("POST //publish?channel=a", "+", "x"), 404, ""},
		{"encoded", request("POST /%70ublish?channel=a", "+", "x"), 404, ""},
		{"up and down", request("POST /x/../publish?channel=a", "+", "x"), 404, ""},
		{"whole URL", request("POST http://localhost/publish?channel=a", "+", "x"), 404, ""},
		{"below a channel", request("GET /channels/a/b", "+", ""), 404, ""},
		{"empty channel name", request("GET /channels/", "+", ""), 404, ""},
		{"unknown channel", request("GET /channels/b", "+", ""), 404, `no history: \"b\"`},
		{"no token, chunked", request("POST /publish?channel=a", "Transfer-Encoding: chunked\r\n", "") + "5\r\nhello\r\n0\r\n\r\n", 401, ""},
		{"unknown path before large body", request("POST /nothing", "+", strings.Repeat("x", 5000)), 404, ""},

		{"GET publish", request("GET /publish?channel=a", "+", ""), 405, "want POST"},
		{"PUT publish", request("PUT /publish?channel=a", "+", "x"), 405, "want POST"},
		{"POST channels", request("POST /channels", "+", "x"), 405, "want GET, HEAD"},
		{"DELETE channel", request("DELETE /channels/a", "+", ""), 405, "want GET, HEAD"},
		{"POST healthz", request("POST /healthz", "+", "x"), 405, "want GET, HEAD"},
		{"lower case method", request("post /publish?channel=a", "+", "x"), 405, ""},

		{"large body", request("POST /publish?channel=a", "+", strings.Repeat("x", 5000)), 413, "the 1000 bytes of hooks.max_body"},
		{"large body, announced", "POST /publish?channel=a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + secret + "\r\nContent-Length: 1001\r\n\r\n", 413, "hooks.max_body"},
		{"large body, expecting", "POST /publish?channel=a HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer " + secret + "\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n", 413, "hooks.max_body"},
		{"large body, chunked", request("POST /publish?channel=a", "+Transfer-Encoding: chunked\r\n", "") + strings.Repeat("1F4\r\n"+strings.Repeat("x", 500)+"\r\n", 3) + "0\r\n\r\n", 413, "hooks.max_body"},
		{"large chunk", request("POST /publish?channel=a", "+Transfer-Encoding: chunked\r\n", "") + "FFFFFFF\r\nx", 413, "hooks.max_body"},
		{"large body for a GET", request("GET /channels", "+", strings.Repeat("x", 5000)), 413, ""},

		{"gzip", request("POST /publish?channel=a", "+Content-Encoding: gzip\r\n", "\x1f\x8b"), 415, "as it is"},
		{"gzip, bad JSON", request("POST /publish", "+Content-Encoding: gzip\r\n", "\x1f\x8b"), 415, ""},

		{"bad channel", request("POST /publish?channel=a%20b", "+", "x"), 400, `channel \"a b\": bad channel name: ' ' at byte 2`},
		{"channel with line ends", request("POST /publish?channel=a%0D%0Adata:x", "+", "x"), 400, `bad channel`},
		{"long channel", request("POST /publish?channel="+strings.Repeat("a", 256), "+", "x"), 400, "bad channel"},
		{"empty channel", request("POST /publish?channel=", "+", "x"), 400, "bad channel"},
		{"second channel bad", request("POST /publish?channel=a&channel=", "+", "x"), 400, "bad channel"},
		{"no rule", request("POST /publish?channel=a&channel=unruled.x.y", "+", "x"), 400, `no rule for this channel: \"unruled.x.y\"; add one that matches to channels`},
		{"bad event", request("POST /publish?channel=a&event=a%0Ab", "+", "x"), 400, "bad event"},
		{"empty event", request("POST /publish?channel=a&event=", "+", "x"), 400, "bad event"},
		{"long event", request("POST /publish?channel=a&event="+strings.Repeat("e", 65), "+", "x"), 400, "1 to 64"},
		{"two events", request("POST /publish?channel=a&event=a&event=b", "+", "x"), 400, "given 2 times"},
		{"reserved event", request("POST /publish?channel=a&event=gap", "+", "x"), 400, "reserved"},
		{"event alone", request("POST /publish?event=a", "+", "x"), 400, "event without channel"},
		{"unknown parameter", request("POST /publish?channel=a&id=7", "+", "x"), 400, `parameter \"id\"; want channel or event`},
		{"idempotency key", request("POST /publish?channel=a&idempotency_key=7", "+", "x"), 400, `parameter \"idempotency_key\"`},
		{"bad escape", request("POST /publish?channel=a%zz", "+", "x"), 400, "bad query"},
		{"semicolon", request("POST /publish?channel=a;event=b", "+", "x"), 400, "bad query"},
		{"empty body", request("POST /publish", "+", ""), 400, "the body is empty"},
		{"bad JSON", request("POST /publish", "+", "[{}\n{]"), 400, "line 2, offset 4: bad JSON: "},
		{"limit of text", request("GET /channels?limit=x", "+", ""), 400, "limit"},
		{"limit of 0", request("GET /channels?limit=0", "+", ""), 400, "from 1 to 10000"},
		{"huge limit", request("GET /channels?limit=10001", "+", ""), 400, "from 1 to 10000"},
		{"star in the middle", request("GET /channels?match=a*b", "+", ""), 400, "want a name"},
		{"unknown parameter of channels", request("GET /channels?prefix=a", "+", ""), 400, "want match or limit"},
		{"unknown parameter of channel", request("GET /channels/a?x=1", "+", ""), 400, "none is known here"},
		{"bad channel in the path", request("GET /channels/a%20b", "+", ""), 400, "bad channel"},
		{"bad escape in the path", request("GET /channels/a%2", "+", ""), 400, "bad channel"},

		{"large head", request("GET /channels", "X: "+strings.Repeat("x", maxHead)+"\r\n", ""), 431, "16384 bytes"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "TLS on a port that speaks plain HTTP"},
		{"no HTTP", "hello\r\n\r\n", 400, "not a valid HTTP request"},
		{"two lengths", request("POST /publish?channel=a", "+Content-Length: 2\r\n", "x"), 400, "not a valid HTTP request"},
		{"broken chunk", request("POST /publish?channel=a", "+Transfer-Encoding: chunked\r\n", "") + "1\r\nxy\r\n0\r\n\r\n", 400, "not a valid HTTP request"},
		{"bad chunk size", request("POST /publish?channel=a", "+Transfer-Encoding: chunked\r\n", "") + "zz\r\n", 400, "not a valid HTTP request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := start(t, "tcp", Options{Live: Live{Token: secret}, MaxBody: 1000})
			a.hub.Lane(0).Join(new(listener), []string{"a"}, 0, false)
			// A plus stands for the token.
			got := a.raw(strings.Replace(c.request, "\r\n+", "\r\nAuthorization: Bearer "+secret+"\r\n", 1))
			if got.status != c.status || !strings.Contains(got.body, c.says) {
				t.Errorf("answer is %d %q, want %d and %q", got.status, got.body, c.status, c.says)
			}
			if !strings.HasPrefix(got.body, `{"error":"`) || !strings.HasSuffix(got.body, "\"}\n") {
				t.Errorf("answer %q is not an error in JSON", got.body)
			}
			if kind := got.header.Get("Content-Type"); kind != "application/json" {
				t.Errorf("answer is of type %q", kind)
			}
			if n := a.hub.Stats().Published; n > 0 {
				t.Errorf("%d messages were published", n)
			}
			for field, want := range map[string]bool{"Www-Authenticate": c.status == 401, "Allow": c.status == 405, "Server": false} {
				if _, has := got.header[field]; has != want {
					t.Errorf("answer has %s: %v, want %v", field, has, want)
				}
			}
			if strings.Contains(a.log.String(), secret) || strings.Contains(got.body, secret) {
				t.Error("the token was written down")
			}
		})
	}
}

// What the refusals above are near to is let in.
func TestAdmits(t *testing.T) {
	const secret = "0123456789abcdef"
	a := start(t, "tcp", Options{Live: Live{Token: secret, Hosts: []string{"Holdfast.Internal", "10.1.2.3", "fd00::1"}}, MaxBody: 1000})
	for _, host := range []string{
		"localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:9090", "127.9.9.9:80", "[::1]", "[::1]:9090",
		"[::ffff:127.0.0.1]:9090", "holdfast.internal", "HOLDFAST.internal:9090", "10.1.2.3:9090", "[fd00::1]:9090", "[FD00::1]",
	} {
		if got := a.raw("GET /healthz HTTP/1.1\r\nHost: " + host + "\r\n\r\n"); got.status != 200 || got.body != "ok\n" {
			t.Errorf("Host %s: %d %s", host, got.status, got.body)
		}
	}
	for _, c := range []struct{ name, request, says string }{
		{"token", request("POST /publish?channel=a", "Authorization: Bearer "+secret+"\r\n", "x"), `"subscribers":0`},
		{"scheme in lower case", request("POST /publish?channel=a", "authorization: bearer "+secret+"\r\n", "x"), `"id":`},
		{"as much as is allowed", request("POST /publish?channel=a", "+", strings.Repeat("x", 1000)), `"id":`},
		{"chunked", request("POST /publish?channel=a", "+Transfer-Encoding: chunked\r\n", "") + "1;x=y\r\nx\r\n0\r\n\r\n", `"id":`},
		{"identity", request("POST /publish?channel=a", "+Content-Encoding: identity\r\n", "x"), `"id":`},
		{"form type", request("POST /publish?channel=a", "+Content-Type: application/x-www-form-urlencoded\r\n", "x"), `"id":`},
		{"empty data", request("POST /publish?channel=a", "+Content-Length: 0\r\n", ""), `"id":`},
		{"event much like a reserved one", request("POST /publish?channel=a&event=Gap", "+", "x"), `"id":`},
		{"longest event", request("POST /publish?channel=a&event="+strings.Repeat("e", 64), "+", "x"), `"id":`},
		{"ready", request("GET /readyz", "+", ""), "ready\n"},
		{"a probe of a pod", "GET /healthz HTTP/1.1\r\nHost: 10.244.1.7:9090\r\n\r\n", "ok\n"},
		{"a probe of a pod by IPv6", "GET /readyz HTTP/1.1\r\nHost: [fd00::7]:9090\r\n+\r\n", "ready\n"},
		{"a scrape of a pod", "GET /metrics HTTP/1.1\r\nHost: 10.244.1.7\r\n+\r\n", "holdfast_"},
		{"a probe in HTTP/1.0 without Host", "GET /healthz HTTP/1.0\r\n\r\n", "ok\n"},
		{"HEAD", request("HEAD /channels", "+", ""), ""},
	} {
		got := a.raw(strings.Replace(c.request, "\r\n+", "\r\nAuthorization: Bearer "+secret+"\r\n", 1))
		if got.status != 200 || !strings.Contains(got.body, c.says) {
			t.Errorf("%s: %d %q", c.name, got.status, got.body)
		}
		if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: header %v", c.name, got.header)
		}
	}
}
