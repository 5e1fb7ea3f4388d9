//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"holdfast/internal/http1"
	"holdfast/internal/inject"
)

// injected are pages that browsers read in different ways. Where it says so, the tag can't be in the page.
var injected = []struct {
	name, kind, page string
	policy           string
	without          bool
}{
	{name: "plain", page: "<!DOCTYPE html>\n<html><head><title>x</title><script>order.push('page')</script></head><body><p>y</body></html>"},
	{name: "quirks", page: "<html><head><title>x</title></head><body bgcolor=red><table><tr><td>y</table>"},
	{name: "limited quirks", page: `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd"><html><head><title>x</title>`},
	{name: "attributes", page: "<!doctype html><html lang='a>b'><head profile=\"a>b\" x='>' y=a\"b z/ w = '\"' data-a=><title>x</title>"},
	{name: "no head", page: "<!doctype html>\n<html lang=en>\n<body class=a>\n<p>x"},
	{name: "no html", page: "<!doctype html>\n<title>x</title>\n<script>order.push('page')</script>\n<p>y"},
	{name: "text", page: "<!doctype html>\n Hello, <b>you</b>"},
	{name: "only body", page: "<body onload='order.push(1)'>x"},
	{name: "frames", page: "<html><frameset cols='*,*'><frame src=about:blank><frame src=about:blank></frameset></html>"},
	{name: "header", page: "<!doctype html><html><header><h1>x</h1></header><main>y"},
	{name: "comments", page: "<!-- <head> --><!doctype html><!--><html><!----><head><!-- a - b -- c --!><title>x</title><!--[if IE]><p><![endif]-->"},
	{name: "conditional comments", page: "<!doctype html>\n<!--[if lt IE 7]> <html class=\"lt-ie7\"> <![endif]-->\n<!--[if gt IE 8]><!--> <html class=\"no-js\"> <!--<![endif]-->\n" +
		"<head>\n<meta charset=utf-8>\n<!-- c -->\n<title>x</title>"},
	{name: "subset", page: "<!DOCTYPE html [<!ENTITY a \"b\">]><html><head><title>x</title>"},
	{name: "boilerplate", page: "<!doctype html><html><head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\">\n<meta name=viewport content='a>b'>\n<title>\u00e9</title>"},
	{name: "late charset", page: "<!doctype html><html><head><!--" + strings.Repeat("x", 950) + "--><meta charset=\"utf-8\"><title>\u00e9</title>"},
	{name: "charset without head", page: "<!doctype html><meta charset=utf-8><title>\u00e9</title><p>\u00e9"},
	{name: "a script in the head", page: "<!doctype html><html><head><script>document.write('<meta name=a><script>order.push(\"written\")<\\/script>')</script><title>x</title>"},
	{name: "base", page: "<!doctype html><html><head><base href='/elsewhere/'><title>x</title></head><a href=y>y</a>"},
	{name: "stray end tag", page: "<!doctype html></p></div><title>x</title>"},
	{name: "closed head", page: "<html></head><title>x</title><body>y"},
	{name: "policy in the page", page: "<!doctype html><html><head><meta charset=utf-8><meta http-equiv=Content-Security-Policy content=\"script-src 'none'\"><title>x</title><script>order.push('page')</script>"},
	{name: "policy with a nonce", policy: "script-src 'nonce-abc' 'strict-dynamic'", page: "<!doctype html><head><title>x</title><script nonce=abc>order.push('page')</script>"},
	{name: "policy of the host", policy: "default-src HOST; style-src 'none'", page: "<!doctype html><head><title>x</title>"},
	{name: "two policies", policy: "script-src 'self' 'unsafe-inline', default-src 'self' 'unsafe-inline'", page: "<!doctype html><head><title>x</title><script>order.push('page')</script>"},
	{name: "forbidden", policy: "script-src 'unsafe-inline'", page: "<!doctype html><head><title>x</title>", without: true},
	{name: "fragment", page: "<tr><td>x</td></tr>", without: true},
	{name: "XHTML", kind: "application/xhtml+xml", page: "<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">" +
		"<html xmlns=\"http://www.w3.org/1999/xhtml\"><head>\n<meta charset='utf-8'/><title>x</title><script>//<![CDATA[\norder.push('page' &&1)\n//]]></script></head><body><p>y</p></body></html>"},
	{name: "XHTML with a prefix", kind: "application/xhtml+xml", page: "<h:html xmlns:h=\"http://www.w3.org/1999/xhtml\"><h:head><h:title>x</h:title></h:head><h:body><h:p>y</h:p></h:body></h:html>"},
	{name: "XHTML with an empty head", kind: "application/xhtml+xml", page: "<html xmlns=\"http://www.w3.org/1999/xhtml\"><head/><body><p>y</p></body></html>", without: true},
}

// probe is the script that the tag loads. It takes its element away, as the shim does.
const probe = `
window.order = ["tag"];
var script = document.currentScript || document.scripts[0];
script.parentNode.removeChild(script);`

// TestInjectedPages shows pages to a browser with the tag and without: they are the same document, and the tag's script ran
// first.
func TestInjectedPages(t *testing.T) {
	rule := inject.NewRule("/probe.js")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/probe.js" {
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, probe)
			return
		}
		which, number, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		n, err := strconv.Atoi(number)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		p := injected[n]
		kind := p.kind
		if kind == "" {
			kind = "text/html"
		}
		w.Header().Set("Content-Type", kind)
		page := p.page
		if policy := strings.ReplaceAll(p.policy, "HOST", r.Host); policy != "" {
			w.Header().Set("Content-Security-Policy", policy)
		}
		if which == "with" {
			page = injectInto(t, rule, w.Header(), r.Host, page)
		} else { // scripts of pages may use what the tag's has made
			w.Header().Set("X-Plain", "1")
			page = strings.ReplaceAll(page, "order.push(", "void (")
		}
		fmt.Fprint(w, page)
	})
	host := startApp(t, handler)
	b := startBrowser(t)
	for n, p := range injected {
		t.Run(p.name, func(t *testing.T) {
			b := &browser{t: t, session: b.session, client: b.client}
			look := func(which string) (seen map[string]any) {
				b.open(fmt.Sprintf("%s/%s/%d", host, which, n))
				b.waitFor("the page is loaded", "document.readyState === 'complete'")
				b.eval(`
					var d = document, t = d.doctype;
					return {
						html: new XMLSerializer().serializeToString(d).replace(/order\.push\(|void \(/g, "("),
						outer: d.documentElement.outerHTML.replace(/order\.push\(|void \(/g, "("),
						mode: d.compatMode, charset: d.characterSet, title: d.title, scripts: d.scripts.length,
						base: d.baseURI.replace(/with|plain/, ""), order: window.order || [],
					}`, &seen)
				return seen
			}
			plain, with := look("plain"), look("with")
			order, _ := with["order"].([]any)
			if p.without != (len(order) == 0) || len(order) > 0 && order[0] != "tag" {
				t.Errorf("scripts ran in the order %v", order)
			}
			delete(plain, "order")
			delete(with, "order")
			a, _ := json.MarshalIndent(plain, "", " ")
			c, _ := json.MarshalIndent(with, "", " ")
			if string(a) != string(c) {
				t.Errorf("with the tag\n%s\nwithout\n%s", c, a)
			}
		})
	}
}

// injectInto adds the tag to a page, if it may, in pieces.
func injectInto(t *testing.T, rule *inject.Rule, header http.Header, host, page string) string {
	raw := "HTTP/1.1 200 OK\r\n"
	for name, values := range header {
		for _, v := range values {
			raw += name + ": " + v + "\r\n"
		}
	}
	var a http1.Answer
	if err := a.Parse([]byte(raw + "\r\n")); err != nil {
		t.Error(err)
		return ""
	}
	f, why := rule.Decide(&a, inject.Origin{Scheme: "http", Host: host})
	if why != "" {
		return page
	}
	defer f.Close()
	var out []byte
	for i := range len(page) {
		var err error
		if out, err = f.Append(out, []byte(page[i:i+1]), i == len(page)-1); err != nil {
			t.Error(err)
		}
	}
	return string(out)
}
