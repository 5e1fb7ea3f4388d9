package rules

import (
	"strings"
	"testing"

	"holdfast/internal/cache"
)

const formType = "\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8"

// post returns a POST of a form.
func post(t testing.TB, body string) *cache.Request {
	t.Helper()
	q := requestOf(t, "POST /ajax"+formType)
	q.HasBody, q.Whole, q.Body = true, true, []byte(body)
	return q
}

// TestForm: a rule that names fields is about bodies that every app reads as having these, and passes all others.
func TestForm(t *testing.T) {
	r := ruleOf(t, Options{Methods: []string{"POST"}, Parts: []string{"body"}, Form: []string{"action=heartbeat", "data[a]=x y"}})
	for _, body := range []string{
		"action=heartbeat&data[a]=x+y", "data%5Ba%5D=x%20y&action=heartbeat", "a=1&%61ction=heart%62eat&data%5ba%5d=x+y&", "data[a]=x+y&xaction=delete&action=heartbeat",
	} {
		if _, why := r.Key(post(t, body)); why != cache.None {
			t.Errorf("%s: passed: %s", body, why)
		}
	}
	for _, body := range []string{
		"", "action=heartbeat", "data[a]=x+y", "action=delete&data[a]=x+y", "action=heartbeat2&data[a]=x+y", "action=Heartbeat&data[a]=x+y", "action&data[a]=x+y",
		"action=heartbeat&action=delete&data[a]=x+y", "action=delete&action=heartbeat&data[a]=x+y", "action=heartbeat&data[a]=x+y&action=heartbeat",
		"action=heartbeat&data[a]=x+y&%61ction=delete", "action=heartbeat&data[a]=x+y&action[]=delete", "action=heartbeat&data[a]=x+y&action%5B%5D=delete",
		"action=heartbeat&data[a]=x+y&+action=delete", "action=heartbeat&data[a]=x+y&action%00x=delete", "action=heartbeat&data[a]=x+y&ACTION=delete",
		"action=heartbeat&data[a]=x+y&data[a][b]=z", "action=heartbeat&data[a]=x+y&x=1;action=delete", "action=heartbeat;data[a]=x+y", "action%3Dheartbeat&data[a]=x+y",
	} {
		if _, why := r.Key(post(t, body)); why != cache.OtherForm {
			t.Errorf("%s: %s", body, why)
		}
	}
	const body = "\n!body: action=heartbeat&data[a]=x+y"
	for text, want := range map[string]cache.Reason{
		"POST /ajax" + formType + body:                                                       cache.None,
		"POST /ajax\nContent-Type: application/x-www-form-urlencoded" + body:                 cache.None,
		"POST /ajax" + body:                                                                  cache.OtherForm,
		"POST /ajax\nContent-Type: application/json" + body:                                  cache.OtherForm,
		"POST /ajax\nContent-Type: application/x-www-form-urlencoded; charset=utf-16" + body: cache.OtherForm,
		"POST /ajax" + formType + formType + body:                                            cache.OtherForm,
		"POST /ajax" + formType + "\nContent-Encoding: gzip" + body:                          cache.OtherForm,
		"POST /ajax" + formType + "\n!part: action=hea":                                      cache.HasBody, // it is waited for
		"POST /ajax" + formType + "\n!body: " + strings.Repeat("x", 2000):                    cache.HasBody,
		"GET /ajax": cache.OtherForm,
	} {
		if _, why := r.Key(requestOf(t, text)); why != want && (why != cache.OtherMethod || !strings.HasPrefix(text, "GET")) {
			t.Errorf("%s: %s, want %s", text, why, want)
		}
	}
}

// TestFormParts: fields that the key is without make no difference, and nothing else is taken for one of them.
func TestFormParts(t *testing.T) {
	r := ruleOf(t, Options{Methods: []string{"POST"}, Parts: []string{"body", "-body.lock", "-body.data[post][lock]"}})
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"id=1&lock=2", "id=1&lock=3", true},
		{"id=1&lock=2", "lock=3&id=1&lock=4", true},
		{"id=1&lock=2", "id=1", true},
		{"data%5Bpost%5D%5Block%5D=2&id=1", "data[post][lock]=3&id=1", true},
		{"data%5Bpost%5D%5Block%5D=2&id=1", "data[post][lock][x]=3&id=1", false},
		{"id=1&lock=2", "id=2&lock=2", false},
		{"id=1&lock=2", "id=1&LOCK=2", false},
		{"id=1&lock=2", "id=1&+lock=2", false},
		{"id=1&lock=2", "id=1&lock[]=2", false},
		{"id=1&lock=2", "id=1&clock=2", false},
		{"a=1&b=2", "b=2&a=1", false},
		{"a=1&b=2", "a=1&b=2&b=2", false},
		{"ab=1", "a=b1", false},
		{"a=1&b=2", "a=1%26b=2", false},
		{"id=1&lock=2;x", "id=1&lock=3;x", false},
		{"", "lock=1", true},
		{"", "x", false},
	} {
		a, whyA := r.Key(post(t, c.a))
		b, whyB := r.Key(post(t, c.b))
		if whyA != cache.None || whyB != cache.None || (a == b) != c.same {
			t.Errorf("%s and %s: the same is %v, want %v; %s, %s", c.a, c.b, a == b, c.same, whyA, whyB)
		}
	}
	json := func(body string) cache.Key {
		k, _ := r.Key(requestOf(t, "POST /ajax\nContent-Type: text/plain\n!body: "+body))
		return k
	}
	if json("id=1&lock=2") == json("id=1&lock=3") {
		t.Error("of a body that is no form a field is left out")
	}
}

// TestFormErrors: what a rule can't mean is said.
func TestFormErrors(t *testing.T) {
	for want, o := range map[string]Options{
		`form: "action": want NAME=VALUE, such as action=heartbeat`:                                                             {Match: "/", Methods: []string{"POST"}, Parts: []string{"body"}, Form: []string{"action"}},
		"form: is of the body, which a GET does not have; want methods without GET":                                             {Match: "/", Parts: []string{"body"}, Form: []string{"a=b"}},
		"key: -body.lock goes with body":                                                                                        {Match: "/", Parts: []string{"query", "-body.lock"}},
		`key: "-body" is not known; want query, query.NAME, -query.NAME, session, cookie.NAME, header.NAME, body or -body.NAME`: {Match: "/", Parts: []string{"-body"}},
	} {
		if _, err := New([]Options{o}, nil, cache.NewHasher()); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// FuzzForm: with a body that a rule takes, no reader of forms sees another value of the field that the rule names.
func FuzzForm(f *testing.F) {
	f.Add("action=heartbeat&a=1")
	f.Add("action=heartbeat&%61ction=delete")
	r := ruleOf(f, Options{Methods: []string{"POST"}, Parts: []string{"body", "-body.a"}, Form: []string{"action=heartbeat"}})
	f.Fuzz(func(t *testing.T, body string) {
		if _, why := r.Key(post(t, body)); why != cache.None {
			return
		}
		values := strings.Split(body, "&")
		n := 0
		for _, v := range values {
			name, value, _ := strings.Cut(v, "=")
			if string(decoded([]byte(name))) == "action" {
				if n++; string(decoded([]byte(value))) != "heartbeat" {
					t.Errorf("%q has the action %q", body, value)
				}
			}
		}
		if n != 1 {
			t.Errorf("%q has %d actions", body, n)
		}
	})
}
