//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const wordPressPassword = "a secret and more"

// startMariaDB runs a MariaDB of its own with these databases, which everybody may use who can connect, and
// returns its socket.
func startMariaDB(t *testing.T, dir string, databases ...string) string {
	t.Helper()
	server := program(t, "/usr/sbin/mariadbd", "mariadb-server")
	install := program(t, "/usr/bin/mariadb-install-db", "mariadb-server")
	data, socket, first := filepath.Join(dir, "mariadb"), filepath.Join(dir, "mariadb.sock"), filepath.Join(dir, "first.sql")
	options := []string{"--no-defaults", "--datadir=" + data}
	if os.Getuid() == 0 {
		options = append(options, "--user=root")
	}
	run(t, exec.Command(install, append(options, "--skip-test-db", "--auth-root-authentication-method=normal")...))
	var sql strings.Builder
	for _, name := range databases {
		fmt.Fprintf(&sql, "CREATE DATABASE %s;\n", name)
	}
	sql.WriteString("CREATE USER app@localhost IDENTIFIED BY 'app';\nGRANT ALL ON *.* TO app@localhost;\n")
	writeFile(t, first, sql.String())
	cmd := exec.Command(server, append(options, "--socket="+socket, "--skip-networking", "--init-file="+first,
		"--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0")...)
	start(t, "mariadb", cmd).waitUntil(t, func() error {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err
	})
	return socket
}

// newWordPress copies Debian's WordPress to dir, with a theme of one page, and returns its folder.
func newWordPress(t *testing.T, page *appPage, dir, database string) (root string) {
	t.Helper()
	root = copyWordPress(t, dir, database, "define('WP_DEFAULT_THEME', 'plain');\n")
	writeFile(t, filepath.Join(root, "wp-content/themes/plain/style.css"), "/*\nTheme Name: Plain\n*/\n")
	writeFile(t, filepath.Join(root, "wp-content/themes/plain/index.php"), `<!doctype html><html><head><?php wp_head(); ?></head><body>
<?php while (have_posts()) { the_post(); ?><h2><a href="<?php the_permalink(); ?>"><?php the_title(); ?></a></h2><?php the_content(); } ?>
<?php wp_footer(); ?></body></html>
`)
	writeFile(t, filepath.Join(root, "wp-content/mu-plugins/avatars.php"), // they would come from elsewhere
		"<?php add_filter('pre_option_show_avatars', '__return_zero');\n")
	writeFile(t, filepath.Join(root, "wp-content/mu-plugins/push.php"), page.code(t, "php", "<?php\nfunction push(")+"\n"+
		"add_action('publish_post', function () { "+page.code(t, "php", "push('user.7'")+" });\n")
	return root
}

// copyWordPress copies Debian's WordPress to dir, and returns its folder. Every address that it is reached at is a site of its
// own. settings are lines of its configuration.
func copyWordPress(t *testing.T, dir, database, settings string) (root string) {
	t.Helper()
	program(t, "/usr/share/wordpress/wp-login.php", "wordpress")
	root = filepath.Join(dir, "app")
	run(t, exec.Command("cp", "-rL", "/usr/share/wordpress", root))
	os.Remove(filepath.Join(root, ".htaccess"))
	mkdirForApache(t, filepath.Join(root, "wp-content/uploads"))
	writeFile(t, filepath.Join(root, "wp-config.php"), fmt.Sprintf(`<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'app');
define('DB_PASSWORD', 'app');
define('DB_HOST', 'localhost:%s');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT', 'NONCE_SALT'] as $name) define($name, 'only of this test ' . $name);
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('DISABLE_WP_CRON', true);
%s// A site of its own for each address.
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST']);
define('WP_SITEURL', WP_HOME);
$table_prefix = 'wp' . preg_replace('/\D/', '', $_SERVER['HTTP_HOST']) . '_';
define('UPLOADS', 'wp-content/uploads/' . $table_prefix);
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
`, database, settings))
	return root
}

// TestAppWordPress is WordPress on php-fpm, with no web server but Holdfast.
func TestAppWordPress(t *testing.T) {
	dir, page := publicTempDir(t), newAppPage(t, "docs/tutorials/wordpress.md")
	root := newWordPress(t, page, dir, startMariaDB(t, dir, "wordpress"))
	socket := startFPM(t, dir, nil)
	behindBothOnFPM(t, page, socket, root, func(t *testing.T, url string) {
		testWordPress(t, newVisitor(t, url), `"plugin":"akismet\/akismet"`)
		testWordPressInBrowser(t, url)
	}, testWordPressPush)
}

// TestAppWordPressOnApache is WordPress on Apache and mod_php.
func TestAppWordPressOnApache(t *testing.T) {
	dir, page := publicTempDir(t), newAppPage(t, "docs/tutorials/wordpress.md")
	page.config = 1
	root := newWordPress(t, page, dir, startMariaDB(t, dir, "wordpress"))
	addr := startApache(t, dir, root, "AddType image/png .png\nAllowEncodedSlashes NoDecode\nFallbackResource /index.php\n")
	behindBoth(t, page, addr, func(t *testing.T, url string) {
		testWordPress(t, newVisitor(t, url), `"code":"rest_plugin_not_found"`) // Apache keeps the slash escaped
	}, testWordPressPush)
}

// testWordPressPush: the login of WordPress opens the private channels, a new post is published, and the logout closes.
func testWordPressPush(t *testing.T, h *holdfast) {
	v := newVisitor(t, h.url)
	h.wantShut(t, "members.news")
	v.do(http.MethodGet, "/push-authorize", nil, nil).want(t, http.StatusForbidden)
	v.logInToWordPress(t)
	members, posts := holdSSE(t, v, "members.news", "user.1"), holdSSE(t, v, "public.posts")
	v.do(http.MethodGet, pushPath([]string{"user.7"}), nil, nil).want(t, http.StatusForbidden)
	h.publish(t, "members.news", "for members")
	if got := members.receive(t); got != "for members" {
		t.Errorf("received %q", got)
	}
	header := http.Header{"X-Wp-Nonce": {v.wordPressNonce(t)}, "Content-Type": {"application/json"}}
	v.do(http.MethodPost, "/wp-json/wp/v2/posts", header, strings.NewReader(`{"title":"Ready for pick-up","status":"publish"}`)).want(t, http.StatusCreated)
	if got := posts.receive(t); got != "Ready for pick-up" {
		t.Errorf("received %q", got)
	}
	v.logOutOfWordPress(t)
	members.wantEnd(t)
}

// logInToWordPress logs in as admin, at the first try with a wrong password.
func (v *visitor) logInToWordPress(t *testing.T) {
	t.Helper()
	v.location(v.do(http.MethodGet, "/wp-admin/", nil, nil), http.StatusFound)
	form := v.fields(v.get("/wp-login.php"), "loginform")
	form.Set("log", "admin")
	form.Set("pwd", "wrong")
	v.post("/wp-login.php", form).wantText(t, "is incorrect")
	form.Set("pwd", wordPressPassword)
	v.get(v.location(v.post("/wp-login.php", form), http.StatusFound)).wantText(t, "Dashboard")
}

func (v *visitor) logOutOfWordPress(t *testing.T) {
	t.Helper()
	m := regexp.MustCompile(`href=["']([^"']*action=logout[^"']*)["']`).FindStringSubmatch(v.get("/wp-admin/").body)
	if m == nil {
		t.Fatal("the page has no link to log out")
	}
	v.location(v.do(http.MethodGet, v.at(m[1]), nil, nil), http.StatusFound)
	v.location(v.do(http.MethodGet, "/wp-admin/", nil, nil), http.StatusFound)
}

// wordPressNonce returns what the editor's requests have to carry.
func (v *visitor) wordPressNonce(t *testing.T) string {
	t.Helper()
	page := v.get("/wp-admin/post-new.php")
	m := regexp.MustCompile(`createNonceMiddleware\( "(\w+)" \)`).FindStringSubmatch(page.body)
	if m == nil {
		t.Fatalf("the editor has no nonce\n%s", page.body)
	}
	return m[1]
}

// installWordPress makes a site of this title, as the form does that a new one shows.
func (v *visitor) installWordPress(title string) {
	v.t.Helper()
	v.get(v.location(v.do(http.MethodGet, "/", nil, nil), http.StatusFound)).wantText(v.t, "WordPress")
	v.get("/wp-admin/install.php?step=1").wantText(v.t, "Information needed")
	v.post("/wp-admin/install.php?step=2", url.Values{
		"weblog_title": {title}, "user_name": {"admin"}, "admin_email": {"admin@example.test"},
		"admin_password": {wordPressPassword}, "admin_password2": {wordPressPassword}, "pw_weak": {"on"}, "blog_public": {"0"}, "language": {""},
	}).wantText(v.t, "WordPress has been installed")
	v.get("/").wantText(v.t, "Welcome to WordPress")
}

// testWordPress works with WordPress as a person and as its editor would. byPathInfo is in the answer to a path below
// index.php that has an escaped slash.
func testWordPress(t *testing.T, v *visitor, byPathInfo string) {
	step := v.steps(t)
	by := path.Base(t.Name())
	step("install", func(t *testing.T) {
		v.installWordPress("WordPress behind " + by)
	})
	step("log in", v.logInToWordPress)
	var rest http.Header
	step("short URLs", func(t *testing.T) {
		form := v.fields(v.get("/wp-admin/options-permalink.php"), "options-permalink.php")
		form.Set("selection", "/%postname%/")
		form.Set("permalink_structure", "/%postname%/")
		a := v.post("/wp-admin/options-permalink.php", form)
		if a.StatusCode == http.StatusFound {
			a = v.get(v.location(a, http.StatusFound))
		}
		a.want(t, http.StatusOK)
		v.get("/hello-world/").wantText(t, "Welcome to WordPress")
		v.get(v.location(v.do(http.MethodGet, "/hello-world", nil, nil), http.StatusMovedPermanently)).wantText(t, "Welcome to WordPress")
		v.do(http.MethodGet, "/nothing/", nil, nil).want(t, http.StatusNotFound)
		v.get(v.location(v.do(http.MethodGet, "/hello-world.", nil, nil), http.StatusMovedPermanently)).wantText(t, "Welcome to WordPress")
	})
	step("edit a post", func(t *testing.T) {
		rest = http.Header{"X-Wp-Nonce": {v.wordPressNonce(t)}, "Content-Type": {"application/json"}}
		for _, c := range []struct{ method, path, content string }{
			{http.MethodPost, "/wp-json/wp/v2/posts", "The parcel is on its way"},
			{http.MethodPost, "/wp-json/wp/v2/posts/1", "The first post is changed"},
		} {
			body := fmt.Sprintf(`{"title":"Päckchen für %s","status":"publish","content":%q}`, by, c.content)
			a := v.do(c.method, c.path, rest, strings.NewReader(body))
			if a.StatusCode != http.StatusCreated {
				a.want(t, http.StatusOK)
			}
			m := regexp.MustCompile(`"link":"([^"]*)"`).FindStringSubmatch(a.body)
			if m == nil {
				t.Fatalf("the answer has no link: %s", a.body)
			}
			v.get(v.at(strings.ReplaceAll(m[1], `\/`, "/"))).wantText(t, c.content, "Päckchen für "+by)
		}
	})
	step("upload an image", func(t *testing.T) {
		form := v.fields(v.get("/wp-admin/media-new.php?browser-uploader"), "file-form")
		form.Set("html-upload", "Upload")
		v.get(v.location(v.postFile("/wp-admin/media-new.php", form, "async-upload", imageName, false, nil), http.StatusFound))
		a := v.do(http.MethodGet, "/wp-json/wp/v2/media?per_page=1", rest, nil)
		m := regexp.MustCompile(`"source_url":"([^"]*)"`).FindStringSubmatch(a.body)
		if m == nil {
			t.Fatalf("no image in %s", a.body)
		}
		var link string
		if err := json.Unmarshal([]byte(`"`+m[1]+`"`), &link); err != nil {
			t.Fatal(err)
		}
		image := v.get(v.at(link))
		if image.body != pixel || image.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%s: %d bytes of %s", link, len(image.body), image.Header.Get("Content-Type"))
		}
	})
	step("upload an image by the API", func(t *testing.T) {
		header := rest.Clone()
		header.Set("Content-Type", "image/png")
		header.Set("Content-Disposition", `attachment; filename="`+imageName+`"`)
		v.do(http.MethodPost, "/wp-json/wp/v2/media", header, strings.NewReader(pixel)).want(t, http.StatusCreated)
	})
	step("a plugin by the API", func(t *testing.T) {
		for at, want := range map[string]string{
			"/wp-json/wp/v2/plugins/akismet/akismet":             `"plugin":"akismet\/akismet"`,
			"/?rest_route=/wp/v2/plugins/akismet%2Fakismet":      `"plugin":"akismet\/akismet"`,
			"/wp-json/wp/v2/plugins/akismet%2Fakismet":           `"code":"rest_plugin_not_found"`, // WordPress has got it
			"/index.php/wp-json/wp/v2/plugins/akismet%2Fakismet": byPathInfo,
		} {
			v.do(http.MethodGet, at, rest, nil).wantText(t, want)
		}
	})
	step("log out", v.logOutOfWordPress)
}

// testWordPressInBrowser logs in and opens the pages whose scripts ask most of the server.
func testWordPressInBrowser(t *testing.T, url string) {
	t.Run("browser", func(t *testing.T) {
		b := startBrowser(t)
		b.logInToWordPress(url)
		b.open(url + "/wp-admin/media-new.php?browser-uploader")
		file := filepath.Join(t.TempDir(), imageName)
		writeFile(t, file, pixel)
		b.fill("#async-upload", file)
		b.click("#html-upload")
		b.waitFor("the library", "document.title.includes('Media Library')")
		b.open(url + "/wp-admin/upload.php?mode=grid")
		b.waitFor("three images", "document.querySelectorAll('.attachment img').length === 3")
		b.wantQuiet(t)
	})
}

// logInToWordPress opens the form of the site at url, and logs in as admin.
func (b *browser) logInToWordPress(url string) {
	b.t.Helper()
	b.open(url + "/wp-login.php")
	b.waitFor("the form", "document.activeElement.id === 'user_login'") // a script puts the cursor there
	b.fill("#user_login", "admin")
	b.fill("#user_pass", wordPressPassword)
	b.click("#wp-submit")
	b.waitFor("the dashboard", "document.title.includes('Dashboard')")
}
