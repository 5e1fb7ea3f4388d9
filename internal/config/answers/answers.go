package answers

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/config/value"
	"holdfast/internal/errorpage"
	"holdfast/internal/fcgi"
	"holdfast/internal/fieldset"
	"holdfast/internal/request"
	"holdfast/internal/tracecontext"
)

// Answers are keys of a level.
type Answers struct {
	Allow     []string `yaml:"allow" eg:"[10.0.0.0/8, 2001:db8::/32]"`
	Deny      []string `yaml:"deny_addresses" eg:"[192.0.2.7]"`
	Status    int      `yaml:"deny_status"`
	Basic     string   `yaml:"basic_auth" eg:"/etc/holdfast/htpasswd"` // empty, or Off: none
	Realm     string   `yaml:"basic_auth_realm" eg:"Back office"`
	Satisfy   string   `yaml:"satisfy" eg:"all"`
	SetFields Named    `yaml:"headers" eg:"{X-Frame-Options: DENY, X-Powered-By: null}"`
	Sent      Named    `yaml:"request_headers" eg:"{X-Remote-User: $user, X-Debug: null}"`
	Expires   string   `yaml:"expires" eg:"30d"` // empty, or Off: not said
	Params    Named    `yaml:"fastcgi_params" eg:"{APP_ENV: production}"`
	Pages     Named    `yaml:"error_pages" eg:"{404: /404.html}"`
	Intercept bool     `yaml:"intercept_errors"`
	Trace     string   `yaml:"trace" eg:"make"`
	Sample    int      `yaml:"trace_sample"` // percent
}

// Off ends what the level above has.
const Off = "off"

// Default has the defaults.
func Default() Answers { return Answers{Status: 403, Satisfy: "all", Trace: Off, Sample: 100} }

// Check reports what is wrong. has says whether the level has a key itself; add takes a key and what is wrong with its value.
func (a *Answers) Check(has func(key string) bool, add func(key, problem string)) {
	for key, list := range map[string][]string{"allow": a.Allow, "deny_addresses": a.Deny} {
		for i, s := range list {
			if err := access.CheckAddress(s); err != nil && has(key) {
				add(key+"["+strconv.Itoa(i)+"]", value.Show(s)+" "+err.Error()+"; want one such as 10.0.0.0/8 or 2001:db8::1, all, or unix:")
				return
			}
		}
	}
	if _, err := access.NewAddresses(a.Allow, a.Deny); err != nil && (has("allow") || has("deny_addresses")) {
		add(own(has, "deny_addresses", "allow"), err.Error())
	}
	if s := a.Status; has("deny_status") && (s < 400 || s > 499 || slices.Contains([]int{401, 407, 408}, s)) {
		add("deny_status", strconv.Itoa(s)+" is out of range; want 400 to 499, and not 401, 407 or 408")
	}
	if f := a.Basic; has("basic_auth") && f != "" && f != Off && !filepath.IsAbs(f) {
		add("basic_auth", value.Show(f)+" is not an absolute path; want the file of users, such as /etc/holdfast/htpasswd, or off")
	}
	if has("basic_auth_realm") && !access.ValidRealm(a.Realm) {
		add("basic_auth_realm", "has a control character")
	}
	if has("satisfy") && a.Satisfy != "all" && a.Satisfy != "any" {
		add("satisfy", value.Show(a.Satisfy)+" is neither all nor any")
	}
	if has("expires") {
		if _, err := a.MaxAge(); err != nil {
			add("expires", err.Error())
		}
	}
	if has("headers") {
		for _, name := range a.SetFields.Names() {
			c := a.SetFields.change(name)
			if err := fieldset.Check(&c); err != nil {
				add(KeyOf("headers", name), value.Show(name)+" "+err.Error())
			}
		}
	}
	if has("request_headers") {
		for _, name := range a.Sent.Names() {
			if problem := a.Sent[name].requestProblem(name); problem != "" {
				add(KeyOf("request_headers", name), problem)
			}
		}
	}
	a.checkTrace(has, add)
	if has("error_pages") {
		a.checkPages(add)
	}
	if has("fastcgi_params") {
		for _, name := range a.Params.Names() {
			v := a.Params[name]
			if v.Word != "" {
				add(KeyOf("fastcgi_params", name), "has the word "+v.Word+", which is for headers; want text or null")
				continue
			}
			p := v.param(name)
			if err := fcgi.CheckParam(&p); err != nil {
				add(KeyOf("fastcgi_params", name), value.Show(name)+" "+err.Error())
			}
		}
	}
}

// Values of Trace besides Off.
const (
	TraceLog  = "log"
	TraceMake = "make"
)

// checkTrace checks trace and trace_sample.
func (a *Answers) checkTrace(has func(key string) bool, add func(key, problem string)) {
	if has("trace") && a.Trace != Off && a.Trace != TraceLog && a.Trace != TraceMake {
		add("trace", value.Show(a.Trace)+" is neither off nor log nor make")
	}
	if has("trace_sample") && (a.Sample < 0 || a.Sample > 100) {
		add("trace_sample", strconv.Itoa(a.Sample)+" is out of range; want 0 to 100")
	}
	for _, name := range a.Sent.Names() {
		field := strings.ToLower(name)
		switch {
		case a.Trace != TraceMake || a.Sent[name].Null || field != "traceparent" && field != "tracestate":
		case has("request_headers"):
			add(KeyOf("request_headers", name), "is set besides trace: make, which makes it; want null, so that no client's is believed")
		case has("trace"):
			add("trace", "make makes "+name+", which request_headers sets; want null there, so that no client's is believed")
		}
	}
}

// Tracing returns what is done with the traces of requests; nil: nothing is.
func (a *Answers) Tracing() *tracecontext.Policy {
	if a.Trace == Off {
		return nil
	}
	p := &tracecontext.Policy{Make: a.Trace == TraceMake, Sample: float64(a.Sample) / 100}
	for _, name := range a.Sent.Names() {
		p.Replace = p.Replace || strings.EqualFold(name, "traceparent")
	}
	return p
}

// checkPages checks error_pages.
func (a *Answers) checkPages(add func(key, problem string)) {
	for _, name := range a.Pages.Names() {
		v, key := a.Pages[name], KeyOf("error_pages", name)
		if _, err := errorpage.ParseStatuses(name); err != nil {
			add(key, value.Show(name)+" "+err.Error())
			continue
		}
		switch {
		case v.Null:
		case v.Word != "" || len(v.List) != 1:
			add(key, "is not one path; want one such as /404.html, or null")
		case !strings.HasPrefix(v.List[0], "/") || value.HasControl(v.List[0]) || filepath.Clean(v.List[0]) != v.List[0]:
			add(key, value.Show(v.List[0])+" is no path; want a file below root such as /404.html, or anywhere such as /srv/pages/down.html")
		case slices.Contains([]string{".php", ".phtml", ".phar", ".cgi", ".pl", ".jsp"}, strings.ToLower(filepath.Ext(v.List[0]))):
			add(key, value.Show(v.List[0])+" is a script's; want a file that is sent as it is, such as /404.html")
		}
	}
}

// ErrorPages returns what error_pages says. The files are looked up below root first, if that is not empty.
func (a *Answers) ErrorPages(root string) (list []errorpage.Options) {
	for _, name := range a.Pages.Names() {
		v := a.Pages[name]
		if v.Null || len(v.List) != 1 {
			continue
		}
		o := errorpage.Options{Statuses: name}
		if root != "" {
			o.Files = append(o.Files, filepath.Join(root, v.List[0]))
		}
		o.Files = append(o.Files, v.List[0])
		list = append(list, o)
	}
	return list
}

// KeyOf returns the key of a name below a key, or the key if the name is no word.
func KeyOf(key, name string) string {
	if name == "" || strings.Trim(name, value.LettersDigits+"-_") != "" {
		return key
	}
	return key + "." + name
}

// IsAddress reports whether a text reads as an address or a block of addresses.
func IsAddress(s string) bool { return access.IsAddress(s) }

// own returns the first of two keys that the level has itself.
func own(has func(key string) bool, a, b string) string {
	if has(a) {
		return a
	}
	return b
}

// MaxAge returns how long a file may be used: 0 if that is not said, below 0 if a client is to ask each time.
func (a *Answers) MaxAge() (time.Duration, error) {
	switch a.Expires {
	case "", Off:
		return 0, nil
	case "epoch":
		return -1, nil
	case "max":
		return 10 * 365 * 24 * time.Hour, nil
	}
	var d value.Duration
	s := a.Expires
	if n, ok := strings.CutSuffix(s, "d"); ok && strings.Trim(n, "0123456789") == "" && n != "" {
		days, err := strconv.Atoi(n)
		if err != nil || days > 3650 {
			return 0, errors.New(value.Show(s) + " is out of range; want at most 3650d")
		}
		return time.Duration(days) * 24 * time.Hour, nil
	}
	if err := d.UnmarshalText([]byte(s)); err != nil {
		return 0, errors.New(value.Show(s) + " is not a duration; want one such as 30d or 1h, max, epoch or off")
	}
	if t := time.Duration(d); t < time.Second || t > 3650*24*time.Hour {
		return 0, errors.New(value.Show(s) + " is out of range; want 1s to 3650d")
	}
	return time.Duration(d), nil
}

// change returns what headers says of a name.
func (x Named) change(name string) fieldset.Change {
	v := x[name]
	c := fieldset.Change{Name: name, Values: v.List}
	switch {
	case v.Null:
		c.How = fieldset.Remove
	case v.Word == "add":
		c.How = fieldset.Add
	case v.Word == "default":
		c.How = fieldset.Default
	}
	return c
}

// Changes returns what headers says.
func (a *Answers) Changes() (list []fieldset.Change) {
	for _, name := range a.SetFields.Names() {
		list = append(list, a.SetFields.change(name))
	}
	return list
}

// requestProblem says what is wrong with a value of request_headers.
func (v Value) requestProblem(name string) string {
	switch {
	case v.Word != "":
		return "has the word " + v.Word + ", which is for headers of responses; want text or null"
	case len(v.List) > 1:
		return "is a list; want text or null"
	}
	c := v.sent(name)
	if err := request.CheckChange(&c); err != nil {
		return value.Show(name) + " " + err.Error()
	}
	return ""
}

// sent returns what request_headers says of a name.
func (v Value) sent(name string) request.Change {
	return request.Change{Name: name, Value: strings.Join(v.List, ""), Remove: v.Null}
}

// RequestChanges returns what request_headers says.
func (a *Answers) RequestChanges() (list []request.Change) {
	for _, name := range a.Sent.Names() {
		list = append(list, a.Sent[name].sent(name))
	}
	return list
}

// IsWhole reports whether names at a key replace all of the level above: they may be secrets of another app.
func IsWhole(key string) bool {
	return key == "request_headers" || strings.HasSuffix(key, ".request_headers")
}

// param returns a parameter; a list is its lines.
func (v Value) param(name string) fcgi.Param {
	return fcgi.Param{Name: name, Value: strings.Join(v.List, "\n"), Remove: v.Null}
}

// FastCGI returns what fastcgi_params says.
func (a *Answers) FastCGI() (list []fcgi.Param) {
	for _, name := range a.Params.Names() {
		list = append(list, a.Params[name].param(name))
	}
	return list
}

// Users returns the file of basic_auth; empty: none.
func (a *Answers) Users() string {
	if a.Basic == Off {
		return ""
	}
	return a.Basic
}
