// Package rules has the rules for what is cached and which polls are absorbed. They are compiled once, and say which requests
// are the same question: by the key of each, which the package cache looks up.
package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/http1"
)

// Options is a rule as it is configured.
type Options struct {
	Name    string   // for metrics, purges and messages; of each rule another
	Match   string   // a path and all below it, as in routes
	Methods []string // none: GET. GET is HEAD too
	Parts   []string // of the key: what the answer depends on; none: query, and session if there are session cookies. See parseParts
	Shared  bool     // the answer is everybody's, also where a session or a login comes with the request
	Channel string   // template of the channel on which a publish ends the answer, as parcel.{query.id}

	// Form is the fields that the body of a request has, which is a form, as NAME=VALUE. The rule passes all others: an app may
	// have one URL for whatever its pages post. None: any body.
	Form []string

	MaxBytes    int           // of the body of a response that is kept
	MaxBody     int           // of a request's body in the key
	Pass        time.Duration // one request of each session goes to the app that often all the same; 0: none has to
	Hold        time.Duration // how long a request whose client has the answer already is kept open for another one; 0: not at all
	Policy      cache.Policy  // without OwnSession and Shared, which follow
	HonorClient bool          // a client's Cache-Control counts, see cache.WishOf. As with nginx and Varnish, by default it does not
}

// ErrRule is what all errors of New are.
var ErrRule = errors.New("bad rule")

// Error says what is wrong with one of a rule's options, which Option names as the configuration does.
type Error struct{ Option, Problem string }

func (e *Error) Error() string { return e.Option + ": " + e.Problem }

func at(option string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Option: option, Problem: err.Error()}
}

// Set is all rules.
type Set struct {
	hasher   *cache.Hasher
	sessions []string // names of cookies
	rules    []*Rule
	holds    bool // one of them has Hold
}

// Scope is the rules for some requests, in order: the first that a request's path and method match counts. A nil Scope has none.
type Scope struct {
	table http1.PathTable
	rules []*Rule
}

// Rule is a rule in use. It is never changed.
type Rule struct {
	Options
	rules *Set

	parts    []part
	fields   []formField
	query    queryMode
	session  bool // the key has the session
	body     bool // and the body
	skips    bool // but for some fields
	template []piece
}

// maxSessions of one request are told apart.
const maxSessions = 16

// New compiles rules. sessions are the names of the cookies that the app knows sessions by; a trailing asterisk stands
// for any ending. Keys and tags are made by the hasher, which the store has to have too.
func New(list []Options, sessions []string, h *cache.Hasher) (*Set, error) {
	rs := &Set{hasher: h, sessions: sessions}
	for i := range list {
		r := &Rule{Options: list[i], rules: rs}
		if err := r.compile(); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRule, list[i].Match, err)
		}
		if slices.ContainsFunc(rs.rules, func(o *Rule) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("%w: %s: another rule has the name %q", ErrRule, r.Match, r.Name)
		}
		rs.rules = append(rs.rules, r)
		rs.holds = rs.holds || r.Hold > 0
	}
	return rs, nil
}

func (r *Rule) compile() error {
	if !strings.HasPrefix(r.Match, "/") {
		return at("match", errors.New("is not a path; want one such as /status.php"))
	}
	if len(r.Methods) == 0 {
		r.Methods = []string{"GET"}
	}
	if len(r.Parts) == 0 {
		r.Parts = []string{"query"}
		if len(r.rules.sessions) > 0 && !r.Shared {
			r.Parts = append(r.Parts, "session")
		}
	}
	if err := r.parseParts(); err != nil {
		return at("key", err)
	}
	for _, m := range r.Methods {
		switch {
		case m != "GET" && m != "POST" && m != "QUERY":
			return at("methods", fmt.Errorf("%q can't be absorbed; want GET, POST or QUERY", m))
		case m != "GET" && !r.body:
			return at("methods", fmt.Errorf("%s needs body among the parts of key", m))
		case m == "GET" && len(r.Form) > 0:
			return at("form", errors.New("is of the body, which a GET does not have; want methods without GET"))
		}
	}
	if err := r.parseForm(); err != nil {
		return at("form", err)
	}
	if r.session && len(r.rules.sessions) == 0 {
		return at("key", errors.New("has session, and no session cookies are named; set push.logout.cookies"))
	}
	if r.session && r.Shared {
		return at("shared", errors.New("has no effect, as key has session; want one of the two"))
	}
	if r.session && r.Pass > 0 && (r.Policy.Most == 0 || r.Policy.Most > r.Pass) {
		r.Policy.Most = r.Pass // any fetch of the key is one of the session
	}
	r.Policy.OwnSession, r.Policy.Shared = r.session, r.Shared
	return at("channel", r.parseTemplate())
}

// Scope returns those rules of the set that have one of names, in the order of the names; nil if there are none.
func (rs *Set) Scope(names ...string) *Scope {
	s := new(Scope)
	for _, name := range names {
		for _, r := range rs.rules {
			if r.Name == name {
				s.table = append(s.table, http1.PathEntry{Path: strings.TrimRight(r.Match, "/")})
				s.rules = append(s.rules, r)
			}
		}
	}
	if len(s.rules) == 0 {
		return nil
	}
	return s
}

// Whole returns the scope of all rules.
func (rs *Set) Whole() *Scope {
	var names []string
	for _, r := range rs.rules {
		names = append(names, r.Name)
	}
	return rs.Scope(names...)
}

// Match returns the rule of a request; nil: none. A path that could be read as one below another rule's has none.
func (s *Scope) Match(q *cache.Request) *Rule {
	if s == nil {
		return nil
	}
	for from := 0; from < len(s.rules); {
		i, refusal := s.table[from:].Find(q.Path)
		if from += i; refusal != nil || from == len(s.rules) {
			return nil
		}
		if r := s.rules[from]; r.takes(q.Method) {
			return r
		}
		from++
	}
	return nil
}

func (r *Rule) takes(method []byte) bool {
	for _, m := range r.Methods {
		if string(method) == m || m == "GET" && string(method) == "HEAD" {
			return true
		}
	}
	return false
}

// Holds reports whether a rule holds requests.
func (rs *Set) Holds() bool { return rs.holds }

// All returns the rules in order.
func (rs *Set) All() []*Rule { return rs.rules }

// Key returns the key of a request that the rule matches, or why it is passed. It does not allocate but for long requests. A
// HEAD has the key of the GET: it may be answered from an entry, but what the app answers to it is not one.
func (r *Rule) Key(q *cache.Request) (cache.Key, cache.Reason) {
	if why := r.refuses(q); why != cache.None {
		return cache.Key{}, why
	}
	var room [cache.KeyRoom]byte
	b := r.rules.hasher.Start(room[:0])
	b = cache.AppendPart(b, 'r', nil)
	b = append(b, r.Name...)
	b = append(b, 0)
	if q.IsHead() {
		b = append(b, "GET"...)
	} else {
		b = append(b, q.Method...)
	}
	b = append(b, ' ', boolByte(q.HTTPS), byte(q.Port>>8), byte(q.Port))
	b = appendLower(b, q.Host)
	b = cache.AppendPart(b, 'p', q.Path)
	for i := range q.Fields {
		f := &q.Fields[i]
		switch {
		case f.Drop:
		case keyed.Has(f.Name) || q.Trusted && isForwarded(f.Name) || !r.Shared && isCredential(f.Name):
			b = appendLower(append(b, 'f'), f.Name)
			b = cache.AppendPart(b, 'v', f.Value)
		case len(f.Name) == 6 && http1.EqualFold(f.Name, "accept"):
			b = append(b, 'A', wanted(f.Value))
		case len(f.Name) == 14 && http1.EqualFold(f.Name, "sec-fetch-dest") && !http1.IsPageDest(f.Value): // no tag of inject is in it
			b = append(b, 'D')
		}
	}
	return cache.Sum(r.appendParts(b, q)), cache.None
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// appendLower adds text in lower case, and its end.
func appendLower(b, text []byte) []byte {
	for _, c := range text {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		b = append(b, c)
	}
	return append(b, 0)
}

// refuses returns why a request is passed, but for what the parts of the key find.
func (r *Rule) refuses(q *cache.Request) cache.Reason {
	switch {
	case !r.takes(q.Method):
		return cache.OtherMethod
	case q.Upgrade:
		return cache.Upgrade
	case len(r.fields) > 0 && !isForm(q):
		return cache.OtherForm
	case q.HasBody && (!r.body || !q.Whole || len(q.Body) > r.MaxBody):
		return cache.HasBody
	case !r.hasForm(q.Body):
		return cache.OtherForm
	}
	for i := range q.Fields {
		if f := &q.Fields[i]; !f.Drop {
			if why := refusedFor(f.Name); why != cache.None {
				return why
			}
		}
	}
	if !r.session && !r.Shared && r.rules.hasSession(q) {
		return cache.HasSession
	}
	if r.session && r.rules.hasMany(q) {
		return cache.ManySessions
	}
	if r.ambiguous(q) {
		return cache.Ambiguous
	}
	return cache.None
}

// refusedFor returns why a request with a field of this name is passed: it wants a part, or has a condition that needs the
// app, or frameworks take its method for another.
func refusedFor(name []byte) cache.Reason {
	switch len(name) {
	case 5:
		if http1.EqualFold(name, "range") {
			return cache.Conditional
		}
	case 8:
		if http1.EqualFold(name, "if-range") || http1.EqualFold(name, "if-match") {
			return cache.Conditional
		}
	case 13:
		if http1.EqualFold(name, "x-http-method") {
			return cache.Disguised
		}
	case 17:
		if http1.EqualFold(name, "x-method-override") {
			return cache.Disguised
		}
	case 19:
		if http1.EqualFold(name, "if-unmodified-since") {
			return cache.Conditional
		}
	case 22:
		if http1.EqualFold(name, "x-http-method-override") {
			return cache.Disguised
		}
	}
	return cache.None
}

// Place returns what the answer to a request of this rule is about.
func (r *Rule) Place(q *cache.Request) *cache.Place {
	var sessions []cache.Tag
	if r.session {
		sessions = r.rules.Sessions(q)
	}
	return r.rules.hasher.NewPlace(r.Name, r.channel(q), q, r.asked(q), sessions)
}

// HasBody reports whether the key has the request's body.
func (r *Rule) HasBody() bool { return r.body }
