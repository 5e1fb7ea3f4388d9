package doctor

import (
	"net"
	"net/http"
	"strings"

	"holdfast/internal/inspect"
)

// frontKind is a program that stands before Holdfast.
type frontKind int

const (
	noFront frontKind = iota
	someFront
	nginx
	haproxy
	apache
)

const (
	ours        = "config.yaml"
	nginxName   = "nginx"
	haproxyName = "HAProxy"
	apacheName  = "Apache"
)

// forwarding are the fields that a proxy adds.
var forwarding = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP", "Forwarded", "Via"}

// recognize sets what stands in front, by a response and by how its request arrived.
func (v *visit) recognize(h http.Header, r *inspect.Request) {
	server := h.Get("Server")
	via, _ := field(r, "Via")
	lower := strings.ToLower(server + " " + via + " " + h.Get("Via"))
	switch {
	case strings.Contains(lower, "nginx"), strings.Contains(lower, "openresty"):
		v.kind = nginx
	case strings.Contains(lower, "apache"):
		v.kind = apache
	case strings.Contains(lower, "haproxy"):
		v.kind = haproxy
	case server != "" || via != "" || v.isProxied(r):
		v.kind = someFront
	}
	switch {
	case v.kind == noFront:
		v.report.Front = "without a proxy in front"
	case server != "":
		v.report.Front = "behind " + clip(server)
	case via != "":
		v.report.Front = "behind " + clip(via)
	default:
		v.report.Front = "behind a proxy that does not give its name"
	}
}

// isProxied reports whether a request came in another way than it was sent.
func (v *visit) isProxied(r *inspect.Request) bool {
	for _, name := range forwarding {
		if _, ok := field(r, name); ok {
			return true
		}
	}
	if r.Protocol == "HTTP/1.0" || r.Scheme != v.page.Scheme {
		return true
	}
	here, _, err := net.SplitHostPort(v.local)
	there, _, err2 := net.SplitHostPort(r.Peer)
	return err == nil && err2 == nil && isLoopback(here) != isLoopback(there)
}

func isLoopback(host string) bool {
	a := net.ParseIP(host)
	return a != nil && a.IsLoopback()
}

// changes returns what to write in the program in front, or for all three if it is not recognized. Lists without a line
// are left out.
func (v *visit) changes(forNginx, forHAProxy, forApache []string) (list []Change) {
	for _, c := range []struct {
		kind  frontKind
		name  string
		lines []string
	}{{nginx, nginxName, forNginx}, {haproxy, haproxyName, forHAProxy}, {apache, apacheName, forApache}} {
		if len(c.lines) > 0 && (v.kind == c.kind || v.kind == someFront || v.kind == noFront) {
			list = append(list, Change{In: c.name, Lines: c.lines})
		}
	}
	return list
}

// inConfig returns what to write in config.yaml.
func inConfig(lines ...string) Change { return Change{In: ours, Lines: lines} }
