package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"

	"holdfast/internal/inspect"
)

// beginSessions begins the sessions at the API, or reports why it can't.
func (v *visit) beginSessions(ctx context.Context) {
	a := newAPI(v.API, v.Token)
	s, err := a.begin(ctx)
	if err == nil {
		v.quiet, err = a.begin(ctx)
	}
	if err != nil {
		v.report.add(apiFailure(a, err))
		return
	}
	v.server = s
}

func (v *visit) endSessions(ctx context.Context) {
	for _, s := range []*session{v.server, v.quiet} {
		_ = s.end(ctx) // it expires
	}
}

// apiFailure says why the API can't be used.
func apiFailure(a *api, err error) Finding {
	listen := strings.TrimPrefix(a.shown, "http://")
	f := Finding{
		Kind: Broken, Check: checkAPI, Title: "Holdfast's API does not answer at " + a.shown + ": the app can't publish there.",
		Sent: "POST " + a.shown + "/doctor", Seen: clip(err.Error()),
		Change: []Change{
			inConfig("hooks: {listen: \"" + listen + "\"}    # if the app publishes there"),
			{In: "the app", Lines: []string{"publish to the address of hooks.listen; from another container, that is not 127.0.0.1"}},
			{In: "doctor", Lines: []string{"-config FILE of the running Holdfast, or -hooks URL"}},
		},
	}
	var status *statusError
	switch {
	case !errors.As(err, &status):
	case status.status == http.StatusUnauthorized:
		f.Title = "Holdfast's API refuses the token."
		f.Change = []Change{{In: "doctor", Lines: []string{"-config FILE with the hooks.token of the running Holdfast, or -token"}}, {In: "the app", Lines: []string{"the same token, as Authorization: Bearer TOKEN"}}}
	case status.status == http.StatusForbidden:
		f.Title = "Holdfast's API refuses the host name."
		f.Change = []Change{inConfig("hooks: {hosts: [NAME]}    # the name in " + a.shown)}
	case status.status == http.StatusNotFound, status.status == http.StatusMethodNotAllowed:
		f.Title = "What answers at " + a.shown + " is not the API of this version of Holdfast."
	case status.status == http.StatusServiceUnavailable:
		f.Title, f.Change = "Too many examinations run at once.", nil
	}
	return f
}

// reachWithoutAPI looks only whether anything answers.
func (v *visit) reachWithoutAPI(ctx context.Context) {
	if _, err := v.front.get(ctx, v.page.String(), "", nil); err != nil {
		v.report.add(v.unreachable(err))
	} else {
		v.report.add(Finding{Kind: Fine, Check: checkReach, Title: "Something answers at the URL."})
	}
	v.report.skip("everything else: it needs Holdfast's API.")
}

// unreachable is the finding for a front address that does not answer.
func (v *visit) unreachable(err error) Finding {
	f := Finding{Kind: Broken, Check: checkReach, Title: "The URL can't be reached.", Sent: "GET " + v.page.String(), Seen: clip(err.Error())}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid) {
		f.Title = "Browsers refuse the certificate."
		f.Change = []Change{{In: "doctor", Lines: []string{"-insecure, if it is your own certificate and you know that it is good"}}}
	}
	return f
}

// checkReach sends the first request. It reports whether this Holdfast has got it.
func (v *visit) checkReach(ctx context.Context) bool {
	a, r, err := v.ask(ctx, "plain", "", nil)
	path := v.server.Settings.PushPaths[0]
	if below := dirOf(v.page); err == nil && r == nil && below != "" {
		if other, found := v.tryBelow(ctx, below); found != nil {
			a, r = other, found
		}
	}
	switch {
	case err != nil:
		v.report.add(v.unreachable(err))
		return false
	case r == nil:
		v.report.Front = "reached something else than this Holdfast"
		f := Finding{
			Kind: Broken, Check: checkReach, Title: "Requests for " + path + " do not reach this Holdfast.",
			Sent: "GET " + path, Seen: fmt.Sprintf("status %d, Server %q, and Holdfast has seen no request", a.status, clip(a.header.Get("Server"))),
			Change: []Change{
				{In: nginxName, Lines: []string{"location " + path + " { proxy_pass http://127.0.0.1:8080; }"}},
				{In: haproxyName, Lines: []string{"use_backend holdfast if { path_beg " + path + " }"}},
				{In: apacheName, Lines: []string{"ProxyPass " + path + " http://127.0.0.1:8080" + path + " flushpackets=on"}},
			},
		}
		if below := dirOf(v.page); below != "" {
			f.Sent += ", and " + below + path
			f.Change = append(f.Change, inConfig("push: {extra_paths: ["+below+path+"]}    # if Holdfast gets only what is below "+below))
		}
		v.report.add(f)
		return false
	}
	v.local = v.front.localAddr()
	v.recognize(a.header, r)
	v.report.add(Finding{Kind: Fine, Check: checkReach, Title: "Requests reach Holdfast."})
	return true
}

// dirOf returns the directory of a page; empty: the root.
func dirOf(page *url.URL) string {
	return strings.TrimRight(page.Path[:strings.LastIndex(page.Path, "/")+1], "/")
}

// tryBelow sends the first request to the push path below a directory, which a proxy may remove. If Holdfast gets it there,
// the push paths of the examination are those.
func (v *visit) tryBelow(ctx context.Context, dir string) (*answer, *inspect.Request) {
	before := v.server.Settings.PushPaths
	var paths []string
	for _, path := range before {
		paths = append(paths, dir+path)
	}
	v.server.Settings.PushPaths = paths
	a, r, err := v.ask(ctx, "plain", "", nil)
	if err != nil || r == nil {
		v.server.Settings.PushPaths = before
		return nil, nil
	}
	v.quiet.Settings.PushPaths = paths
	v.report.add(Finding{
		Kind: WillBite, Check: checkReach, Title: "The proxy removes " + dir + " from paths: for visitors the push path is " + paths[0] + ". Tags of inject, and pages that use " + before[0] + ", do not get there.",
		Sent: "GET " + before[0] + ", and " + paths[0], Seen: "only the second has reached Holdfast",
		Change: append([]Change{{In: "your pages", Lines: []string{"<script src=\"" + paths[0] + "/client.js\"></script>    <!-- it subscribes where it comes from -->"}}},
			v.changes([]string{"location " + before[0] + " { proxy_pass http://127.0.0.1:8080; }"},
				[]string{"use_backend holdfast if { path_beg " + before[0] + " }"},
				[]string{"ProxyPass " + before[0] + " http://127.0.0.1:8080" + before[0] + " flushpackets=on"})...),
	})
	return a, r
}

// checkAPI looks at the API as the app uses it.
func (v *visit) checkAPI(ctx context.Context) {
	if v.AppAPI != "" && v.AppAPI != v.API {
		a := newAPI(v.AppAPI, v.Token)
		if _, err := (&session{api: a, Secret: v.server.Secret}).seen(ctx); err != nil {
			f := apiFailure(a, err)
			f.Title = fmt.Sprintf("The app publishes to %s, but Holdfast's API is at %s.", v.AppAPI, v.API)
			f.Sent = "GET " + v.AppAPI + "/doctor/…"
			f.Change = f.Change[:min(len(f.Change), 2)] // doctor itself is right
			v.report.add(f)
			return
		}
	}
	var refused []string
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		if n := v.server.Responses[status]; n > 0 {
			refused = append(refused, fmt.Sprintf("%d with status %d", n, status))
		}
	}
	sort.Strings(refused)
	if len(refused) > 0 {
		v.report.add(Finding{
			Kind: WillBite, Check: checkAPI, Title: "Holdfast's API has refused requests since it started: " + strings.Join(refused, ", ") + ".",
			Seen: "401 is a wrong or missing token, 403 a host name that is not in hooks.hosts, or a browser; the log has each",
			Change: []Change{
				{In: "the app", Lines: []string{"Authorization: Bearer TOKEN, with hooks.token"}}, inConfig("hooks: {hosts: [NAME]}    # of the URL that the app uses"),
			},
		})
		return
	}
	v.report.add(Finding{Kind: Fine, Check: checkAPI, Title: "Holdfast's API answers at " + v.API + "."})
	if v.AppAPI == "" {
		v.report.skip("whether the app reaches the API, if it runs elsewhere: -app-hooks URL, run on the app's machine or in its container.")
	}
}

// fewFiles is fewer descriptors than a server of people should have.
const fewFiles = 4096

// checkFiles looks at the number of descriptors.
func (v *visit) checkFiles() {
	s := &v.server.Settings
	if s.FileLimit == 0 {
		v.report.skip("the file limit: it is not known.")
		return
	}
	room := s.MaxConnections
	f := Finding{
		Kind: Fine, Check: checkFiles, Title: fmt.Sprintf("There is room for %d connections; open now: %d.", room, s.Connections),
		Seen: fmt.Sprintf("the file limit is %d; each visitor with an open page needs one", s.FileLimit),
		Change: []Change{
			{In: "the unit of systemd", Lines: []string{"LimitNOFILE=1000000"}}, {In: "a shell or container", Lines: []string{"ulimit -n 1000000, or docker run --ulimit nofile=1000000"}},
		},
	}
	switch {
	case s.Connections*10 > int64(room)*9:
		f.Kind, f.Title = Broken, fmt.Sprintf("Nearly all of the %d connections are in use.", room)
	case s.FileLimit <= fewFiles:
		f.Kind, f.Title = WillBite, fmt.Sprintf("There is room for only %d connections; open now: %d.", room, s.Connections)
	}
	v.report.add(f)
}
