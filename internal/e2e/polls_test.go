//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// polledSite is a site of PHP whose pages poll it. Each script writes down that it runs.
var polledSite = map[string]string{
	"ran.php":    "<?php file_put_contents(__DIR__ . '/../runs', basename($_SERVER['SCRIPT_NAME']) . \"\\n\", FILE_APPEND | LOCK_EX);",
	"login.php":  "<?php require 'ran.php'; session_start(); session_regenerate_id(true); $_SESSION['user'] = $_GET['as']; echo 'welcome';",
	"logout.php": "<?php require 'ran.php'; session_start(); session_destroy(); echo 'bye';",
	"status.php": "<?php require 'ran.php'; session_start(); header('Content-Type: application/json');" +
		" echo json_encode(['user' => $_SESSION['user'] ?? 'nobody', 'state' => trim(@file_get_contents(__DIR__ . '/../state'))]);",
	"save.php": "<?php require 'ran.php'; session_start(); file_put_contents(__DIR__ . '/../state', $_POST['state']); echo 'saved';",
	"beat.php": "<?php require 'ran.php'; session_start(); if (isset($_POST['draft'])) file_put_contents(__DIR__ . '/../state', $_POST['draft']);" +
		" echo ($_SESSION['user'] ?? 'nobody') . ' at ' . $_POST['screen'];",
	"poll/cookie.php": "<?php require '../ran.php'; setcookie('last', (string)mt_rand()); echo 'seen';",
	"poll/fatal.php":  "<?php require '../ran.php'; no_such_function();",
	"poll/cut.php":    "<?php require '../ran.php'; header('Content-Length: 100'); echo 'half'; flush(); if (!isset($_GET['whole'])) exit; echo str_repeat('x', 96);",
	"poll/old.php":    "<?php require '../ran.php'; header('ETag: \"v1\"'); echo 'as it was';",
}

// TestFPMPolls: pages that poll PHP are answered from memory, each session with its own; PHP runs once for each answer and
// change, and what can't be stored is passed as it is.
func TestFPMPolls(t *testing.T) {
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	mkdirForApache(t, dir)
	for name, text := range polledSite {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(root, name), text)
	}
	writeFile(t, filepath.Join(root, "bare.php"), polledSite["status.php"])
	socket := startFPM(t, dir, map[string]string{"display_errors": "0", "session.use_strict_mode": "1"})
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`
listen: %s
upstream: fastcgi+unix:%s
site: {root: %s}
hooks: {listen: %s}
push: {logout: {cookies: [PHPSESSID], paths: [/logout.php]}}
channels: [{match: "**", access: public}]
polls:
- {match: /status.php, key: [query, session], channel: state, fresh: 1h}
- {match: /beat.php, methods: [POST], key: [body, session], fresh: 1h}
- {match: /poll, key: [query, session], fresh: 1h}
`, listen, socket, root, hooks)
	})
	runs := func(script string) int {
		data, _ := os.ReadFile(filepath.Join(dir, "runs"))
		return strings.Count(string(data), script+"\n")
	}
	const sessions, tabs, rounds = 5, 10, 8
	users := make([]*visitor, sessions)
	for i := range users {
		users[i] = newVisitor(t, h.url)
		users[i].get(fmt.Sprintf("/login.php?as=user%d", i))
	}
	writeFile(t, filepath.Join(dir, "state"), "packed")
	if err := os.Chmod(filepath.Join(dir, "state"), 0o666); err != nil {
		t.Fatal(err)
	}
	// poll has each tab poll in turn, all tabs at once, and wants each to see its user and the state.
	poll := func(path, state string) {
		t.Helper()
		var group sync.WaitGroup
		for i := range sessions * tabs {
			group.Go(func() {
				who := i % sessions
				for range rounds {
					res, err := users[who].http.Get(h.url + path)
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					if want := fmt.Sprintf(`{"user":"user%d","state":"%s"}`, who, state); err != nil || string(body) != want || res.StatusCode != 200 {
						t.Errorf("%s of user%d: %d %q, %v; want %s", path, who, res.StatusCode, body, err, want)
					}
				}
			})
		}
		group.Wait()
	}
	poll("/bare.php", "packed")
	if n := runs("bare.php"); n != sessions*tabs*rounds {
		t.Errorf("without a rule PHP ran %d times for %d polls", n, sessions*tabs*rounds)
	}
	poll("/status.php", "packed")
	if n := runs("status.php"); n != sessions {
		t.Errorf("with a rule PHP ran %d times for %d polls of %d sessions; want once for each session", n, sessions*tabs*rounds, sessions)
	}
	writeFile(t, filepath.Join(dir, "state"), "sent")
	h.publish(t, "state", "changed")
	poll("/status.php", "sent")
	if n := runs("status.php"); n != 2*sessions {
		t.Errorf("after a publish PHP ran %d times; want %d", n, 2*sessions)
	}

	ann, bob := users[0], users[1]
	ann.post("/save.php", url.Values{"state": {"mine"}}).want(t, http.StatusOK)
	ann.get("/status.php").wantText(t, `"state":"mine"`) // her own change at once
	bob.get("/status.php").wantText(t, `"state":"sent"`)
	first := ann.post("/beat.php", url.Values{"screen": {"list"}})
	ann.get("/status.php")
	n := runs("beat.php") + runs("status.php")
	for range 5 {
		if a := ann.post("/beat.php", url.Values{"screen": {"list"}}); a.body != first.body || a.body != "user0 at list" {
			t.Errorf("the heartbeat brings %q, first %q", a.body, first.body)
		}
		ann.get("/status.php")
	}
	if more := runs("beat.php") + runs("status.php") - n; more != 0 {
		t.Errorf("PHP ran %d times for the same heartbeat", more)
	}
	ann.post("/beat.php", url.Values{"screen": {"list"}, "draft": {"draft"}})
	ann.get("/status.php").wantText(t, `"state":"draft"`)
	if a := bob.post("/beat.php", url.Values{"screen": {"list"}}); a.body != "user1 at list" {
		t.Errorf("the heartbeat of another brings %q", a.body)
	}
	large := url.Values{"screen": {"list"}, "pad": {strings.Repeat("x", 40<<10)}} // in several readings
	for i, want := range []string{"stored", "hit"} {
		if a := ann.post("/beat.php", large); a.body != "user0 at list" || !strings.Contains(a.Header.Get("Cache-Status"), want) {
			t.Errorf("large heartbeat %d: %q, %s", i, a.body, a.Header.Get("Cache-Status"))
		}
	}
	ann.get("/logout.php")
	ann.get("/status.php").wantText(t, `"user":"nobody"`)

	etag := bob.get("/poll/old.php").Header.Get("ETag")
	bob.do(http.MethodGet, "/poll/old.php", http.Header{"If-None-Match": {etag}}, nil).want(t, http.StatusNotModified)
	if runs("old.php") != 1 {
		t.Errorf("PHP ran %d times for what the client has", runs("old.php"))
	}
	for i := 1; i <= 3; i++ {
		if a := bob.get("/poll/cookie.php"); runs("cookie.php") != i || len(a.Cookies()) != 1 || !strings.Contains(a.Header.Get("Cache-Status"), "set_cookie") {
			t.Errorf("a poll that sets a cookie: %d runs, %v", runs("cookie.php"), a.Header)
		}
		if bob.do(http.MethodGet, "/poll/fatal.php", nil, nil).want(t, http.StatusInternalServerError); runs("fatal.php") != i {
			t.Errorf("a poll that fails: %d runs", runs("fatal.php"))
		}
		res, err := bob.http.Get(h.url + "/poll/cut.php")
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if err == nil || runs("cut.php") < i {
			t.Errorf("a poll that is cut: %v, %d runs", err, runs("cut.php"))
		}
	}
	if a := bob.get("/poll/cut.php?whole"); len(a.body) != 100 {
		t.Errorf("the whole has %d bytes", len(a.body))
	}
}
