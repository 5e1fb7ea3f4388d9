package doctor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"holdfast/internal/inspect"
)

// checkRequests looks at how requests arrived.
func (v *visit) checkRequests(context.Context) {
	r := v.seen["plain"]
	if ws, ok := v.seen["websocket"]; ok && !ws.OriginOK {
		r = ws // often another place of the proxy's configuration
	}
	if v.checkScheme(&r) {
		v.checkHost(&r)
	}
	v.checkAddress(&r)
	v.checkHTTP(&r)
}

// trust is the change that makes Holdfast trust a peer.
func (s *session) trust(r *inspect.Request) Change {
	list := s.Settings.TrustedProxies
	if host, _, err := net.SplitHostPort(r.Peer); err == nil && !r.Trusted {
		list = append(list[:len(list):len(list)], host)
	}
	return inConfig("trusted_proxies: [" + strings.Join(list, ", ") + "]")
}

// checkScheme compares http or https. It reports whether the scheme is right.
func (v *visit) checkScheme(r *inspect.Request) bool {
	if r.Scheme == v.page.Scheme {
		v.report.add(Finding{Kind: Fine, Check: checkScheme, Title: "Holdfast and the app know that visitors use " + r.Scheme + "."})
		return true
	}
	sent, forwards := field(r, "X-Forwarded-Proto")
	f := Finding{
		Kind: Broken, Check: checkScheme, Title: fmt.Sprintf("Visitors use %s, but Holdfast takes it for %s: WebSockets of your own pages are refused, and the app makes wrong links.", v.page.Scheme, r.Scheme),
		Sent: v.page.Scheme + "://" + v.page.Host, Seen: "no X-Forwarded-Proto arrived",
		Change: v.changes([]string{"proxy_set_header X-Forwarded-Proto $scheme;"},
			[]string{"http-request set-header X-Forwarded-Proto " + v.page.Scheme},
			[]string{`RequestHeader set X-Forwarded-Proto "` + v.page.Scheme + `"`}),
	}
	if forwards {
		f.Seen = "X-Forwarded-Proto: " + clip(sent) + " arrived"
	}
	if !r.Trusted {
		f.Seen += fmt.Sprintf(", from %s, which is not in trusted_proxies", r.Peer)
		trust := v.server.trust(r)
		if trust.Also = !forwards; forwards {
			f.Change = nil
		}
		f.Change = append(f.Change, trust)
	}
	v.report.add(f)
	return false
}

// authority returns a host in lower case with its port, also if that is the scheme's own.
func authority(scheme, host string) (name, port string) {
	u := url.URL{Host: strings.ToLower(host)}
	if port = u.Port(); port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return u.Hostname(), port
}

// checkHost compares the host, and its port.
func (v *visit) checkHost(r *inspect.Request) {
	name, port := authority(v.page.Scheme, v.page.Host)
	gotName, gotPort := authority(r.Scheme, r.Host)
	if name == gotName && (port == gotPort || r.OriginOK && fmt.Sprint(r.Port) == port) {
		v.report.add(Finding{Kind: Fine, Check: checkHost, Title: "The host and its port arrive."})
		return
	}
	f := Finding{
		Kind: Broken, Check: checkHost, Title: "The proxy changes the host: WebSockets of your own pages are refused, and the app makes wrong links.",
		Sent: "Host: " + v.page.Host, Seen: "Host: " + clip(r.Host),
		Change: v.changes([]string{"proxy_set_header Host $http_host;    # also in the location of " + v.server.Settings.PushPaths[0]},
			[]string{"no http-request set-header Host"}, []string{"ProxyPreserveHost On"}),
	}
	if name == gotName && strings.HasSuffix(strings.ToLower(r.Host), gotName) {
		f.Title = "The proxy drops the port of the host: WebSockets of your own pages are refused, and the app makes links without it."
	}
	v.report.add(f)
}

// checkAddress looks at whose address the client has.
func (v *visit) checkAddress(r *inspect.Request) {
	if v.kind == noFront {
		v.report.add(Finding{Kind: Fine, Check: checkAddress, Title: "Holdfast sees the visitor's address: " + r.Client + "."})
		return
	}
	names := ""
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded"} {
		if value, ok := field(r, name); ok {
			names = name + ": " + clip(value)
			break
		}
	}
	forwards := v.changes([]string{"proxy_set_header X-Forwarded-For $remote_addr;"},
		[]string{"http-request set-header X-Forwarded-For %[src]"}, []string{"ProxyAddHeaders On    # its default"})
	f := Finding{Kind: Broken, Check: checkAddress, Sent: "a request by way of the proxy"}
	switch {
	case !r.Trusted && names != "":
		f.Title = "Holdfast does not trust the proxy: all visitors have the proxy's address, for limits, logs and the app."
		f.Seen = names + " arrived from " + r.Peer + ", which is not in trusted_proxies"
		f.Change = []Change{v.server.trust(r)}
	case !r.Trusted && r.Peer != "" && r.Peer != v.local:
		f.Title = "All visitors have the proxy's address, for limits, logs and the app."
		f.Seen = "the request came from " + r.Peer + " without X-Forwarded-For"
		trust := v.server.trust(r)
		trust.Also = true
		f.Change = append(forwards, trust)
	case r.Trusted && names == "":
		f.Title = "The proxy does not tell the visitor's address: all have the proxy's, for limits, logs and the app."
		f.Seen = "the request came from " + r.Peer + " without X-Forwarded-For"
		f.Change = forwards
	default:
		f = Finding{Kind: Fine, Check: checkAddress, Title: "Holdfast sees the visitor's address: " + r.Client + "."}
	}
	v.report.add(f)
}

// checkHTTP looks at the version of HTTP.
func (v *visit) checkHTTP(r *inspect.Request) {
	if r.Protocol == "HTTP/1.1" {
		v.report.add(Finding{Kind: Fine, Check: checkHTTP, Title: "Requests arrive by HTTP/1.1."})
		return
	}
	v.report.add(Finding{
		Kind: WillBite, Check: checkHTTP, Title: "The proxy uses HTTP/1.0: no WebSocket can work, and each request needs a new connection.",
		Sent: "a request by HTTP/1.1 or 2", Seen: "it arrived by " + r.Protocol,
		Change: v.changes([]string{"proxy_http_version 1.1;", `proxy_set_header Connection "";    # not in the location of ` + v.server.Settings.PushPaths[0] + `, where WebSockets need it`}, []string{"no option httpclose, no http/1.0"},
			[]string{"no SetEnv force-proxy-request-1.0"}),
	})
}

// What nobody has: a name (RFC 6761), and an address (RFC 5737).
const (
	forgedHost    = "forged.invalid"
	forgedAddress = "203.0.113.9"
)

// checkForged looks whether a visitor can say of itself what only the proxy may say.
func (v *visit) checkForged(ctx context.Context) {
	if r := v.seen["plain"]; v.kind == noFront || !r.Trusted {
		return // Holdfast removes it
	}
	h := http.Header{"X-Forwarded-Host": {forgedHost}, "X-Forwarded-For": {forgedAddress}, "Forwarded": {"for=" + forgedAddress + ";host=" + forgedHost}}
	_, r, err := v.ask(ctx, "forged", "", h)
	if err != nil || r == nil {
		v.report.skip("whether a visitor can forge the host: the proxy refuses such requests.")
		return
	}
	checkForgedAddress(v, r)
	if !strings.Contains(r.Host, forgedHost) {
		v.report.add(Finding{Kind: Fine, Check: checkForged, Title: "A visitor can't forge the host."})
		return
	}
	v.report.add(Finding{
		Kind: WillBite, Check: checkForged, Title: "A visitor can forge the host: the proxy passes X-Forwarded-Host on, which Holdfast and the app believe.",
		Sent: "X-Forwarded-Host: " + forgedHost, Seen: "the host of the request was " + clip(r.Host),
		Change: v.changes([]string{"proxy_set_header X-Forwarded-Host $http_host;", `proxy_set_header Forwarded "";`},
			[]string{"http-request del-header X-Forwarded- -m beg", "http-request del-header Forwarded    # before all set-header"},
			[]string{"RequestHeader unset X-Forwarded-Host", "RequestHeader unset Forwarded"}),
	})
}

// checkForgedAddress looks whether the proxy passes on what a visitor says of its address, in place of what it knows. Where it
// adds what it knows, that counts.
func checkForgedAddress(v *visit, r *inspect.Request) {
	sent, _ := field(r, "X-Forwarded-For")
	if sent != forgedAddress || !strings.Contains(r.Client, forgedAddress) {
		return
	}
	v.report.add(Finding{
		Kind: WillBite, Check: checkForged, Title: "A visitor can forge its address: the proxy passes X-Forwarded-For on, which Holdfast and the app believe. Limits and rules by address do not hold.",
		Sent: "X-Forwarded-For: " + forgedAddress, Seen: "the client of the request was " + clip(r.Client),
		Change: v.changes([]string{"proxy_set_header X-Forwarded-For $remote_addr;"},
			[]string{"http-request set-header X-Forwarded-For %[src]"}, []string{"ProxyAddHeaders On    # its default"}),
	})
}
