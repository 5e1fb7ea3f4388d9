//go:build e2e && linux

package fcgi

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/site"
)

// patience bounds every wait for something that must happen; a test that waits for the whole of it fails.
const patience = 30 * time.Second

// appPHP does what the query asks for.
const appPHP = `<?php
switch ($_GET['do'] ?? '') {
case 'env': header('Content-Type: application/json'); echo json_encode($_SERVER); break;
case 'sum': $in = file_get_contents('php://input'); echo strlen($in), ' ', md5($in); break;
case 'form': echo count($_POST), ' ', strlen($_POST['b'] ?? ''); break;
case 'log': error_log("first\x1b[31m line"); echo 'logged'; error_log('second line'); break;
case 'missing': header('Status: 404 Not Found'); header('X-A: 1'); echo 'nothing'; break;
case 'code': http_response_code(418); break;
case 'redirect': header('Location: /elsewhere'); break;
case 'big': for ($i = 0; $i < 3000; $i++) echo str_repeat(chr(97 + $i % 26), 1000); break;
case 'cookies': setcookie('a', '1'); setcookie('b', '2'); break;
case 'die': echo str_repeat('x', 100000); flush(); exec('kill -9 ' . getmypid()); break;
case 'fatal': nothing_of_that_name(); break;
default: echo 'pid ', getmypid();
}
`

// fpm is a php-fpm of the test's own, with one worker.
type fpm struct{ root, socket string }

func startFPM(t *testing.T) fpm {
	t.Helper()
	found, err := filepath.Glob("/usr/sbin/php-fpm*")
	if err != nil || len(found) == 0 {
		t.Fatal("php-fpm is missing: install the Debian package php-fpm")
	}
	dir, err := os.MkdirTemp("", "holdfast-fpm-") // not t.TempDir: other users may not enter that
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := fpm{root: filepath.Join(dir, "root"), socket: filepath.Join(dir, "php.sock")}
	if err := os.Mkdir(f.root, 0o755); err != nil {
		t.Fatal(err)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user = www-data\ngroup = www-data\nlisten.mode = 0666\n"
	}
	conf := fmt.Sprintf(`[global]
error_log = %[1]s/fpm.log
daemonize = no
[test]
%[2]slisten = %[3]s
pm = static
pm.max_children = 1
php_admin_value[post_max_size] = 64M
php_admin_flag[log_errors] = on
php_admin_flag[display_errors] = off
security.limit_extensions =
`, dir, user, f.socket)
	for name, text := range map[string]string{"../fpm.conf": conf, "app.php": appPHP} {
		f.write(t, name, text)
	}
	cmd := exec.Command(found[0], "-F", "-y", filepath.Join(dir, "fpm.conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread that forked ends
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("php-fpm does not end")
			cmd.Process.Kill()
			<-ended
		}
	})
	for by := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", f.socket); err == nil {
			c.Close()
			return f
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("php-fpm ended: %v\n%s", err, output.String())
		default:
		}
		if time.Now().After(by) {
			t.Fatal("php-fpm does not listen")
		}
	}
}

// write puts a file into the root.
func (f fpm) write(t *testing.T, name, text string) {
	t.Helper()
	name = filepath.Join(f.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (f fpm) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// request is one for app.php.
func (f fpm) request(do string, fields ...string) *Request {
	r := &Request{
		Method: []byte("GET"), Target: []byte("/app.php?do=" + do), Query: []byte("do=" + do), Minor: 1, Host: []byte("example.test"),
		Client: netip.MustParseAddrPort("192.0.2.7:4711"), Server: netip.MustParseAddrPort("192.0.2.1:80"),
		Root: f.root, Filename: f.root + "/app.php", ScriptName: "/app.php", Length: -1, Fields: fieldsOf(fields...),
	}
	return r
}

func post(r *Request, body []byte) (*Request, []byte) {
	r.Method, r.Length = []byte("POST"), int64(len(body))
	return r, body
}

// answer is what came back.
type answer struct {
	head   Head
	body   string
	reader Reader
}

func (a *answer) field(name string) (list []string) {
	for _, f := range a.head.Fields {
		if !f.Drop && strings.EqualFold(string(f.Name), name) {
			list = append(list, string(f.Value))
		}
	}
	return list
}

// ask sends a request over c as an exchange would, in pieces, and reads the answer.
func ask(t *testing.T, c net.Conn, id uint16, keep bool, r *Request, body []byte) *answer {
	t.Helper()
	b := r.Append(nil, id, keep)
	in := Stdin{ID: id}
	rnd := rand.New(rand.NewPCG(7, 7))
	for len(body) > 0 {
		n := min(1+rnd.IntN(MaxContent), len(body))
		b = append(in.Append(b, n), body[:n]...)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		b, body = b[:0], body[n:]
	}
	if _, err := c.Write(in.End(b)); err != nil {
		t.Fatal(err)
	}
	a := new(answer)
	a.reader.Reset(id)
	var out []byte
	p := make([]byte, 4096)
	for !a.reader.Done {
		n, err := c.Read(p)
		if err != nil {
			t.Fatalf("%v after %q, stderr %q", err, out, a.reader.Stderr)
		}
		m, used, err := a.reader.Feed(p[:n])
		if err != nil || used != n {
			t.Fatalf("%d of %d bytes: %v", used, n, err)
		}
		out = append(out, p[:m]...)
	}
	n, err := HeadEnd(out, 0)
	if err != nil || n == 0 {
		t.Fatalf("no head in %q: %v", out, err)
	}
	if err := a.head.Parse(out[:n]); err != nil {
		t.Fatalf("%q: %v", out[:n], err)
	}
	a.body = string(out[n:])
	return a
}

// TestFPM talks with a real php-fpm over one connection that is kept for all requests but the last.
func TestFPM(t *testing.T) {
	f := startFPM(t)
	c := f.dial(t)
	id := uint16(0)
	do := func(t *testing.T, r *Request, body []byte) *answer {
		t.Helper()
		id += 300 // any id will do, and another for each request
		return ask(t, c, id, true, r, body)
	}
	want := func(t *testing.T, a *answer, status int, body string) {
		t.Helper()
		if a.head.Status != status || a.body != body || len(a.reader.Stderr) != 0 {
			t.Errorf("%d %.200q, want %d %.200q; stderr %q", a.head.Status, a.body, status, body, a.reader.Stderr)
		}
	}
	env := func(t *testing.T, r *Request) map[string]any {
		t.Helper()
		a := do(t, r, nil)
		m := map[string]any{}
		if err := json.Unmarshal([]byte(a.body), &m); err != nil {
			t.Fatalf("%v in %q", err, a.body)
		}
		return m
	}

	t.Run("environment", func(t *testing.T) {
		r := f.request("env", "Host: example.test", "Authorization: Basic YWxpY2U6c2VjcmV0", "X-A: 1", "x-a: 2", "Cookie: a=1", "Cookie: b=2",
			"Proxy: evil", "X_A: evil", "X.A: evil", "Content-Type: a/b")
		r.HTTPS = true
		got := env(t, r)
		for name, want := range map[string]any{
			"SCRIPT_FILENAME": f.root + "/app.php", "SCRIPT_NAME": "/app.php", "PHP_SELF": "/app.php", "DOCUMENT_ROOT": f.root,
			"REQUEST_URI": "/app.php?do=env", "QUERY_STRING": "do=env", "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1",
			"REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "4711", "SERVER_NAME": "example.test", "SERVER_PORT": "80", "HTTPS": "on",
			"HTTP_HOST": "example.test", "HTTP_X_A": "1, 2", "HTTP_COOKIE": "a=1; b=2", "CONTENT_TYPE": "a/b",
			"PHP_AUTH_USER": "alice", "PHP_AUTH_PW": "secret", "HTTP_PROXY": nil, "PATH_INFO": nil, "FCGI_ROLE": "RESPONDER",
		} {
			if got[name] != want {
				t.Errorf("%s is %q, want %q", name, got[name], want)
			}
		}
	})
	t.Run("a dot would be an underscore", func(t *testing.T) { // the reason for passes
		b := AppendBegin(nil, 5, true)
		p := NewParams(b, 5)
		p.AddString("SCRIPT_FILENAME", f.root+"/app.php")
		p.AddString("REQUEST_METHOD", "GET")
		p.AddString("QUERY_STRING", "do=env")
		p.AddString("HTTP_X.A", "evil")
		if _, err := c.Write((&Stdin{ID: 5}).End(p.End())); err != nil {
			t.Fatal(err)
		}
		all := readRecords(t, c, 5)
		if !strings.Contains(all, `"HTTP_X_A":"evil"`) {
			t.Errorf("php keeps the dot: %q", all)
		}
	})
	t.Run("path info", func(t *testing.T) {
		r := f.request("env")
		r.Target, r.PathInfo = []byte("/app.php/a%0a%20b/c.php?do=env"), "/a b/c.php"
		got := env(t, r)
		for name, want := range map[string]any{
			"PATH_INFO": "/a b/c.php", "SCRIPT_NAME": "/app.php", "PHP_SELF": "/app.php/a b/c.php", "SCRIPT_FILENAME": f.root + "/app.php",
			"PATH_TRANSLATED": f.root + "/a b/c.php",
		} {
			if got[name] != want {
				t.Errorf("%s is %q, want %q", name, got[name], want)
			}
		}
	})
	t.Run("1 MB body", func(t *testing.T) {
		body := make([]byte, 1<<20)
		rnd := rand.New(rand.NewPCG(1, 1))
		for i := range body {
			body[i] = byte(rnd.Uint32())
		}
		sum := md5.Sum(body)
		r, _ := post(f.request("sum", "Content-Type: application/octet-stream"), body)
		want(t, do(t, r, body), 200, "1048576 "+hex.EncodeToString(sum[:]))
	})
	t.Run("form", func(t *testing.T) {
		r, body := post(f.request("form", "Content-Type: application/x-www-form-urlencoded"), []byte("a=1&b="+strings.Repeat("x", 300_000)))
		want(t, do(t, r, body), 200, "2 300000")
	})
	t.Run("empty body", func(t *testing.T) {
		r, body := post(f.request("sum"), nil)
		want(t, do(t, r, body), 200, "0 d41d8cd98f00b204e9800998ecf8427e")
	})
	t.Run("stderr", func(t *testing.T) {
		a := do(t, f.request("log"), nil)
		if a.body != "logged" || !bytes.Contains(a.reader.Stderr, []byte("first\x1b[31m line")) || !bytes.Contains(a.reader.Stderr, []byte("second line")) {
			t.Errorf("%q, stderr %q", a.body, a.reader.Stderr)
		}
	})
	t.Run("Status", func(t *testing.T) {
		a := do(t, f.request("missing"), nil)
		want(t, a, 404, "nothing")
		if string(a.head.Line) != "404 Not Found" || fmt.Sprint(a.field("X-A")) != "[1]" || a.field("Status") != nil {
			t.Errorf("%q, %v", a.head.Line, a.head.Fields)
		}
		want(t, do(t, f.request("code"), nil), 418, "")
	})
	t.Run("Location", func(t *testing.T) {
		a := do(t, f.request("redirect"), nil)
		want(t, a, 302, "")
		if a.head.Local != nil || fmt.Sprint(a.field("Location")) != "[/elsewhere]" {
			t.Errorf("local %q, %v", a.head.Local, a.field("Location"))
		}
	})
	t.Run("cookies", func(t *testing.T) {
		if got := do(t, f.request("cookies"), nil).field("Set-Cookie"); fmt.Sprint(got) != "[a=1 b=2]" {
			t.Errorf("%q", got)
		}
	})
	t.Run("3 MB answer", func(t *testing.T) {
		var all strings.Builder
		for i := range 3000 {
			all.WriteString(strings.Repeat(string(rune(97+i%26)), 1000))
		}
		want(t, do(t, f.request("big"), nil), 200, all.String())
	})
	t.Run("fatal error", func(t *testing.T) {
		a := do(t, f.request("fatal"), nil)
		if a.head.Status != 500 || !bytes.Contains(a.reader.Stderr, []byte("nothing_of_that_name")) {
			t.Errorf("%d, app status %d, stderr %q", a.head.Status, a.reader.AppStatus, a.reader.Stderr)
		}
	})
	t.Run("many params", func(t *testing.T) {
		r := f.request("env")
		for i := range 400 {
			r.Fields = append(r.Fields, http1.Field{Name: []byte(fmt.Sprintf("X-%d", i)), Value: []byte(strings.Repeat(strconv.Itoa(i%10), 500))})
		}
		if n := len(r.Append(nil, 1, true)); n < 3*65535 {
			t.Fatalf("only %d bytes of parameters", n)
		}
		got := env(t, r)
		for i := range 400 {
			if got[fmt.Sprintf("HTTP_X_%d", i)] != strings.Repeat(strconv.Itoa(i%10), 500) {
				t.Fatalf("HTTP_X_%d is %q", i, got[fmt.Sprintf("HTTP_X_%d", i)])
			}
		}
	})
	t.Run("a value of nearly a record", func(t *testing.T) {
		value := strings.Repeat("v", 65000)
		if got := env(t, f.request("env", "X-Long: "+value)); got["HTTP_X_LONG"] != value {
			t.Error("it did not arrive")
		}
	})
	t.Run("no such script", func(t *testing.T) {
		r := f.request("env")
		r.Filename = f.root + "/none.php"
		if a := do(t, r, nil); a.head.Status != 404 || !bytes.Contains(a.reader.Stderr, []byte("Primary script unknown")) {
			t.Errorf("%d %q, stderr %q", a.head.Status, a.body, a.reader.Stderr)
		}
	})
	t.Run("the last request", func(t *testing.T) {
		a := ask(t, c, 1, false, f.request(""), nil)
		if !strings.HasPrefix(a.body, "pid ") {
			t.Errorf("%q", a.body)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("the connection goes on: %d, %v", n, err)
		}
	})
}

// TestFPMRunsOnlyScripts asks for paths that would make php-fpm run an upload, or another script than the
// one that rules were made for. What a file is must show only where the site says that it is a script.
func TestFPMRunsOnlyScripts(t *testing.T) {
	f := startFPM(t)
	c := f.dial(t)
	for _, name := range []string{"admin/index.php", "wiki.php", "upload/x.jpg", "upload/evil.php", "a b/\u00e9.php", "index.php"} {
		f.write(t, name, "<?php echo '"+name+" ', $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '-';")
	}
	id := uint16(0)
	run := func(script *site.Script, target string) string {
		id++
		r := f.request("")
		r.Target, r.Root, r.Filename, r.ScriptName, r.PathInfo = []byte(target), script.Root, script.Filename, script.Name, script.PathInfo
		return ask(t, c, id, true, r, nil).body
	}
	// This is the trap: a php-fpm that runs whatever exists on the way to a name that does not.
	trap := &site.Script{Root: f.root, Filename: f.root + "/upload/x.jpg/y.php", Name: "/upload/x.jpg/y.php"}
	if got := run(trap, trap.Name); !strings.HasPrefix(got, "upload/x.jpg ") {
		t.Errorf("php-fpm does not take the bait: %q", got)
	}

	s, err := site.New(site.Options{Root: f.root, NoScripts: []string{"/upload"}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want string }{
		{"/wiki.php", "wiki.php /wiki.php -"},
		{"/wiki.php/a/b", "wiki.php /wiki.php /a/b"},
		{"/wiki.php/a%20%C3%A9/", "wiki.php /wiki.php /a é/"},
		{"/wiki.php/../admin/", "admin/index.php /admin/index.php -"},
		{"/x/%2e%2e/wiki.php/y", "wiki.php /wiki.php /y"},
		{"/a%20b/%c3%a9.php/z", "a b/é.php /a b/é.php /z"},
		{"/", "index.php /index.php -"},
		{"//admin//", "admin/index.php /admin/index.php -"},
		{"/admin/index.php/../../wiki.php", "wiki.php /wiki.php -"},
		{"/x/..;/admin/", "404"},
		{"/%2561dmin/", "404"},
		{"/ADMIN/", "404"},
		{"/admin/index.php%00", "400"},
		{"/admin/index.php%0a", "400"},
		{"/wiki.php/a%0ab", "400"},
		{"/admin%2findex.php", "400"},
		{"/admin%5cindex.php", "400"},
		{"/%c0%ae%c0%ae/wiki.php", "400"},
		{"/../wiki.php", "400"},
		{"/upload/x.jpg", "200"},
		{"/upload/x.jpg/y.php", "404"},
		{"/upload/x.jpg/wiki.php", "404"},
		{"/upload/x.jpg%00.php", "400"},
		{"/upload/x.jpg%0a.php", "400"},
		{"/upload/evil.php", "404"},
		{"/upload/evil.php/wiki.php", "404"},
		{"/upload//./evil.php", "404"},
		{"/wiki.php/../upload/evil.php", "404"},
		{"/wiki.php.", "404"},
		{"/wiki.PHP", "404"},
	}
	for _, test := range tests {
		a, err := s.Serve(&site.Request{Method: "GET", Path: test.path})
		if err != nil {
			t.Fatal(err)
		}
		a.File.Close()
		got := strconv.Itoa(a.Status)
		if a.Script != nil {
			got = run(a.Script, test.path)
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.path, got, test.want)
		}
	}
}

// TestFPMThatIsKilled has a worker that ends in the middle of its answer. That must not look complete,
// and the next worker answers.
func TestFPMThatIsKilled(t *testing.T) {
	f := startFPM(t)
	c := f.dial(t)
	b := f.request("die").Append(nil, 1, true)
	if _, err := c.Write((&Stdin{ID: 1}).End(b)); err != nil {
		t.Fatal(err)
	}
	var r Reader
	r.Reset(1)
	p, got := make([]byte, 4096), 0
	for {
		n, err := c.Read(p)
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := r.Feed(p[:n])
		if err != nil {
			t.Fatal(err)
		}
		got += m
	}
	if got < 50_000 || r.Done {
		t.Errorf("%d bytes of stdout, done %v", got, r.Done)
	}
	if a := ask(t, f.dial(t), 1, false, f.request(""), nil); a.head.Status != 200 || !strings.HasPrefix(a.body, "pid ") {
		t.Errorf("the next one: %d %q", a.head.Status, a.body)
	}
}

// readRecords returns stdout of a whole answer.
func readRecords(t *testing.T, c net.Conn, id uint16) string {
	t.Helper()
	var r Reader
	r.Reset(id)
	var all []byte
	p := make([]byte, 4096)
	for !r.Done {
		n, err := c.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := r.Feed(p[:n])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p[:m]...)
	}
	return string(all)
}
