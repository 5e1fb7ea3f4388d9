package channelurl

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/channel"
	"holdfast/internal/http1"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ pattern, url, stars, err string }{
		{"news", "/news.php", "news", ""},
		{"parcel.{id}", "/status.php?id={id}", "parcel.*", ""},
		{"a.{b}.c.{d_1}", "/{b}/x-{d_1}.json?d={d_1}&e=1{b}", "a.*.c.*", ""},
		{"*.{id}", "/?id={id}", "*.*", ""},
		{"{id}", "/{id}", "*", ""},

		{"", "", "", "is not valid"},
		{"a..b", "", "", "empty segment"},
		{"a b", "", "", "is not valid"},
		{"parcel.{id", "", "", "has a brace beside"},
		{"parcel.{Id}", "", "", "has a brace beside"},
		{"parcel.{}", "", "", "has a brace beside"},
		{"parcel.x{id}", "", "", "has a brace beside"},
		{"parcel.{id}{id}", "", "", "has a brace beside"},
		{"parcel.{id}.{id}", "", "", "has {id} twice"},
		{"parcel.**", "", "", "has **"},
		{"parcel.*x", "", "", "is not valid"},

		{"parcel.{id}", "/status.php", "", "does not use {id}"},
		{"parcel.{id}", "/status.php?id={no}", "", "has {no}, which the channel has not"},
		{"parcel.{id}", "/status.php?id={id", "", "belongs to no {name}"},
		{"parcel.{id}", "/status.php?id=id}", "", "belongs to no {name}"},
		{"parcel.{id}", `/status.php?q={"id":1}&id={id}`, "", "belongs to no {name}"},
		{"parcel.{id}", "/status.php?{id}=1", "", "in the name of a parameter"},
		{"parcel.{id}", "/status.php?{id}", "", "in the name of a parameter"},
		{"parcel.{id}", "/status.php?a=1&{id}", "", "in the name of a parameter"},
		{"parcel.{id}", "/status.php?a=1;b{id}=2", "", "in the name of a parameter"},
		{"{a}.{b}", "/?a={a}&{b}=2", "", "in the name of a parameter"},
		{"parcel.{id}", "/status.php?id=%{id}", "", "has a %"},
		{"parcel.{id}", "/%2{id}", "", "has a %"},
	} {
		p, err := ParsePattern(c.pattern)
		if err == nil {
			_, err = p.Parse(c.url)
		}
		switch {
		case c.err == "" && (err != nil || p.Stars() != c.stars):
			t.Errorf("%s %s: %v, stars %q", c.pattern, c.url, err, p.Stars())
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s %s: %v; want %q", c.pattern, c.url, err, c.err)
		}
	}
}

func mustParse(t *testing.T, pattern, url string) *Template {
	t.Helper()
	p, err := ParsePattern(pattern)
	if err != nil {
		t.Fatal(err)
	}
	made, err := p.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, yes, no string
	}{
		{"news", "news", "new news.a anews"},
		{"parcel.{id}", "parcel.1 parcel.a/b parcel.%2E", "parcel parcel.1.2 parcels.1 parcel. x.parcel.1"},
		{"{a}.b.*", "x.b.y b.b.b", "x.b x.c.y x.b.y.z b"},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(c.yes) {
			if !p.Match(name) {
				t.Errorf("%s does not match %s", c.pattern, name)
			}
		}
		for _, name := range strings.Fields(c.no) {
			if p.Match(name) {
				t.Errorf("%s matches %s", c.pattern, name)
			}
		}
		if n := testing.AllocsPerRun(10, func() { p.Match("parcel.1"); p.Match("x.b.y") }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// Names that a hostile client subscribes to, and what the app is asked for. Empty: nothing.
func TestURL(t *testing.T) {
	for _, c := range []struct{ pattern, url, channel, want string }{
		{"news", "/news.php?a=%26", "news", "/news.php?a=%26"},
		{"parcel.{id}", "/status.php?id={id}", "parcel.42", "/status.php?id=42"},
		{"parcel.{id}", "/status.php?id={id}", "parcel.1%26admin=1", "/status.php?id=1%26admin%3D1"},
		{"parcel.{id}", "/status.php?id={id}", "parcel.1+2", "/status.php?id=1%2B2"},
		{"parcel.{id}", "/status.php?id={id}", "parcel.1%23x", "/status.php?id=1%23x"},
		{"parcel.{id}", "/status.php?id={id}", "parcel.%2E%2E%2Fadmin", "/status.php?id=..%2Fadmin"},
		{"parcel.{id}", "/status.php?id={id}", "parcel.%2526x=1", "/status.php?id=%2526x%3D1"},
		{"parcel.{id}", "/status.php?id={id}&mode=a", "parcel.1;mode=b", ""}, // no valid name
		{"parcel.{id}", "/status.php?id={id}", "parcel.1%3Bmode=b", "/status.php?id=1%3Bmode%3Db"},
		{"parcel.{id}", "/status.php?id={id}", "parcel.a@b:c~d", "/status.php?id=a%40b%3Ac~d"},
		{"parcel.{id}", "/status.php?id={id}", "parcel.%C3%A9%20%FF", "/status.php?id=%C3%A9%20%FF"},
		{"user.{u}.{k}", "/inbox.php?of={u}.{k}&u={u}", "user.anna%2Ex.new", "/inbox.php?of=anna.x.new&u=anna.x"},

		{"parcel.{id}", "/parcels/{id}/state", "parcel.42", "/parcels/42/state"},
		{"parcel.{id}", "/parcels/{id}.json", "parcel.a%2Eb", "/parcels/a.b.json"},
		{"parcel.{id}", "/parcels/{id}/state", "parcel.%C3%A9%20=", "/parcels/%C3%A9%20%3D/state"},
		{"parcel.{id}", "/parcels/{id}/state", "parcel.%2E%2E", ""},
		{"parcel.{id}", "/parcels/{id}/state", "parcel.%2E", ""},
		{"parcel.{id}", "/parcels/.{id}", "parcel.%2E", ""},
		{"parcel.{id}", "/parcels/{id}", "parcel.1/admin", ""},
		{"parcel.{id}", "/parcels/{id}", "parcel.1%2Fadmin", ""},
		{"parcel.{id}", "/parcels/{id}", "parcel.1%5Cadmin", ""},
		{"parcel.{id}", "/parcels/{id}", "parcel.1%252Fadmin", ""},
		{"parcel.{id}", "/parcels/{id}", "parcel.1%3Bjsessionid=2", ""},
		{"parcel.{id}", "/parcels/{id}", "parcel.1%3Fa=2", ""},
		{"parcel.{id}", "/parcels/{id}", "parcel.1%23", ""},
		{"parcel.{id}", "/parcels/{id}", "parcel.%C0%AF", ""},
		{"parcel.{id}", "/status.php?id={id}", "parcel.%30", ""}, // parcel.0 by another name
		{"parcel.{id}", "/status.php?id={id}", "parcel.4%32", ""},
		{"parcel.{id}", "/status.php?id={id}", "parcel.%5F", ""},
	} {
		made := mustParse(t, c.pattern, c.url)
		if c.want == "" && channel.ValidName(c.channel) != nil {
			continue
		}
		got, err := made.URL(c.channel)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrName) {
			t.Errorf("%s for %s: %q, %v; want %q", c.url, c.channel, got, err, c.want)
		}
	}
}

// TestReaches: a placeholder must not open a path that the template's author did not name.
func TestReaches(t *testing.T) {
	for _, c := range []struct{ url, yes, no string }{
		{"/status.php?id={id}", "", "/status.php /x /"},
		{"/{id}", "/admin /_push", "/ /a/b"},
		{"/{id}/state", "/admin /admin/state", "/admin/x /x/y/z /"},
		{"/parcels/{id}", "/parcels/admin", "/parcels /admin /parcels/a/b /"},
		{"/parcels/p-{id}.json", "/parcels/p-1.json", "/parcels/1.json /parcels/p-.json /parcels/p-1.html"},
		{"/{id}?x=/a", "/b", "/b/a"},
	} {
		made := mustParse(t, "c.{id}", c.url)
		for _, path := range strings.Fields(c.yes) {
			if !made.Reaches(path) {
				t.Errorf("%s does not reach %s", c.url, path)
			}
		}
		for _, path := range strings.Fields(c.no) {
			if made.Reaches(path) {
				t.Errorf("%s reaches %s", c.url, path)
			}
		}
	}
}

// TestURLStaysWhatItIs: for random names, the URL has the template's path segments and parameters, in number and name, in
// every way in which an app may read it, and the values are those of the name.
func TestURLStaysWhatItIs(t *testing.T) {
	const bytesOfNames = "abz09_-:@/=+~"
	special := []string{"%26", "%3D", "%2E", "%2E%2E", "%2F", "%5C", "%25", "%252F", "%3B", "%3F", "%23", "%20", "%2B", "%C0%AF", "%C3%A9", "%FF", "%00", "%0A"}
	random := rand.New(rand.NewPCG(14, 4))
	segment := func() string {
		var b strings.Builder
		for range 1 + random.IntN(4) {
			if random.IntN(2) == 0 {
				b.WriteByte(bytesOfNames[random.IntN(len(bytesOfNames))])
			} else {
				b.WriteString(special[random.IntN(len(special))])
			}
		}
		return b.String()
	}
	templates := []*Template{
		mustParse(t, "c.{a}.{b}", "/x/{a}/y?p=1&q={b}&r={a}x{b}"),
		mustParse(t, "c.{a}.{b}", "/x.php?q={b}&p=1&r={a}x{b}"),
		mustParse(t, "c.{a}.{b}", "/x/{a}-{b}/y?p=1&q={b}&r={a}x{b}"),
	}
	made := 0
	for range 10_000 {
		a, b := segment(), segment()
		name := "c." + a + "." + b
		if channel.ValidName(name) != nil {
			continue
		}
		for i, tm := range templates {
			text, err := tm.URL(name)
			if err != nil {
				if i == 1 {
					t.Fatalf("%s: no URL though it stands in the query: %v", name, err)
				}
				continue
			}
			made++
			a, _ := url.PathUnescape(a)
			b, _ := url.PathUnescape(b)
			path, query, _ := strings.Cut(text, "?")
			values, err := url.ParseQuery(query)
			if err != nil || len(values) != 3 || strings.Count(query, "&") != 2 || strings.ContainsAny(query, ";+#/ ") ||
				values.Get("p") != "1" || values.Get("q") != b || values.Get("r") != a+"x"+b {
				t.Fatalf("%s: %s has %v, %v", name, text, values, err)
			}
			want := [][]string{{"", "x", a, "y"}, {"", "x.php"}, {"", "x", a + "-" + b, "y"}}[i]
			for how := range http1.PathForm(1 << 5) {
				read, dots, ok := http1.Canonical(nil, []byte(path), how)
				if !ok || dots || !bytes.Equal(read, []byte(strings.Join(want, "/"))) {
					t.Fatalf("%s: %s is read as %q, %v in form %d", name, text, read, ok, how)
				}
			}
		}
	}
	if made < 2_000 {
		t.Errorf("only %d URLs were made", made)
	}
}
