package http1

import "testing"

// TestPathSet: a path is one of the set if an app reads it so, however it is spelled.
func TestPathSet(t *testing.T) {
	s := NewPathSet([]string{"/logout.php", "/user/%6cogout/", "/"})
	for path, want := range map[string]bool{
		"/logout.php":               true,
		"/logout.php/":              true,
		"/%6cogout.php":             true,
		"/%256cogout.php":           true,
		"/logout.ph%70":             true,
		"//logout.php":              true,
		"/x/../logout.php":          true,
		"/./logout.php":             true,
		"/logout.php;jsessionid=1":  true,
		"/user/logout":              true,
		"/user/logout/":             true,
		"/user%2flogout":            true,
		`/user\logout`:              true,
		"/":                         true,
		"/logout":                   false,
		"/logout.php2":              false,
		"/logout.php/x":             false,
		"/LOGOUT.php":               false,
		"/x/logout.php":             false,
		"/%zzlogout.php":            false,
		"/../../logout.php":         false,
		"":                          false,
		"*":                         false,
		"/user/logout/..;/logout/x": false,
	} {
		if got := s.Has([]byte(path)); got != want {
			t.Errorf("%q: %v; want %v", path, got, want)
		}
	}
	if NewPathSet(nil).Has([]byte("/")) {
		t.Error("an empty set has a path")
	}
}
