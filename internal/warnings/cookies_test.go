package warnings

import (
	"strings"
	"testing"

	"holdfast/internal/config"
)

// TestCookies: a session cookie that everybody has is said to be one.
func TestCookies(t *testing.T) {
	for list, want := range map[string]string{
		`PHPSESSID, JSESSIONID, "wordpress_logged_in_*", sessionid`: "",
		`PHPSESSID, "wordpress_*"`:                                  `push.logout.cookies[1]: "wordpress_*" matches wordpress_test_cookie that WordPress sets for everybody`,
		"csrftoken":                                                 `push.logout.cookies[0]: "csrftoken" is a cookie that Django sets for everybody`,
		`"wp-*"`:                                                    `push.logout.cookies[0]: "wp-*" matches wp-settings-time-1 that WordPress sets anew`,
	} {
		c, err := config.Parse("c.yaml", []byte("push: {logout: {cookies: ["+list+"]}}"))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(Cookies(c), "\n")
		if !strings.HasPrefix(got, want) || (want == "") != (got == "") || strings.Contains(got, "\n") {
			t.Errorf("%s: %q; want %q", list, got, want)
		}
	}
}
