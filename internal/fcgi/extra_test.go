package fcgi

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestExtraParams(t *testing.T) {
	r := plainRequest()
	r.Fields = fieldsOf("X-Mode: client", "x-mode: client again", "X-Other: a", "Remote-User: mallory", "Auth-Type: Basic")
	r.Extra = []Param{
		{Name: "APP_ENV", Value: "production"}, {Name: "SERVER_NAME", Value: "shop.test"}, {Name: "SERVER_SOFTWARE", Remove: true},
		{Name: "HTTP_X_MODE", Value: "ours"}, {Name: "PHP_VALUE", Value: "a=1\nb=2"}, {Name: "EMPTY"}, {Name: "HTTPS", Value: "on"},
	}
	env := environment(t, r)
	for _, want := range []string{
		"APP_ENV=production", "SERVER_NAME=shop.test", "HTTP_X_MODE=ours", "PHP_VALUE=a=1\nb=2", "EMPTY=", "HTTPS=on",
		"HTTP_X_OTHER=a", "REQUEST_METHOD=GET", "HTTP_REMOTE_USER=mallory",
	} {
		name, _, _ := strings.Cut(want, "=")
		n := 0
		for _, e := range env {
			if strings.HasPrefix(e, name+"=") {
				n++
			}
		}
		if n != 1 || !slices.Contains(env, want) {
			t.Errorf("%s: %d of that name in %q", want, n, env)
		}
	}
	for _, e := range env {
		if name, _, _ := strings.Cut(e, "="); name == "SERVER_SOFTWARE" || name == "REMOTE_USER" || name == "AUTH_TYPE" {
			t.Errorf("has %s", e)
		}
	}
	r.User = "alice"
	if env := environment(t, r); !slices.Contains(env, "REMOTE_USER=alice") || !slices.Contains(env, "AUTH_TYPE=Basic") {
		t.Errorf("without the user: %q", env)
	}
}

func TestCheckParam(t *testing.T) {
	for _, tt := range []struct {
		p    Param
		want string
	}{
		{Param{Name: "APP_ENV", Value: "x"}, ""}, {Param{Name: "modHeadersAvailable", Value: "true"}, ""}, {Param{Name: "HTTPS", Value: "on"}, ""},
		{Param{Name: "PHP_ADMIN_VALUE", Value: "a=1\nb=2"}, ""}, {Param{Name: "SERVER_ADDR", Remove: true}, ""}, {Param{Name: "HTTP_MOD_REWRITE", Value: "On"}, ""},
		{Param{Name: ""}, "no name"}, {Param{Name: "A-B"}, "no name"}, {Param{Name: "A B"}, "no name"}, {Param{Name: "1A"}, "no name"}, {Param{Name: "Ä"}, "no name"},
		{Param{Name: "SCRIPT_FILENAME", Value: "/x"}, "see root"}, {Param{Name: "script_name", Value: "/x"}, "computes"}, {Param{Name: "REMOTE_USER", Value: "x"}, "see basic_auth"},
		{Param{Name: "CONTENT_LENGTH", Remove: true}, "computes"}, {Param{Name: "REMOTE_ADDR", Value: "x"}, "see trusted_proxies"},
		{Param{Name: "HTTP_PROXY", Value: ""}, "httpoxy"}, {Param{Name: "https_proxy", Value: "x"}, "httpoxy"}, {Param{Name: "ALL_PROXY", Value: "x"}, "httpoxy"},
		{Param{Name: "A", Value: "x\ny"}, "control character"}, {Param{Name: "php_value", Value: "x\ny"}, "control character"}, {Param{Name: "A", Value: "x\x00"}, "control character"},
		{Param{Name: "A", Value: strings.Repeat("x", maxParam+1)}, "more than"},
	} {
		err := CheckParam(&tt.p)
		if (err == nil) != (tt.want == "") || err != nil && (!errors.Is(err, ErrParam) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v; want %q", tt.p, err, tt.want)
		}
	}
}
