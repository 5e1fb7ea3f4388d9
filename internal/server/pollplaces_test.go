package server

import (
	"fmt"
	"time"
)

// The sites, routes and rules of TestPollModel. Both sites have the same paths, and a session has the same cookie in both: a
// key or a scope that forgets the site gives one the response of the other's app.

const modelConfig = `
push: {headers: true, logout: {cookies: [sid], paths: [/out]}}
channels: [{match: "**", access: public}]
polls:
- {match: /status, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0, max_size: 4KB}
- {match: /short, key: [query, session], fresh: 100ms, max_size: 4KB}
- {match: /public, key: [query.id], shared: true, channel: "parcel.{query.id}", fresh: 1h, pass: 0, drop_cookies: true, max_size: 4KB}
- {match: /beat, methods: [POST], key: [query, body, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0, max_size: 4KB}
- {match: /held, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0, hold: 5m, max_size: 4KB}
- {match: /team, key: [query.id], shared: true, channel: "parcel.{query.id}", fresh: 1h, pass: 0, hold: 5m, drop_cookies: true, max_size: 4KB}
- {match: /passed, key: [query.id], shared: true, channel: "parcel.{query.id}", fresh: 1h, pass: 1s, drop_cookies: true, max_size: 4KB}
- {match: /often, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, pass: 1s, max_size: 4KB}
- {match: /area, key: [query.id], shared: true, channel: "parcel.{query.id}", fresh: 1h, pass: 0, drop_cookies: true, max_size: 4KB}
cache:
- {match: /page, key: [query], shared: true, stale_updating: 1s, stale_error: 1s, revalidate: 1h, max_size: 4KB}
cache_limits: {size: 1MB, session_size: 64KB, wait: 100ms}
sites:
- hosts: [a.test]
  default: true
  push: true
  routes:
  - {match: /bare, polls: [], cache: []}
  - {match: /area/deep, limits: {body: 1MB}}
  - match: /area
    upstream: "http+unix:%[1]s"
    polls: [{match: /area, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0, max_size: 4KB}]
- hosts: [b.test]
  upstream: "http+unix:%[1]s"
  polls:
  - {match: /status, key: [query.id], shared: true, channel: "parcel.{query.id}", fresh: 1h, pass: 0, drop_cookies: true, max_size: 4KB}
  - {match: /short, key: [query, session], fresh: 100ms, max_size: 4KB}
  - {match: /held, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0, max_size: 4KB}
  - {match: /team, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0, hold: 5m, max_size: 4KB}
  routes:
  - {match: /page, upstream: "http+unix:%[2]s", push_headers: true}
`

// modelPlace is a URL that is polled, and what its rule promises.
type modelPlace struct {
	host, path, app string
	rule            bool          // there is one
	private         bool          // the response is the session's alone
	byID            bool          // of the query, id alone counts
	channel         bool          // a change that its channel was told of ends the response
	held            bool          // polls may be held
	pass            bool          // one request of each session reaches the app in modelPass
	oldest          time.Duration // how old a response may be
}

const modelPass = time.Second

var modelPlaces = []*modelPlace{
	{host: "a.test", path: "/status", app: "a", rule: true, private: true, channel: true},
	{host: "a.test", path: "/short", app: "a", rule: true, private: true, oldest: modelFresh},
	{host: "a.test", path: "/public", app: "a", rule: true, byID: true, channel: true},
	{host: "a.test", path: "/page", app: "a", rule: true, channel: true, oldest: 2 * time.Second}, // max-age and stale_updating
	{host: "a.test", path: "/beat", app: "a", rule: true, private: true, channel: true},
	{host: "a.test", path: "/held", app: "a", rule: true, private: true, channel: true, held: true},
	{host: "a.test", path: "/team", app: "a", rule: true, byID: true, channel: true, held: true},
	{host: "a.test", path: "/passed", app: "a", rule: true, byID: true, channel: true, pass: true},
	{host: "a.test", path: "/often", app: "a", rule: true, private: true, channel: true, oldest: modelPass},
	{host: "a.test", path: "/area/status", app: "b", rule: true, private: true, channel: true},
	{host: "a.test", path: "/area/deep", app: "a", rule: true, byID: true, channel: true},
	{host: "a.test", path: "/bare/status", app: "a"},
	{host: "b.test", path: "/status", app: "b", rule: true, byID: true, channel: true},
	{host: "b.test", path: "/short", app: "b", rule: true, private: true, oldest: modelFresh},
	{host: "b.test", path: "/held", app: "b", rule: true, private: true, channel: true},
	{host: "b.test", path: "/team", app: "b", rule: true, private: true, channel: true, held: true},
	{host: "b.test", path: "/page", app: "a", rule: true, channel: true, oldest: 2 * time.Second},
	{host: "b.test", path: "/public", app: "b"},
	{host: "b.test", path: "/beat", app: "b"},
}

// modelChanged are the paths of which the API can be told that they have changed.
var modelChanged = [...]string{"/status", "/short", "/public", "/page", "/held", "/team", "/passed", "/often", "/area/status"}

// ofID returns what the floor of a parcel's polls at a place is called.
func (p *modelPlace) ofID(id int) string { return fmt.Sprintf("%s%s#%d", p.host, p.path, id) }

// ofTarget returns what that of one URL is called.
func (p *modelPlace) ofTarget(target string) string { return p.host + target }

// longest returns how old a response may be.
func (p *modelPlace) longest() time.Duration {
	if p.oldest == 0 {
		return time.Hour
	}
	return p.oldest
}
