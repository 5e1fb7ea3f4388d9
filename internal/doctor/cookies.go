package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// maxRedirects is how many redirects of the page are followed.
const maxRedirects = 5

// setCookie is a cookie that the app has set, and the path of the page that did.
type setCookie struct {
	*http.Cookie
	page string
}

// sessionNames are parts of the names that frameworks give the cookie of a session or login.
var sessionNames = []string{"sess", "sid", "auth", "logged_in", "remember", "token", "identity"}

// isSession reports whether a cookie is that of a session: by push.logout.cookies, or else by its name.
func (v *visit) isSession(name string) bool {
	for _, pattern := range v.server.Settings.SessionCookies {
		if prefix, ok := strings.CutSuffix(pattern, "*"); name == pattern || ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	lower := strings.ToLower(name)
	return len(v.server.Settings.SessionCookies) == 0 && slices.ContainsFunc(sessionNames, func(part string) bool { return strings.Contains(lower, part) })
}

// openPage visits the page without a login, and returns the session cookies that the app sets.
func (v *visit) openPage(ctx context.Context) (list []setCookie) {
	at := *v.page
	for range maxRedirects {
		a, err := v.front.get(ctx, at.String(), "", http.Header{"Accept": {"text/html"}})
		if err != nil {
			v.report.skip("the cookies of the app: %s", clip(err.Error()))
			return list
		}
		for _, c := range (&http.Response{Header: a.header}).Cookies() {
			if v.isSession(c.Name) {
				list = append(list, setCookie{c, at.Path})
			}
		}
		next, err := at.Parse(a.header.Get("Location"))
		if err != nil || a.status < 300 || a.status > 399 || next.Host != at.Host || next.Scheme != at.Scheme {
			break
		}
		at = *next
	}
	return list
}

// path returns the path below which browsers send a cookie (RFC 6265 §5.1.4).
func (c setCookie) path() string {
	if strings.HasPrefix(c.Path, "/") {
		return c.Path
	}
	if dir := path.Dir(c.page); dir != "." {
		return dir
	}
	return "/"
}

// covers reports whether browsers send a cookie with a path to target (RFC 6265 §5.1.4).
func covers(cookiePath, target string) bool {
	return target == cookiePath || strings.HasPrefix(target, strings.TrimSuffix(cookiePath, "/")+"/")
}

// checkCookies looks whether the cookies get to the push path.
func (v *visit) checkCookies(list []setCookie) {
	for _, c := range list {
		if f := v.cookieFault(c); f.Title != "" {
			v.report.add(f)
			return
		}
	}
	if len(list) == 0 {
		v.report.skip("whether the login reaches %s: the page sets no session cookie. A page that does is the URL to give.", v.server.Settings.PushPaths[0])
		return
	}
	v.report.add(Finding{Kind: Fine, Check: checkCookie, Title: fmt.Sprintf("The app's cookie %s reaches the push path.", list[len(list)-1].Name)})
}

// cookieFault returns why browsers do not send a cookie to the push path; without a title: they do.
func (v *visit) cookieFault(c setCookie) Finding {
	paths := v.server.Settings.PushPaths
	f := Finding{Kind: Broken, Check: checkCookie, Sent: "GET " + c.page, Seen: "Set-Cookie: " + c.Name + "=…" + attributes(c.Cookie)}
	host, _, _ := strings.Cut(v.page.Host, ":")
	domain := strings.ToLower(strings.TrimPrefix(c.Domain, "."))
	switch {
	case !slices.ContainsFunc(paths, func(p string) bool { return covers(c.path(), p) }):
		f.Title = fmt.Sprintf("The app's cookie %s is only for %s: the browser does not send it to %s, so logins count for nothing there.", c.Name, c.path(), strings.Join(paths, ", "))
		f.Change = []Change{
			inConfig("push: {extra_paths: [" + strings.TrimSuffix(c.path(), "/") + "/_push]}    # and use that in your pages"),
			{In: "the app", Lines: []string{"the cookie's path: /"}},
		}
	case domain != "" && strings.ToLower(host) != domain && !strings.HasSuffix(strings.ToLower(host), "."+domain):
		f.Title = fmt.Sprintf("The app's cookie %s is for the host %s: browsers drop it.", c.Name, clip(domain))
		f.Change = []Change{{In: "the app", Lines: []string{"the cookie without a domain, or with " + host}}}
	case c.Secure && v.page.Scheme == "http" && !isLoopback(host) && host != "localhost":
		f.Title = fmt.Sprintf("The app's cookie %s is only for https, and the URL is http: browsers drop it.", c.Name)
		f.Change = []Change{{In: "the app", Lines: []string{"https, or the cookie without Secure"}}}
	case c.SameSite == http.SameSiteNoneMode && !c.Secure:
		f.Title = fmt.Sprintf("The app's cookie %s has SameSite=None without Secure: browsers drop it.", c.Name)
		f.Change = []Change{{In: "the app", Lines: []string{"SameSite=Lax"}}}
	}
	return f
}

// attributes returns the attributes of a cookie that decide where it is sent.
func attributes(c *http.Cookie) (text string) {
	if c.Path != "" {
		text += "; Path=" + clip(c.Path)
	}
	if c.Domain != "" {
		text += "; Domain=" + clip(c.Domain)
	}
	if c.Secure {
		text += "; Secure"
	}
	if c.SameSite == http.SameSiteNoneMode {
		text += "; SameSite=None"
	}
	return text
}

// pageBeside returns the URL of another path of the app, which may have a query.
func pageBeside(page *url.URL, text string) (*url.URL, error) {
	u, err := page.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Host != page.Host || u.Scheme != page.Scheme {
		return nil, fmt.Errorf("%q is not a path of %s", text, page.Host)
	}
	return u, nil
}
