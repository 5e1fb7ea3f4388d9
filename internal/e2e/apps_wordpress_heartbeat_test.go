//go:build e2e && linux

package e2e

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	heartbeatFor   = flag.Duration("heartbeat.for", 0, "how long TestAppWordPressHeartbeat has tabs poll every 15s; 0: some rounds without a pause")
	heartbeatFresh = 100 * time.Second // of the page's rule
)

const (
	heartbeatPage   = "docs/how-to/wordpress-heartbeat.md"
	heartbeatUsers  = 5
	heartbeatRounds = 20               // without -heartbeat.for
	slowPHP         = 30 * time.Second // at most between its look at its clock and the response, on a machine that has much to do
)

// editor is a user of WordPress.
type editor struct {
	*visitor
	name, id string
	posts    []string  // IDs of those of their own
	nonce    string    // of their heartbeats
	floor    time.Time // no response is older
}

// adminTab is a page of WordPress's administration in a browser, which has a heartbeat.
type adminTab struct {
	*editor
	path, screen, nonce string
	post, lock, save    string   // of a page that edits one; save is the nonce for that
	rows                []string // of a list of posts
	extra               [][2]string
	focus               bool
}

// wordPressSite is a site of WordPress behind a Holdfast, with editors who are logged in.
type wordPressSite struct {
	t       *testing.T
	h       *holdfast
	log     string // of the runs of PHP
	editors []*editor
	tabs    []*adminTab
	owners  map[string]string // of posts
	mu      sync.Mutex        // guards what follows
	nonces  map[string]string // whose they are
	hits    int
	locked  int // how often somebody was told that another edits a post
}

// TestAppWordPressHeartbeat: of 50 tabs of WordPress, as Debian has it, whose heartbeats are absorbed by the rule of the page, PHP
// gets at least 90% fewer. Nobody is given what is another's. What a session saves is seen by its next heartbeats, and so is
// its logout.
//
//	go test -tags e2e ./internal/e2e -run TestAppWordPressHeartbeat -heartbeat.for 5m
func TestAppWordPressHeartbeat(t *testing.T) {
	dir := publicTempDir(t)
	root := copyWordPress(t, dir, startMariaDB(t, dir, "wordpress"), "")
	log := filepath.Join(dir, "runs.log")
	socket := startFPMWith(t, dir, fmt.Sprintf("pm.max_children = 3\naccess.log = %s\naccess.format = \"%%{HTTP_HOST}e %%m %%r\"\n", log), nil)
	rule := pageBlocks(t, heartbeatPage)[0].code
	if *heartbeatFor == 0 {
		rule += "\ncache_limits: {wait: 10m}" // PHP may be slow
	}
	plain, absorbed := newWordPressSite(t, socket, root, log, ""), newWordPressSite(t, socket, root, log, rule)
	var group sync.WaitGroup
	polls, runs := [2]int{}, [2]int{}
	for i, s := range []*wordPressSite{plain, absorbed} {
		group.Go(func() {
			before := s.runs("POST /wp-admin/admin-ajax.php")
			rounds := heartbeatRounds
			if i == 0 {
				rounds = 2 // each has PHP run 50 times
			}
			polls[i] = s.poll(rounds)
			runs[i] = s.runs("POST /wp-admin/admin-ajax.php") - before
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	t.Logf("without the rule %d heartbeats had PHP run %d times; with it %d heartbeats, %d times", polls[0], runs[0], polls[1], runs[1])
	if runs[0] != polls[0] {
		t.Errorf("without the rule PHP ran %d times for %d heartbeats", runs[0], polls[0])
	}
	if runs[1]*10 > polls[1] || absorbed.hits != polls[1]-runs[1] {
		t.Errorf("with the rule PHP ran %d times for %d heartbeats, of which %d were hits", runs[1], polls[1], absorbed.hits)
	}
	if plain.locked == 0 || absorbed.locked == 0 {
		t.Error("nobody was told of what others edit")
	}
	t.Run("other forms", absorbed.testOtherForms)
	t.Run("take over", absorbed.testTakeOver)
	t.Run("autosave", absorbed.testAutosave)
	t.Run("log out", absorbed.testLogOut)
}

// newWordPressSite installs a site and opens the tabs of its editors.
func newWordPressSite(t *testing.T, socket, root, log, rule string) *wordPressSite {
	t.Helper()
	s := &wordPressSite{t: t, log: log, owners: map[string]string{}, nonces: map[string]string{}}
	s.h = startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nsite: {root: %s, try_files: [/index.php]}\nhooks: {listen: %s}\n%s\n", listen, socket, root, hooks, rule)
	})
	admin := newVisitor(t, s.h.url)
	admin.post("/wp-admin/install.php?step=2", url.Values{
		"weblog_title": {"Heartbeats"}, "user_name": {"admin"}, "admin_email": {"admin@example.test"},
		"admin_password": {wordPressPassword}, "admin_password2": {wordPressPassword}, "pw_weak": {"on"}, "blog_public": {"0"}, "language": {""},
	}).wantText(t, "WordPress has been installed")
	admin.logInToWordPress(t)
	for i := range heartbeatUsers {
		s.addEditor(admin, fmt.Sprintf("editor%d", i))
	}
	for n, e := range s.editors {
		for i := range 6 {
			if x := s.open(e, "/wp-admin/index.php"); i == 0 && n%2 == 0 {
				x.age(t)
			}
		}
		for range 2 {
			s.open(e, "/wp-admin/edit.php")
		}
		for i, post := range e.posts {
			if x := s.open(e, "/wp-admin/post.php?action=edit&post="+post); i == 0 && n%2 == 1 {
				x.age(t)
			}
		}
	}
	return s
}

// addEditor has the administrator make a user, who logs in and writes two posts.
func (s *wordPressSite) addEditor(admin *visitor, name string) {
	t := s.t
	t.Helper()
	form := admin.fields(admin.get("/wp-admin/user-new.php"), `id="createuser"`)
	for field, value := range map[string]string{
		"user_login": name, "email": name + "@example.test", "pass1": wordPressPassword, "pass2": wordPressPassword, "pw_weak": "on", "role": "editor", "createuser": "Add New User",
	} {
		form.Set(field, value)
	}
	form.Del("send_user_notification")
	made := admin.post("/wp-admin/user-new.php", form)
	m := regexp.MustCompile(`[?&]id=(\d+)`).FindStringSubmatch(made.Header.Get("Location"))
	if m == nil {
		t.Fatalf("the user is not made: %s, %v\n%s", made.Status, made.Header, made.body)
	}
	e := &editor{visitor: newVisitor(t, s.h.url), name: name, id: m[1]}
	e.get("/wp-login.php") // sets the cookie that it tests
	e.location(e.post("/wp-login.php", url.Values{"log": {name}, "pwd": {wordPressPassword}, "testcookie": {"1"}, "wp-submit": {"Log In"}}), http.StatusFound)
	header := http.Header{"X-Wp-Nonce": {e.wordPressNonce(t)}, "Content-Type": {"application/json"}}
	for i := range 2 {
		a := e.do(http.MethodPost, "/?rest_route=/wp/v2/posts", header, strings.NewReader(fmt.Sprintf(`{"title":"Post %d of %s","status":"draft"}`, i, name)))
		a.want(t, http.StatusCreated)
		var post struct{ ID int }
		if err := json.Unmarshal([]byte(a.body), &post); err != nil || post.ID == 0 {
			t.Fatalf("the post is %s", a.body)
		}
		id := fmt.Sprint(post.ID)
		e.posts, s.owners[id] = append(e.posts, id), name
	}
	s.editors = append(s.editors, e)
}

// submatch returns what the group of an expression has in a page.
func submatch(t *testing.T, page answer, expression string) string {
	t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(page.body)
	if m == nil {
		t.Fatalf("%s has no %s\n%s", page.Request.URL, expression, page.body)
	}
	return m[1]
}

// open opens a page in another tab, and takes from it what its scripts send.
func (s *wordPressSite) open(e *editor, path string) *adminTab {
	s.t.Helper()
	page := e.get(path)
	x := &adminTab{editor: e, path: path, screen: submatch(s.t, page, `pagenow = '([^']*)'`)}
	x.nonce = submatch(s.t, page, `heartbeatSettings = \{[^}]*"nonce":"(\w+)"`)
	e.nonce = x.nonce
	if s.wantOwn("heartbeat "+x.nonce, e.name); strings.Contains(path, "post.php") {
		x.post = path[strings.LastIndexByte(path, '=')+1:]
		x.lock, x.save = submatch(s.t, page, `"activePostLock":"([\d:]+)"`), submatch(s.t, page, `"unlockNonce":"(\w+)"`)
	}
	for _, m := range regexp.MustCompile(`<tr id="(post-\d+)"`).FindAllStringSubmatch(page.body, -1) {
		x.rows = append(x.rows, m[1])
	}
	s.tabs = append(s.tabs, x)
	return x
}

// age has a tab be one that was opened yesterday: its nonce is of before the last twelve hours, and the next response to it
// brings new ones. WordPress makes a nonce of the time, the user, the session and the keys of its configuration.
func (x *adminTab) age(t *testing.T) {
	t.Helper()
	base, _ := url.Parse(x.base + "/wp-admin/")
	token := ""
	for _, c := range x.http.Jar.Cookies(base) {
		if value, _ := url.QueryUnescape(c.Value); strings.HasPrefix(c.Name, "wordpress_logged_in_") {
			token = strings.Split(value, "|")[2]
		}
	}
	made := func(tick int64) string {
		mac := hmac.New(md5.New, []byte("only of this test NONCE_KEYonly of this test NONCE_SALT"))
		fmt.Fprintf(mac, "%d|heartbeat-nonce|%s|%s", tick, x.id, token)
		text := fmt.Sprintf("%x", mac.Sum(nil))
		return text[len(text)-12 : len(text)-2]
	}
	const half = 12 * 60 * 60
	now := (time.Now().Unix() + half - 1) / half
	if made(now) != x.nonce {
		t.Fatalf("the nonce of %s is %s, not %s", x.name, x.nonce, made(now))
	}
	if x.nonce = made(now - 1); x.post != "" {
		x.extra = [][2]string{{"data[wp-refresh-post-nonces][post_id]", x.post}}
	}
}

// runs returns how often PHP has answered requests to the site that begin so.
func (s *wordPressSite) runs(request string) int {
	data, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Error(err)
	}
	return strings.Count(string(data), s.h.addr+" "+request+"\n")
}

// body returns what heartbeat.js sends for the tab, as jQuery encodes it. An interval of 15 s is that of a tab in front.
func (x *adminTab) body() string {
	fields := slices.Clone(x.extra)
	for _, row := range x.rows {
		fields = append(fields, [2]string{"data[wp-check-locked-posts][]", row})
	}
	if x.post != "" {
		fields = append(fields, [2]string{"data[wp-refresh-post-lock][lock]", x.lock}, [2]string{"data[wp-refresh-post-lock][post_id]", x.post})
	}
	fields = append(fields, [2]string{"interval", "15"}, [2]string{"_nonce", x.nonce}, [2]string{"action", "heartbeat"},
		[2]string{"screen_id", x.screen}, [2]string{"has_focus", fmt.Sprint(x.focus)})
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(f[0]) + "=" + url.QueryEscape(f[1]))
	}
	return b.String()
}

// pulse is a response to a heartbeat.
type pulse struct {
	LoggedIn bool  `json:"wp-auth-check"`
	Time     int64 `json:"server_time"`
	Lock     struct {
		New   string                `json:"new_lock"`
		Error struct{ Name string } `json:"lock_error"`
	} `json:"wp-refresh-post-lock"`
	Locked   map[string]struct{ Name string } `json:"wp-check-locked-posts"`
	Autosave struct {
		Success bool
		Message string
	} `json:"wp_autosave"`
	Nonces struct{ Replace map[string]string } `json:"wp-refresh-post-nonces"`
	Nonce  string                              `json:"heartbeat_nonce"`
	REST   string                              `json:"rest_nonce"`
	hit    bool
	text   string
}

// beat sends a heartbeat. The cookies are those of the editor's browser, unless others are given.
func (s *wordPressSite) beat(x *adminTab, cookies string) (pulse, error) {
	var p pulse
	r, err := http.NewRequest(http.MethodPost, s.h.url+"/wp-admin/admin-ajax.php", strings.NewReader(x.body()))
	if err != nil {
		return p, err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8", "X-Requested-With": "XMLHttpRequest", "Origin": s.h.url,
		"Accept": "application/json, text/javascript, */*; q=0.01", "Referer": s.h.url + x.path,
	} {
		r.Header.Set(name, value)
	}
	client := *x.http
	if cookies != "" {
		client.Jar = nil
		r.Header.Set("Cookie", cookies)
	}
	a, err := client.Do(r)
	if err != nil {
		return p, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	p.text, p.hit = string(text), strings.HasPrefix(a.Header.Get("Cache-Status"), "holdfast; hit") || strings.Contains(a.Header.Get("Cache-Status"), "collapsed")
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d", a.StatusCode)
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		err = fmt.Errorf("%s in %s: %w, %s", x.name, x.path, err, text)
	}
	return p, err
}

// wantOwn notes that a user has been given a nonce: nobody else may be.
func (s *wordPressSite) wantOwn(nonce, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner, ok := s.nonces[nonce]; ok && owner != user {
		s.t.Errorf("%s is given the nonce %s, which is of %s", user, nonce, owner)
	}
	s.nonces[nonce] = user
}

// pulse sends a heartbeat of a tab, checks whose response it is and how old, and has the tab do with it what its scripts do.
func (s *wordPressSite) pulse(x *adminTab) pulse {
	sent := time.Now()
	p, err := s.beat(x, "")
	if err != nil {
		s.t.Error(err)
		return p
	}
	wrong := func(format string, args ...any) {
		s.t.Errorf("%s in %s: %s: %s", x.name, x.path, fmt.Sprintf(format, args...), p.text)
	}
	if !p.LoggedIn {
		wrong("is not logged in")
	}
	if p.Time < sent.Add(-heartbeatFresh-slowPHP).Unix() || p.Time < x.floor.Unix() {
		wrong("is given what is %v old, or older than a change at %v", sent.Unix()-p.Time, x.floor)
	}
	if x.post != "" && p.Lock.Error.Name == "" {
		if x.lock = p.Lock.New; !strings.HasSuffix(x.lock, ":"+x.id) {
			wrong("the lock is another's than %s", x.id)
		}
	}
	for row, by := range p.Locked {
		if owner := s.owners[strings.TrimPrefix(row, "post-")]; by.Name != owner || owner == x.name {
			wrong("%s is said to be edited by %s", row, by.Name)
		}
	}
	for kind, nonce := range p.Nonces.Replace {
		s.wantOwn(kind+" "+x.post+" "+nonce, x.name)
	}
	if x.nonce != x.editor.nonce || p.Nonce != "" {
		if s.wantOwn("rest "+p.REST, x.name); p.Nonce != x.editor.nonce || x.post != "" && p.Nonces.Replace["_wpnonce"] != x.save {
			wrong("the new nonces are not those of %s", x.name)
		}
		x.nonce, x.extra = p.Nonce, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.hit {
		s.hits++
	}
	s.locked += len(p.Locked)
	return p
}

// poll has all tabs poll for as long as the flag says, every 15 s, or for a number of rounds. It returns how many heartbeats
// there were. One tab of each user in turn is in front.
func (s *wordPressSite) poll(rounds int) (n int) {
	const every = 15 * time.Second
	if *heartbeatFor > 0 {
		rounds = int(*heartbeatFor / every)
	}
	begun := time.Now()
	for round := range rounds {
		var group sync.WaitGroup
		for i, x := range s.tabs {
			x.focus = i%10 == round%10
			if *heartbeatFor > 0 {
				time.Sleep(time.Until(begun.Add(time.Duration(round)*every + every*time.Duration(i)/time.Duration(len(s.tabs)))))
			}
			group.Go(func() { s.pulse(x) })
		}
		group.Wait()
		if s.t.Failed() {
			break
		}
	}
	return rounds * len(s.tabs)
}

// tabOf returns the first tab of an editor that has, or has not, a post.
func (s *wordPressSite) tabOf(e *editor, edits bool) *adminTab {
	i := slices.IndexFunc(s.tabs, func(x *adminTab) bool { return x.editor == e && (x.post != "") == edits })
	return s.tabs[i]
}

// testOtherForms: what the pages post to the same URL besides heartbeats reaches PHP each time, and the session sees the change.
func (s *wordPressSite) testOtherForms(t *testing.T) {
	e := s.editors[0]
	x := s.tabOf(e, false)
	for i := range 3 {
		s.pulse(x)
		before := s.runs("POST /wp-admin/admin-ajax.php")
		a := e.post("/wp-admin/admin-ajax.php", url.Values{"action": {"date_format"}, "date": {"Y"}})
		if got := s.runs("POST /wp-admin/admin-ajax.php") - before; got != 1 || strings.TrimSpace(a.body) != fmt.Sprint(time.Now().Year()) {
			t.Errorf("post %d: PHP ran %d times, %q, %s", i, got, a.body, a.Header.Get("Cache-Status"))
		}
		if p := s.pulse(x); p.hit {
			t.Error("the heartbeat after it is from before it")
		}
	}
}

// testTakeOver: who takes over a post is seen by the one who has edited it, when what is stored has ended.
func (s *wordPressSite) testTakeOver(t *testing.T) {
	x, other := s.tabOf(s.editors[1], true), s.editors[2]
	s.pulse(x)
	nonce := submatch(t, other.get("/wp-admin/post.php?action=edit&post="+x.post), `"postLockUtils":\{"nonce":"(\w+)"`)
	other.do(http.MethodGet, "/wp-admin/post.php?get-post-lock=1&action=edit&post="+x.post+"&_wpnonce="+nonce, nil, nil).want(t, http.StatusFound)
	s.h.changed(t, "?url=/wp-admin/admin-ajax.php")
	if p := s.pulse(x); p.hit || p.Lock.Error.Name != other.name {
		t.Errorf("after %s has taken over: %s", other.name, p.text)
	}
}

// changed says by the API what has changed.
func (h *holdfast) changed(t *testing.T, query string) {
	t.Helper()
	a := newVisitor(t, h.hooks).do(http.MethodPost, "/changed"+query, nil, nil)
	a.want(t, http.StatusOK)
}

// testAutosave: what one tab saves by its heartbeat, or by the API, is seen by the next heartbeat of each tab of the session,
// and ends nothing of others.
func (s *wordPressSite) testAutosave(t *testing.T) {
	e := s.editors[3]
	edits, list, foreign := s.tabOf(e, true), s.tabOf(e, false), s.tabOf(s.editors[4], false)
	for i := range 2 {
		for _, x := range []*adminTab{edits, list, foreign} {
			s.pulse(x)
		}
		time.Sleep(1100 * time.Millisecond) // the app's times are in seconds
		e.floor = time.Now()
		content := fmt.Sprintf("The parcel %d is on its way", i)
		edits.extra = nil
		for field, value := range map[string]string{
			"post_id": edits.post, "post_type": "post", "post_author": e.id, "post_title": "Saved", "content": content, "excerpt": "", "catslist": "", "_wpnonce": edits.save, "auto_draft": "0",
		} {
			edits.extra = append(edits.extra, [2]string{"data[wp_autosave][" + field + "]", value})
		}
		if i == 0 {
			if p := s.pulse(edits); p.hit || !p.Autosave.Success {
				t.Fatalf("autosave: %s", p.text)
			}
		} else { // as the block editor
			header := http.Header{"X-Wp-Nonce": {e.wordPressNonce(t)}, "Content-Type": {"application/json"}}
			e.do(http.MethodPost, "/?rest_route=/wp/v2/posts/"+edits.post+"/autosaves", header, strings.NewReader(fmt.Sprintf(`{"content":%q}`, content))).want(t, http.StatusOK)
		}
		edits.extra = nil
		for _, x := range []*adminTab{edits, list} {
			if p := s.pulse(x); p.hit {
				t.Errorf("after the autosave %s has what was before it: %s", x.path, p.text)
			}
		}
		if p := s.pulse(foreign); !p.hit {
			t.Error("an autosave has ended another user's responses")
		}
	}
}

// testLogOut: when a user logs out in one tab, the next heartbeat of another says so, with the cookies from before too.
func (s *wordPressSite) testLogOut(t *testing.T) {
	e := s.editors[0]
	x := s.tabOf(e, false)
	s.pulse(x)
	base, _ := url.Parse(s.h.url + "/wp-admin/")
	var old []string
	for _, c := range e.http.Jar.Cookies(base) {
		old = append(old, c.String())
	}
	cookies := strings.Join(old, "; ")
	if p, err := s.beat(x, cookies); err != nil || !p.hit || !p.LoggedIn {
		t.Errorf("before: %v, %s", err, p.text)
	}
	e.visitor.t = t
	e.logOutOfWordPress(t)
	for _, c := range []string{"", cookies} {
		if p, err := s.beat(x, c); err != nil || p.LoggedIn {
			t.Errorf("after the logout, with cookies %q: %v, %s", c, err, p.text)
		}
	}
	if p := s.pulse(s.tabOf(s.editors[4], false)); !p.hit {
		t.Error("a logout has ended another user's responses")
	}
}
