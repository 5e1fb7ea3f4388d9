//go:build e2e && linux

package e2e

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

const tomcatHome = "/usr/share/tomcat10"

// startTomcat runs a Tomcat of its own with these webapps, context path to folder, and the users of
// examples/tomcat-parcels, and returns its address.
func startTomcat(t *testing.T, webapps map[string]string, env ...string) string {
	t.Helper()
	users, err := os.ReadFile(filepath.Join(repository, "examples/tomcat-parcels/tomcat-users.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var contexts strings.Builder
	for path, dir := range webapps {
		fmt.Fprintf(&contexts, `<Context path=%q docBase=%q />`, path, dir)
	}
	return startTomcatWith(t, string(users), contexts.String(), env...)
}

// startTomcatWith is startTomcat with these users and contexts, in the XML of Tomcat.
func startTomcatWith(t *testing.T, users, contexts string, env ...string) string {
	t.Helper()
	addr := freeAddr(t)
	startTomcatAt(t, addr, tomcatConnector(t, addr), users, contexts, env...)
	return addr
}

func tomcatConnector(t *testing.T, addr string) string {
	t.Helper()
	return fmt.Sprintf(`<Connector port=%q address="127.0.0.1" protocol="HTTP/1.1" />`, portOf(t, addr))
}

// startTomcatAt is startTomcatWith with this Connector, which listens at addr.
func startTomcatAt(t *testing.T, addr, connector, users, contexts string, env ...string) *process {
	t.Helper()
	java := program(t, "java", "default-jre-headless")
	program(t, tomcatHome+"/bin/bootstrap.jar", "tomcat10")

	base := t.TempDir()
	for _, dir := range []string{"temp", "work", "webapps", "logs"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	webXML, err := os.ReadFile(tomcatHome + "/etc/web.xml")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(base, "conf/web.xml"), string(webXML))
	writeFile(t, filepath.Join(base, "conf/tomcat-users.xml"), users)
	writeFile(t, filepath.Join(base, "conf/server.xml"), tomcatServerXML(connector, contexts))

	cmd := exec.Command(java,
		"-Xmx256m", "-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", tomcatHome+"/bin/bootstrap.jar:"+tomcatHome+"/bin/tomcat-juli.jar",
		"-Dcatalina.home="+tomcatHome, "-Dcatalina.base="+base, "-Djava.io.tmpdir="+base+"/temp",
		"org.apache.catalina.startup.Bootstrap", "start")
	cmd.Env = append(os.Environ(), env...)
	p := start(t, "tomcat", cmd)
	p.waitListening(t, addr) // Tomcat deploys before it listens
	return p
}

func tomcatServerXML(connector, contexts string) string {
	return fmt.Sprintf(`<Server port="-1">
  <Service name="Catalina">
    %s
    <Engine name="Catalina" defaultHost="localhost">
      <Realm className="org.apache.catalina.realm.MemoryRealm" />
      <Host name="localhost" appBase="webapps">%s</Host>
    </Engine>
  </Service>
</Server>
`, connector, contexts)
}

// TestTomcat puts Holdfast in front of Tomcat with the webapp of examples that comes with it, and
// with examples/tomcat.
func TestTomcat(t *testing.T) {
	program(t, "/usr/share/tomcat10-examples/examples/index.html", "tomcat10-examples")
	listen, hooks := freeAddr(t), freeAddr(t)
	tomcat := startTomcat(t, map[string]string{
		"/examples": "/usr/share/tomcat10-examples/examples",
		"":          filepath.Join(repository, "examples/tomcat"),
	}, "HOLDFAST_HOOKS=http://"+hooks)
	h := startHoldfastAt(t, listen, hooks, exampleConfig(t, "examples/tomcat/holdfast.yaml", tomcat))

	t.Run("servlets", func(t *testing.T) { testTomcatServlets(t, h) })
	t.Run("sessions", func(t *testing.T) { testTomcatSessions(t, h) })
	t.Run("async", func(t *testing.T) { testTomcatAsync(t, h) })
	t.Run("nonblocking", func(t *testing.T) { testTomcatNonblocking(t, h) })
	t.Run("websocket", func(t *testing.T) { testTomcatWebSocket(t, h) })
	t.Run("example", func(t *testing.T) { testExample(t, h, ".jsp") })
}

const servlets = "/examples/servlets/servlet/"

func testTomcatServlets(t *testing.T, h *holdfast) {
	t.Run("hello world", func(t *testing.T) {
		a := newVisitor(t, h.url).get(servlets + "HelloWorldExample")
		a.wantText(t, "<h1>Hello World!</h1>", "</html>")
	})
	t.Run("the app sees the client's request", func(t *testing.T) {
		v := newVisitor(t, h.url)
		header := http.Header{"Accept": {"application/json"}, "User-Agent": {"e2e visitor"}}
		a := v.do(http.MethodGet, servlets+"RequestHeaderExample", header, nil)
		a.want(t, http.StatusOK)
		a.wantText(t,
			fmt.Sprintf(`{"host":%q}`, h.addr),
			`{"user-agent":"e2e visitor"}`,
			`{"x-forwarded-for":"127.0.0.1"}`,
			fmt.Sprintf(`{"x-forwarded-host":%q}`, h.addr),
			`{"x-forwarded-proto":"http"}`,
			`{"x-real-ip":"127.0.0.1"}`)
	})
	t.Run("path and query arrive as they were sent", func(t *testing.T) {
		a := newVisitor(t, h.url).get(servlets + "RequestInfoExample/a%20b/c?x=%2F&x=2")
		a.wantText(t, servlets+"RequestInfoExample/a%20b/c")
	})
	t.Run("form", func(t *testing.T) {
		form := url.Values{"firstname": {"Zoë & Co"}, "lastname": {strings.Repeat("long", 5000)}}
		a := newVisitor(t, h.url).post(servlets+"RequestParamExample", form)
		a.want(t, http.StatusOK)
		a.wantText(t, "= Zo", "&amp; Co<br>", form.Get("lastname"))
	})
	t.Run("cookies", func(t *testing.T) {
		v := newVisitor(t, h.url)
		v.post(servlets+"CookieExample", url.Values{"cookiename": {"parcel"}, "cookievalue": {"42"}}).want(t, http.StatusOK)
		v.get(servlets+"CookieExample").wantText(t, "parcel", "42")
	})
	t.Run("errors of the app stay its own", func(t *testing.T) {
		a := newVisitor(t, h.url).do(http.MethodGet, "/examples/no-such-page", nil, nil)
		a.want(t, http.StatusNotFound)
		a.wantText(t, "HTTP Status 404")
	})
	t.Run("head, options and a conditional request", func(t *testing.T) {
		v := newVisitor(t, h.url)
		full := v.get("/examples/index.html")
		head := v.do(http.MethodHead, "/examples/index.html", nil, nil)
		head.want(t, http.StatusOK)
		if head.ContentLength != int64(len(full.body)) || head.body != "" {
			t.Errorf("HEAD: Content-Length %d and %d bytes, want %d and none", head.ContentLength, len(head.body), len(full.body))
		}
		options := v.do(http.MethodOptions, "/examples/index.html", nil, nil)
		if !strings.Contains(options.Header.Get("Allow"), "GET") {
			t.Errorf("OPTIONS: Allow is %q", options.Header.Get("Allow"))
		}
		header := http.Header{"If-None-Match": {full.Header.Get("Etag")}}
		v.do(http.MethodGet, "/examples/index.html", header, nil).want(t, http.StatusNotModified)
		v.get("/examples/index.html").wantText(t, full.body) // the connection is still in step
	})
	t.Run("redirects keep the client's host", func(t *testing.T) {
		a := newVisitor(t, h.url).do(http.MethodGet, "/examples", nil, nil)
		a.want(t, http.StatusFound)
		if location := a.Header.Get("Location"); location != "/examples/" && location != h.url+"/examples/" {
			t.Errorf("Location is %q", location)
		}
	})
	t.Run("many visitors at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 16 {
			v := newVisitor(t, h.url)
			wg.Go(func() {
				for j := range 20 {
					mine := fmt.Sprintf("visitor-%d-%d", i, j)
					res, err := v.http.PostForm(v.base+servlets+"RequestParamExample", url.Values{"firstname": {mine}})
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					if err != nil || !strings.Contains(string(body), " = "+mine+"<br>") {
						t.Errorf("%s was answered %q, %v", mine, body, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

var sessionID = regexp.MustCompile(`Session ID: (\w+)`)

func testTomcatSessions(t *testing.T, h *holdfast) {
	sessionOf := func(t *testing.T, a answer) string {
		t.Helper()
		m := sessionID.FindStringSubmatch(a.body)
		if m == nil {
			t.Fatalf("no session in the page\n%s", a.body)
		}
		return m[1]
	}
	t.Run("by cookie", func(t *testing.T) {
		v := newVisitor(t, h.url)
		first := sessionOf(t, v.get(servlets+"SessionExample"))
		a := v.post(servlets+"SessionExample", url.Values{"dataname": {"colour"}, "datavalue": {"green"}})
		a.want(t, http.StatusOK)
		if second := sessionOf(t, a); second != first {
			t.Errorf("session %s became %s", first, second)
		}
		v.get(servlets+"SessionExample").wantText(t, "colour = green")
		if other := newVisitor(t, h.url).get(servlets + "SessionExample"); strings.Contains(other.body, "colour") {
			t.Error("another visitor sees the session's data")
		}
	})
	t.Run("by rewritten URL without cookies", func(t *testing.T) {
		v := newVisitor(t, h.url)
		v.http.Jar = nil
		form := regexp.MustCompile(`action="(SessionExample;jsessionid=\w+)" method=POST`)
		a := v.get(servlets + "SessionExample")
		m := form.FindStringSubmatch(a.body)
		if m == nil {
			t.Fatalf("no rewritten URL in the page\n%s", a.body)
		}
		b := v.post(servlets+m[1], url.Values{"dataname": {"colour"}, "datavalue": {"blue"}})
		b.want(t, http.StatusOK)
		if sessionOf(t, b) != sessionOf(t, a) {
			t.Errorf("session %s became %s", sessionOf(t, a), sessionOf(t, b))
		}
		v.get(servlets+m[1]).wantText(t, "colour = blue")
	})
}

func testTomcatAsync(t *testing.T, h *holdfast) {
	for path, want := range map[string]string{
		"async0": "Async dispatch worked",
		"async1": "Output from async1.jsp",
		"async2": "Output from background thread.",
		"async3": "Output from async3.jsp",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel() // the app takes seconds over each
			newVisitor(t, h.url).get("/examples/async/"+path).wantText(t, want)
		})
	}
	t.Run("stockticker streams while the response is unfinished", func(t *testing.T) {
		t.Parallel()
		v := newVisitor(t, h.url)
		res, err := v.http.Get(v.base + "/examples/async/stockticker")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		quote := regexp.MustCompile(`^STOCK#\w+#[0-9.]+#`)
		lines := bufio.NewScanner(res.Body)
		for range 4 { // the app flushes each
			if !lines.Scan() {
				t.Fatalf("the stream ended: %v", lines.Err())
			}
			if !quote.MatchString(lines.Text()) {
				t.Fatalf("got %q", lines.Text())
			}
		}
	})
}

func testTomcatNonblocking(t *testing.T, h *holdfast) {
	t.Run("numbers are written as the client takes them", func(t *testing.T) {
		var want strings.Builder
		for i := range 10000 {
			fmt.Fprintf(&want, "%020d\n", i+1)
		}
		a := newVisitor(t, h.url).get("/examples/servlets/nonblocking/numberwriter")
		if a.body != want.String() {
			t.Errorf("%d bytes with hash %x, want %d", len(a.body), sha256.Sum256([]byte(a.body)), want.Len())
		}
	})
	const size = 5_000_000
	wantText := fmt.Sprintf("Total bytes written = [%d]", size)
	t.Run("upload of known length", func(t *testing.T) {
		a := newVisitor(t, h.url).do(http.MethodPost, "/examples/servlets/nonblocking/bytecounter", nil,
			strings.NewReader(strings.Repeat("x", size)))
		a.want(t, http.StatusOK)
		a.wantText(t, wantText)
	})
	t.Run("chunked upload", func(t *testing.T) {
		a := newVisitor(t, h.url).do(http.MethodPost, "/examples/servlets/nonblocking/bytecounter", nil,
			io.MultiReader(strings.NewReader(strings.Repeat("x", size)))) // no length to see
		a.want(t, http.StatusOK)
		a.wantText(t, wantText)
	})
}
