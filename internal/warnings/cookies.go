package warnings

import (
	"fmt"

	"holdfast/internal/config"
	"holdfast/internal/cookie"
)

// everybodys are cookies that browsers have without a login, or that change while one lasts.
var everybodys = []struct{ name, of string }{
	{"wordpress_test_cookie", "WordPress sets for everybody who sees its login form"},
	{"wp-settings-time-1", "WordPress sets anew while a login lasts"},
	{"csrftoken", "Django sets for everybody"},
	{"XSRF-TOKEN", "Laravel and Angular set for everybody, and change often"},
	{"has_js", "Drupal sets for everybody"},
	{"cookieconsent_status", "a banner sets for everybody"},
	{"_ga", "Google Analytics sets for everybody"},
	{"_pk_id.1.1", "Matomo sets for everybody"},
	{"__utma", "old Google Analytics sets for everybody"},
}

// Cookies returns which session cookies of c are likely no session's, in a sentence each.
func Cookies(c *config.Config) (list []string) {
	for i, wanted := range c.Push.Logout.Cookies {
		for _, e := range everybodys {
			if !cookie.Is(wanted, []byte(e.name)) {
				continue
			}
			is, advice := "is a cookie", "take it out"
			if wanted != e.name {
				is, advice = "matches "+e.name, "name the login's cookies alone, such as wordpress_logged_in_*"
			}
			list = append(list, fmt.Sprintf("push.logout.cookies[%d]: %q %s that %s: each browser would count as a session of its own; %s", i, wanted, is, e.of, advice))
			break
		}
	}
	return list
}
