package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"holdfast/internal/hub"
	"holdfast/internal/strictjson"
)

func drafts(list []hub.Draft) string {
	var words []string
	for _, d := range list {
		kind := ""
		if d.JSON {
			kind = " JSON"
		}
		words = append(words, fmt.Sprintf("%s [%s]%s %q", strings.Join(d.Channels, "+"), d.Event, kind, d.Data))
	}
	return strings.Join(words, "; ")
}

func TestParsePublish(t *testing.T) {
	for _, c := range []struct {
		body, want string
		batch      bool
	}{
		{`{"channel":"a","data":"x"}`, `a [] "x"`, false},
		{` { "event" : "e.1" , "data" : [ 1 , 2.50 ,"<é>" ] , "channel" : [ "a" , "b" ] } `, `a+b [e.1] JSON "[1,2.50,\"<é>\"]"`, false},
		{"{\n\"channel\":\"a\",\n\"data\":null\n}\n", `a [] JSON "null"`, false},
		{`{"channel":"a","data":{"z":1,"a":{"z":1E400,"z":-0}}}`, `a [] JSON "{\"z\":1,\"a\":{\"z\":1E400,\"z\":-0}}"`, false}, // bytes as they are
		{`{"channel":"a","data":12345678901234567890}`, `a [] JSON "12345678901234567890"`, false},
		{`{"channel":"a","data":"\u0041\n\"\u0000é"}`, `a [] "A\n\"\x00é"`, false},
		{`{"channel":"a","data":""}`, `a [] ""`, false},
		{`{"\u0063hannel":"a","data":true}`, `a [] JSON "true"`, false},
		{`[{"channel":"a","data":1}]`, `a [] JSON "1"`, true},
		{`[{"channel":"a","data":1} , {"channel":"b","data":"2"}]`, `a [] JSON "1"; b [] "2"`, true},
		{`[]`, ``, true},
		{"{\"channel\":\"a\",\"data\":1}\n{\"channel\":\"b\",\"data\":2}\n", `a [] JSON "1"; b [] JSON "2"`, true},
		{"\r\n{\"channel\":\"a\",\"data\":1}\r\n\r\n{\"channel\":\"b\",\"data\":2}", `a [] JSON "1"; b [] JSON "2"`, true},
		{"{\"channel\":\"a\",\"data\":1}\n\n", `a [] JSON "1"`, false},
	} {
		got, _, batch, err := new(publishRoom).parsePublish([]byte(c.body), anyChannel)
		if err != nil || drafts(got) != c.want || batch != c.batch {
			t.Errorf("%s\ngot  %s, batch %v, %v\nwant %s, batch %v", c.body, drafts(got), batch, err, c.want, c.batch)
		}
	}
}

func anyChannel(name string) error {
	if name == "" || name == "bad" {
		return fmt.Errorf("%w %q: not a name", errChannel, name)
	}
	return nil
}

func TestParsePublishRefuses(t *testing.T) {
	for _, c := range []struct {
		body string
		err  error
		says string
	}{
		{``, strictjson.Error, "the body is empty"},
		{" \n", strictjson.Error, "the body is empty"},
		{`x`, strictjson.Error, "line 1, offset 0: bad JSON: invalid character 'x'"},
		{`{"channel":"a","data":1`, strictjson.Error, "line 1, offset 23: bad JSON: unexpected end"},
		{`{"channel":"a","data":}`, strictjson.Error, "line 1, offset 22: "},
		{`{"channel":"a","data":1,}`, strictjson.Error, "line 1, offset 24: "},
		{`[{"channel":"a","data":1},]`, strictjson.Error, "line 1, offset 26: "},
		{"[\n{\"channel\":\"a\",\"data\":1}\n{\"channel\":\"a\",\"data\":1}]", strictjson.Error, "line 3, offset 27: "},
		{"{\"channel\":\"a\",\"data\":1}\n{\"channel\":\"a\",\"data\":01}", strictjson.Error, "line 2, offset 48: "},
		{`{"channel":"a","data":1} {"channel":"a","data":1}`, strictjson.Error, "line 1, offset 25: bad JSON: more than one value on a line"},
		{`{"channel":"a","data":1}]`, strictjson.Error, "line 1, offset 24: "},
		{`"a"`, strictjson.Error, "line 1, offset 0: bad JSON: want an object"},
		{`null`, strictjson.Error, "want an object"},
		{"[{\"channel\":\"a\",\"data\":1},\n [1]]", strictjson.Error, "line 2, offset 28: bad JSON: want an object"},
		{"[{\"channel\":\"a\",\"data\":1}]\n[]", strictjson.Error, "want an object"},
		{`{"data":1}`, errChannel, "line 1, offset 0: bad channel: the message names none"},
		{`{"channel":[],"data":1}`, errChannel, "names none"},
		{`{"channel":null,"data":1}`, errChannel, "want a name or a list of names"},
		{`{"channel":7,"data":1}`, errChannel, "line 1, offset 11: "},
		{`{"channel":["a",7],"data":1}`, errChannel, "want a name or a list of names"},
		{`{"channel":["a",["b"]],"data":1}`, errChannel, "want a name or a list of names"},
		{`{"channel":["a","bad"],"data":1}`, errChannel, `line 1, offset 11: bad channel "bad": not a name`},
		{`{"channel":"","data":1}`, errChannel, "not a name"},
		{`{"channel":["a"` + strings.Repeat(`,"a"`, maxChannels) + `],"data":1}`, errChannel, "offset 11: bad channel: 1001 for one message; want at most 1000"},
		{`{"channel":"a","data":1,"event":7}`, errEvent, "want text"},
		{`{"channel":"a","data":1,"event":null}`, errEvent, "want text"},
		{`{"channel":"a","data":1,"event":""}`, errEvent, "1 to 64"},
		{`{"channel":"a","data":1,"event":"a\nb"}`, errEvent, "want letters"},
		{`{"channel":"a","data":1,"event":"gap"}`, errEvent, "reserved"},
		{`{"channel":"a","data":1,"event":"open"}`, errEvent, "reserved"},
		{`[{"channel":"a","data":1,"event":"fine"},{"channel":"a","data":1,"event":"error"}]`, errEvent, "reserved"},
		{`{"channel":"a","data":1,"event":"é"}`, errEvent, "want letters"},
		{`{"channel":"a","data":1,"Event":"a"}`, strictjson.Error, `line 1, offset 32: bad JSON: unknown key "Event"; want channel, data, event or idempotency_key`},
		{`{"channel":"a","data":1,"id":7}`, strictjson.Error, `unknown key "id"`},
		{`{"channel":"a","data":1,"idempotency_key":7}`, errKey, "want text"},
		{`{"channel":"a","data":1,"idempotency_key":""}`, errKey, "1 to 255 characters, not 0"},
		{`{"channel":"a","data":1,"idempotency_key":"a b"}`, errKey, "visible ASCII"},
		{"{\"channel\":\"a\",\"data\":1,\"idempotency_key\":\"7\"}\n{\"channel\":\"a\",\"data\":2,\"idempotency_key\":\"7\"}", errKey, "line 2, offset 47: bad idempotency key: \"7\" is on an earlier message"},
		{`{"channel":"a","data":1,"data":2}`, strictjson.Error, `key "data" for the second time`},
		{`{"channel":"a","data":1,"\u0064ata":2}`, strictjson.Error, `key "data" for the second time`},
		{"{\"channel\":\"a\",\n\"data\":\"\xff\"}", strictjson.Error, "line 2, offset 24: bad JSON: not UTF-8"},
		{"{\"channel\":\"a\",\"data\":\"\n\"}", strictjson.Error, "line 1, offset 23: "},
		{"\ufeff{}", errChannel, "line 1, offset 3: "},
		{"\ufeff\ufeff{}", strictjson.Error, "line 1, offset 3: "},
		{strings.Repeat("[", 20000), strictjson.Error, "nested more than 512 deep"},
		{`{"channel":"a","data":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, strictjson.Error, "nested more than 512 deep"},
	} {
		got, _, _, err := new(publishRoom).parsePublish([]byte(c.body), anyChannel)
		if got != nil || !errors.Is(err, c.err) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%.60q\ngot  %v\nwant %s", c.body, err, c.says)
		}
	}
}

func TestPublish(t *testing.T) {
	a := start(t, "tcp", Options{})
	l := a.hub.Lane(0)
	var one, both listener
	l.Join(&one, []string{"a"}, 0, false)
	l.Join(&both, []string{"a", "b/%C3%A9"}, 0, false)
	single := regexp.MustCompile(`^\{"id":"[0-9a-z]{13}","subscribers":(\d+)\}\n$`)
	several := regexp.MustCompile(`^\{"messages":\[((,?\{"id":"[0-9a-z]{13}","subscribers":\d+\})*)\]\}\n$`)
	var id string
	for _, c := range []struct {
		query, body string
		subscribers []string
	}{
		{"?channel=a", "as\r\nit is\x00\xff", []string{"2"}},
		{"?channel=a&channel=b%2F%25C3%25A9&channel=a&event=e", `{"not": "parsed"`, []string{"2"}},
		{"?channel=nobody", "x", []string{"0"}},
		{"", `{"channel": ["b/%C3%A9", "nobody"], "data": {"x": 1}, "event": "f"}`, []string{"1"}},
		{"", `[{"channel": "a", "data": "text"}, {"channel": "nobody", "data": 2}]`, []string{"2", "0"}},
		{"", `[{"channel": "a", "data": 3}]`, []string{"2"}},
		{"?", "{\"channel\": \"a\", \"data\": 4}\n{\"channel\": \"a\", \"data\": 5}", []string{"2", "2"}},
		{"", "[]", nil},
	} {
		got := a.raw(request("POST /publish"+c.query, "", c.body))
		if got.status != 200 || got.header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s %s: %d %s", c.query, c.body, got.status, got.body)
		}
		form := single
		if strings.HasPrefix(c.body, "[") || strings.Contains(c.body, "\n{") {
			form = several
		}
		if !form.MatchString(got.body) {
			t.Errorf("%s %s: answer %q", c.query, c.body, got.body)
		}
		var counts []string
		for _, m := range regexp.MustCompile(`"subscribers":(\d+)`).FindAllStringSubmatch(got.body, -1) {
			counts = append(counts, m[1])
		}
		if !slices.Equal(counts, c.subscribers) {
			t.Errorf("%s %s: subscribers %q, want %q", c.query, c.body, counts, c.subscribers)
		}
		for _, m := range regexp.MustCompile(`"id":"(.{13})"`).FindAllStringSubmatch(got.body, -1) {
			if m[1] <= id {
				t.Errorf("id %s follows %s", m[1], id)
			}
			id = m[1]
		}
	}
	for l.Step(100) {
	}
	text := func(l listener) (s string) {
		for _, m := range l.got {
			s += fmt.Sprintf("%s[%s]%v%q ", m.Channel, m.Event, m.JSON, m.Data)
		}
		return s
	}
	first := `a[]false"as\r\nit is\x00\xff" a[e]false"{\"not\": \"parsed\"" `
	last := `a[]false"text" a[]true"3" a[]true"4" a[]true"5" `
	if got := text(one); got != first+last {
		t.Errorf("a: %s", got)
	}
	if got := text(both); got != first+`b/%C3%A9[f]true"{\"x\":1}" `+last {
		t.Errorf("both: %s", got)
	}
}

// taker is a subscriber whose socket takes what it is handed, or has it wait, or is closed.
type taker struct {
	membership hub.Membership
	do         func(*hub.Message)
}

func (s *taker) Membership() *hub.Membership { return &s.membership }
func (s *taker) Deliver(b []*hub.Message) {
	for _, m := range b {
		s.do(m)
	}
}

// TestPublishWaits: wait=delivered answers when everybody was handed the message, and says what became of it.
func TestPublishWaits(t *testing.T) {
	a := start(t, "tcp", Options{})
	l := a.hub.Lane(0)
	for _, do := range []func(*hub.Message){(*hub.Message).Delivered, (*hub.Message).Delivered, (*hub.Message).Queued, func(*hub.Message) {}} {
		l.Join(&taker{do: do}, []string{"a"}, 0, false)
	}
	l.Join(&taker{do: (*hub.Message).Delivered}, []string{"a", "b"}, 0, false)
	stop, donec := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(donec)
		for {
			select {
			case <-stop:
				return
			default:
				if !l.Step(1) {
					time.Sleep(time.Millisecond)
				}
			}
		}
	}()
	defer func() { close(stop); <-donec }()
	for _, c := range []struct{ query, body, want string }{
		{"?channel=a&wait=delivered", "x", `"subscribers":5,"delivered":3,"waiting":1,"dropped":1}`},
		{"?channel=a&channel=b&wait=delivered", "x", `"subscribers":5,"delivered":3,"waiting":1,"dropped":1}`},
		{"?channel=nobody&wait=delivered", "x", `"subscribers":0,"delivered":0,"waiting":0,"dropped":0}`},
		{"?wait=delivered", `[{"channel":"b","data":1},{"channel":"nobody","data":1}]`,
			`"subscribers":1,"delivered":1,"waiting":0,"dropped":0},{`},
	} {
		if got := a.raw(request("POST /publish"+c.query, "", c.body)); got.status != 200 || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: %d %s; want %s", c.query, got.status, got.body, c.want)
		}
	}
	for _, query := range []string{"?channel=a&wait=5", "?channel=a&wait=", "?channel=a&wait=delivered&wait=delivered"} {
		if got := a.raw(request("POST /publish"+query, "", "x")); got.status != 400 || !strings.Contains(got.body, "delivered") {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}

// One bad message, wherever it is, and none is published.
func TestBatchIsAllOrNothing(t *testing.T) {
	a := start(t, "tcp", Options{})
	good := `{"channel":"a","data":1}`
	for _, bad := range []string{`{"channel":"a b","data":1}`, `{"channel":"unruled.x.y","data":1}`, `{"data":1}`, `{"channel":"a","data":1,"x":1}`, `{"channel":"a","data":`} {
		for at := range 3 {
			list := []string{good, good, good}
			list[at] = bad
			for _, body := range []string{"[" + strings.Join(list, ",") + "]", strings.Join(list, "\n")} {
				if got := a.raw(request("POST /publish", "", body)); got.status != 400 || !strings.Contains(got.body, "line ") {
					t.Errorf("%s: %d %s", body, got.status, got.body)
				}
			}
		}
	}
	if s := a.hub.Stats(); s.Published != 0 || s.HistoryMessages != 0 {
		t.Errorf("published all the same: %+v", s)
	}
}

func TestChannels(t *testing.T) {
	a := start(t, "tcp", Options{})
	a.hub.Lane(0).Join(new(listener), []string{"orders.1", "orders.2", "news~"}, 0, false)
	ids, err := a.hub.Publish([]hub.Draft{{Channels: []string{"orders.1"}}, {Channels: []string{"x/y z"}}})
	if err != nil {
		t.Fatal(err)
	}
	first, second := ids[0].ID.String(), ids[1].ID.String()
	all := []string{
		`{"name":"news~","subscribers":1,"messages":0}`,
		`{"name":"orders.1","subscribers":1,"messages":1,"last_id":"` + first + `"}`,
		`{"name":"orders.2","subscribers":1,"messages":0}`,
		`{"name":"x/y z","subscribers":0,"messages":1,"last_id":"` + second + `"}`,
	}
	list := func(more string, i ...int) string {
		var infos []string
		for _, i := range i {
			infos = append(infos, all[i])
		}
		return `{"channels":[` + strings.Join(infos, ",") + `]` + more + "}\n"
	}
	for target, want := range map[string]string{
		"/channels":                         list("", 0, 1, 2, 3),
		"/channels?":                        list("", 0, 1, 2, 3),
		"/channels?match=**":                list("", 0, 1, 2, 3),
		"/channels?match=orders.**":         list("", 1, 2),
		"/channels?match=orders.**&limit=1": list(`,"more":true`, 1),
		"/channels?limit=3":                 list(`,"more":true`, 0, 1, 2),
		"/channels?limit=4":                 list("", 0, 1, 2, 3),
		"/channels?match=orders.2":          list("", 2),
		"/channels?match=orders.":           list(""),
		"/channels?match=":                  list(""),
		"/channels/orders.1":                all[1] + "\n",
		"/channels/%6Frders%2E1":            all[1] + "\n",
		"/channels/news%7E":                 all[0] + "\n",
	} {
		if got := a.raw(request("GET "+target, "", "")); got.status != 200 || got.body != want {
			t.Errorf("GET %s: %d %swant %s", target, got.status, got.body, want)
		}
	}
	if got := a.raw(request("GET /channels/a+b", "", "")); got.status != 404 || !strings.Contains(got.body, "a+b") {
		t.Errorf("a plus is a plus in a path: %d %s", got.status, got.body)
	}
}

// FuzzPublishJSON: what is accepted is what encoding/json reads in it, and what is refused says where.
func FuzzPublishJSON(f *testing.F) {
	for _, seed := range []string{
		`{"channel":"a","data":"x"}`,
		`{"channel":["a","b"],"data":{"k":[1,2,{"z":null}]},"event":"e"}`,
		`[{"channel":"a","data":1},{"channel":"b","data":"\ud83d\ude00"}]`,
		"{\"channel\":\"a\",\"data\":1}\n{\"channel\":\"b\",\"data\":2}\n",
		`{"channel":"a","data":1,"idempotency_key":"k"}`,
		`{"channel":"a","data":1,"data":2}`,
		"{\"channel\":\"a\",\"data\":\"\xff\"}",
		`[[[[`, `{"channel":{}}`, `[]`, ``, ` `, `{}{}`, "\ufeff{}", `{"channel":"a","data":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, _, batch, err := new(publishRoom).parsePublish(body, anyChannel)
		if err != nil {
			if got != nil {
				t.Fatalf("%d drafts and %v", len(got), err)
			}
			if s := statusOf(err); s != 400 {
				t.Fatalf("status %d for %v", s, err)
			}
			return
		}
		if !utf8.Valid(body) {
			t.Fatal("accepted what is not UTF-8")
		}
		body = bytes.TrimPrefix(body, []byte("\ufeff"))
		type message struct {
			Channel any
			Data    json.RawMessage
			Event   string
		}
		var list []message
		if err := json.Unmarshal(body, &list); err != nil {
			dec := json.NewDecoder(strings.NewReader(string(body)))
			for dec.More() {
				var m message
				if err := dec.Decode(&m); err != nil {
					t.Fatalf("accepted, and encoding/json says %v", err)
				}
				list = append(list, m)
			}
		}
		if len(list) != len(got) || len(got) != 1 && !batch {
			t.Fatalf("%d messages, batch %v; encoding/json has %d", len(got), batch, len(list))
		}
		for i, d := range got {
			m := list[i]
			var channels []string
			switch c := m.Channel.(type) {
			case string:
				channels = []string{c}
			case []any:
				for _, c := range c {
					channels = append(channels, c.(string))
				}
			}
			if !slices.Equal(channels, d.Channels) || m.Event != d.Event || len(channels) == 0 {
				t.Fatalf("channels %q, event %q; encoding/json has %q, %q", d.Channels, d.Event, channels, m.Event)
			}
			data, err := json.Marshal(string(d.Data))
			if d.JSON {
				data, err = d.Data, nil
			}
			var a, b any
			if err != nil || json.Unmarshal(data, &a) != nil && !strings.Contains(string(data), "e") && !strings.Contains(string(data), "E") {
				t.Fatalf("data %q is not JSON", d.Data)
			}
			if json.Unmarshal(m.Data, &b) == nil && fmt.Sprint(a) != fmt.Sprint(b) {
				t.Fatalf("data %q; encoding/json has %q", d.Data, m.Data)
			}
		}
	})
}
