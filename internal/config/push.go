package config

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Push is what clients reach under Path and each of ExtraPaths.
type Push struct {
	Path              string   `yaml:"path" eg:"/_push"`
	ExtraPaths        []string `yaml:"extra_paths" eg:"[/legacy/_push]"`
	Authorize         string   `yaml:"authorize_path" eg:"/push/authorize"` // may carry a query; empty: no rule may ask for it
	AuthorizeTimeout  Duration `yaml:"authorize_timeout"`
	AuthorizeInFlight int      `yaml:"authorize_in_flight"`
	AuthorizeCache    Duration `yaml:"authorize_cache"` // 0: off
	AuthorizeGrace    Duration `yaml:"authorize_grace"` // 0: none
	JWT               JWT      `yaml:"jwt"`
	Headers           bool     `yaml:"headers"`
	Logout            Logout   `yaml:"logout"`
	Origins           []string `yaml:"origins" eg:"[https://www.example.com]"` // as browsers send them: lower case, no default port
	Heartbeat         Duration `yaml:"heartbeat"`                              // 0: none are sent
	Wait              Duration `yaml:"poll_wait"`
	MaxWait           Duration `yaml:"poll_max_wait"`
	MaxChannels       int      `yaml:"max_channels"`
	MaxMessage        Size     `yaml:"max_message"`
	Compress          Size     `yaml:"compress_min_size"`               // 0: off
	Message           string   `yaml:"message_path" eg:"/push/message"` // may carry a query; empty: nothing is posted
	MessageTimeout    Duration `yaml:"message_timeout"`
	MaxReply          Size     `yaml:"max_reply"` // of the app to a message
	MessageInFlight   int      `yaml:"message_in_flight"`
	MessageRate       int      `yaml:"message_rate"` // of one client, a second
	Live              bool     `yaml:"live_subscribe"`
	SendQueue         Size     `yaml:"send_queue"`
	SendQueueTotal    Size     `yaml:"send_queue_total"`
	ReceiveTotal      Size     `yaml:"receive_total"`
	ReceiveTimeout    Duration `yaml:"receive_timeout"`
	WatchInFlight     int      `yaml:"watch_in_flight"`
	WatchTimeout      Duration `yaml:"watch_timeout"`
	WatchMaxReply     Size     `yaml:"watch_max_reply"`
	WatchChannels     int      `yaml:"watch_channels"`
	MaxConnections    int      `yaml:"max_connections"`          // 0: bounded by the file limit only
	MaxPerUser        int      `yaml:"max_connections_per_user"` // 0: any number
	HistoryTotal      Size     `yaml:"history_total"`
	HistoryFile       string   `yaml:"history_file" eg:"/var/lib/holdfast/history"` // empty: in memory only
}

// AllPaths returns Path and ExtraPaths.
func (p *Push) AllPaths() []string { return append([]string{p.Path}, p.ExtraPaths...) }

// JWT is which tokens are taken that an app has signed; with no key, none.
type JWT struct {
	Key      string   `yaml:"key" eg:"the output of \"openssl rand -hex 32\""`
	KeyFile  string   `yaml:"key_file" eg:"/etc/holdfast/jwt.pem"`
	Keys     []string `yaml:"keys" eg:"[/etc/holdfast/jwt/2026-11.pem]"` // files; see KeyID
	Issuer   string   `yaml:"issuer" eg:"https://www.example.com"`       // empty: any
	Audience string   `yaml:"audience" eg:"https://www.example.com"`     // empty: any
	Leeway   Duration `yaml:"leeway"`
	Cookie   string   `yaml:"cookie" eg:"push_token"` // empty: none
}

// Given reports whether there is a key.
func (j *JWT) Given() bool { return j.Key != "" || j.KeyFile != "" || len(j.Keys) > 0 }

// Endings of the files of push.jwt.keys: what is in a file is never guessed, as a public key that is taken for a secret
// would let everybody sign.
const (
	KeyPublic = ".pem"    // a public key
	KeySecret = ".secret" // a secret for HS256
)

// KeyID returns what tokens name a key of push.jwt.keys by: its file's name without the ending.
func KeyID(file string) string {
	name := filepath.Base(file)
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// Logout configures how Holdfast detects a logout.
type Logout struct {
	Cookies []string `yaml:"cookies" eg:"[PHPSESSID]"`
	Paths   []string `yaml:"paths" eg:"[/logout.php]"`
}

// push checks the section; pushRanges checks the numbers in it.
func (d *decoder) push(p *Push) {
	if problem := pathProblem(p.Path); problem != "" {
		d.add("push.path", show(p.Path)+" "+problem+"; want a path such as /_push")
	}
	for i, path := range p.ExtraPaths {
		key := fmt.Sprintf("push.extra_paths[%d]", i)
		switch problem := pathProblem(path); {
		case d.failed[key]:
		case problem != "":
			d.add(key, show(path)+" "+problem+"; want a path such as /legacy/_push")
		default:
			for _, other := range append([]string{p.Path}, p.ExtraPaths[:i]...) {
				if strings.HasPrefix(path+"/", other+"/") || strings.HasPrefix(other+"/", path+"/") {
					d.add(key, show(path)+" and "+show(other)+" are the same or below one another; want separate paths")
				}
			}
		}
	}
	if problem := authorizeProblem(p.Authorize); problem != "" {
		d.add("push.authorize_path", show(p.Authorize)+" "+problem+"; want a path on the app such as /push/authorize")
	}
	if problem := authorizeProblem(p.Message); problem != "" {
		d.add("push.message_path", show(p.Message)+" "+problem+"; want a path on the app such as /push/message")
	}
	d.jwt(&p.JWT)
	for i, cookie := range p.Logout.Cookies {
		if strings.Trim(strings.TrimSuffix(cookie, "*"), lettersDigits+"-_.") != "" || strings.TrimSuffix(cookie, "*") == "" {
			d.add(fmt.Sprintf("push.logout.cookies[%d]", i), show(cookie)+" is not the name of a cookie; want one such as PHPSESSID or wordpress_logged_in_*")
		}
	}
	for i, path := range p.Logout.Paths {
		if problem := authorizeProblem(path); problem != "" || path == "" || strings.Contains(path, "?") {
			d.add(fmt.Sprintf("push.logout.paths[%d]", i), show(path)+" is not a path; want one such as /logout.php, without a query")
		}
	}
	if len(p.Logout.Paths) > 0 && len(p.Logout.Cookies) == 0 {
		d.add("push.logout.paths", "has no effect without push.logout.cookies, which identify the session")
	}
	for i, origin := range p.Origins {
		key := fmt.Sprintf("push.origins[%d]", i)
		if d.failed[key] {
			continue
		}
		normal, err := parseOrigin(origin)
		if err != nil {
			d.add(key, err.Error())
		}
		p.Origins[i] = normal
	}
	if p.HistoryFile != "" && !filepath.IsAbs(p.HistoryFile) {
		d.add("push.history_file", show(p.HistoryFile)+" is not an absolute path; want one such as /var/lib/holdfast/history")
	}
	if p.Wait > p.MaxWait {
		d.add(d.firstGiven("push.poll_wait", "push.poll_max_wait"), fmt.Sprintf("push.poll_wait %s is more than push.poll_max_wait %s", p.Wait, p.MaxWait))
	}
	if p.SendQueue > p.SendQueueTotal {
		d.add(d.firstGiven("push.send_queue", "push.send_queue_total"), fmt.Sprintf("push.send_queue %s is more than push.send_queue_total %s", p.SendQueue, p.SendQueueTotal))
	}
	if p.MaxMessage > p.ReceiveTotal {
		d.add(d.firstGiven("push.max_message", "push.receive_total"), fmt.Sprintf("push.max_message %s is more than push.receive_total %s", p.MaxMessage, p.ReceiveTotal))
	}
}

// minSecret is the shortest push.jwt.key: HMAC-SHA256 is no stronger than its key (RFC 7518 §3.2).
const minSecret = 32

// jwt checks what can be said without the file.
func (d *decoder) jwt(j *JWT) {
	switch {
	case j.Key != "" && j.KeyFile != "":
		d.add("push.jwt.key_file", "is set besides push.jwt.key; want one, as the key decides the algorithm")
	case j.Key != "" && len(j.Key) < minSecret: // not shown
		d.add("push.jwt.key", fmt.Sprintf("%d bytes; want at least %d, such as the output of \"openssl rand -hex 32\"", len(j.Key), minSecret))
	case j.KeyFile != "" && !filepath.IsAbs(j.KeyFile):
		d.add("push.jwt.key_file", show(j.KeyFile)+" is not an absolute path; want one such as /etc/holdfast/jwt.pem")
	}
	d.jwtKeys(j.Keys)
	if j.Cookie != "" && strings.Trim(j.Cookie, lettersDigits+"-_.") != "" {
		d.add("push.jwt.cookie", show(j.Cookie)+" is not the name of a cookie; want one such as push_token")
	}
	for _, key := range []struct{ name, value string }{
		{"push.jwt.issuer", j.Issuer}, {"push.jwt.audience", j.Audience}, {"push.jwt.cookie", j.Cookie},
	} {
		if key.value != "" && !j.Given() && !d.failed["push.jwt.key"] && !d.failed["push.jwt.key_file"] && !d.failed["push.jwt.keys"] {
			d.add(key.name, "has no effect without push.jwt.key, push.jwt.key_file or push.jwt.keys")
		}
	}
}

// maxKeys of push.jwt.keys are enough for any rotation.
const maxKeys = 16

// jwtKeys checks what can be said of the files without reading them.
func (d *decoder) jwtKeys(files []string) {
	const key = "push.jwt.keys"
	if len(files) > maxKeys {
		d.add(key, fmt.Sprintf("%d files; want at most %d", len(files), maxKeys))
	}
	seen := map[string]bool{}
	for _, file := range files {
		id := KeyID(file)
		switch ending := filepath.Ext(file); {
		case !filepath.IsAbs(file):
			d.add(key, show(file)+" is not an absolute path; want one such as /etc/holdfast/jwt/2026-11.pem")
		case ending != KeyPublic && ending != KeySecret:
			d.add(key, show(file)+" ends in neither .pem, for a public key, nor .secret, for a secret of HS256")
		case id == "" || strings.Trim(id, lettersDigits+"-_.") != "":
			d.add(key, show(file)+" has a name that can't be a kid; want letters, digits and any of -_. before the ending")
		case seen[id]:
			d.add(key, show(id)+" is the kid of two keys; want a name of its own for each file")
		}
		seen[id] = true
	}
}
