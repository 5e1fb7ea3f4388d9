package value

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// TLS says which certificates the listeners with tls have.
type TLS struct {
	Certificates []Certificate `yaml:"certificates" eg:"[{cert: /etc/ssl/app.pem, key: /etc/ssl/private/app.key}]"`
	Folder       string        `yaml:"folder" eg:"/etc/letsencrypt/live"`
	ACME         ACME          `yaml:"acme"`
	MinVersion   string        `yaml:"min_version" eg:"\"1.2\""`
	HSTS         string        `yaml:"hsts" eg:"max-age=31536000"` // empty: none
}

// Certificate is a pair of PEM files.
type Certificate struct {
	Cert string `yaml:"cert" eg:"/etc/ssl/app.pem"`
	Key  string `yaml:"key" eg:"/etc/ssl/private/app.key"`
}

// ACME says for which names certificates are requested, and where.
type ACME struct {
	Names       []string `yaml:"names" eg:"[www.example.com]"`
	Folder      string   `yaml:"folder" eg:"/var/lib/holdfast/acme"`
	AcceptTerms bool     `yaml:"accept_terms"`
	Email       string   `yaml:"email" eg:"admin@example.com"`
	Directory   string   `yaml:"directory" eg:"https://acme-staging-v02.api.letsencrypt.org/directory"`
	CAFile      string   `yaml:"ca_file" eg:"/etc/ssl/ca.pem"`
}

// LetsEncrypt is the directory of the CA that requests go to by default.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// DefaultTLS has the defaults of all keys.
func DefaultTLS() TLS { return TLS{MinVersion: "1.2", ACME: ACME{Directory: LetsEncrypt}} }

// TLSVersions are what MinVersion can be.
var TLSVersions = []string{"1.2", "1.3"}

// maxNames is how many names one configuration has certificates requested for: CAs limit them by week.
const maxNames = 100

// Given reports whether any certificate is named.
func (t *TLS) Given() bool {
	return len(t.Certificates) > 0 || t.Folder != "" || len(t.ACME.Names) > 0
}

// Check calls bad with each key, below that of t, whose value is not fit, and why.
func (t *TLS) Check(bad func(key, problem string)) {
	file := func(key, path, example string) {
		switch {
		case path == "":
			bad(key, "missing; want a path such as "+example)
		case !filepath.IsAbs(path):
			bad(key, Show(path)+" is not an absolute path; want one such as "+example)
		}
	}
	for i, c := range t.Certificates {
		key := fmt.Sprintf("certificates[%d]", i)
		file(key+".cert", c.Cert, "/etc/ssl/app.pem")
		file(key+".key", c.Key, "/etc/ssl/private/app.key")
		if slices.Contains(t.Certificates[:i], c) {
			bad(key, Show(c.Cert)+" is listed twice")
		}
	}
	if t.Folder != "" {
		file("folder", t.Folder, "/etc/letsencrypt/live")
	}
	if !slices.Contains(TLSVersions, t.MinVersion) {
		bad("min_version", "unknown "+Show(t.MinVersion)+"; want "+strings.Join(TLSVersions, " or "))
	}
	if t.HSTS != "" && !validHSTS(t.HSTS) {
		bad("hsts", Show(t.HSTS)+" is not a value of Strict-Transport-Security; want one such as max-age=31536000, which is in seconds")
	}
	t.ACME.check(bad, file)
}

func (a *ACME) check(bad func(key, problem string), file func(key, path, example string)) {
	if len(a.Names) == 0 {
		if a.Folder != "" || a.Email != "" || a.AcceptTerms || a.CAFile != "" || a.Directory != LetsEncrypt {
			bad("acme.names", "is empty, so no certificate is requested; want the host names of this server")
		}
		return
	}
	if len(a.Names) > maxNames {
		bad("acme.names", fmt.Sprintf("%d names; want at most %d", len(a.Names), maxNames))
	}
	for i, name := range a.Names {
		lower := strings.ToLower(name)
		switch key := fmt.Sprintf("acme.names[%d]", i); {
		case strings.HasPrefix(name, "*."):
			bad(key, Show(name)+" needs a challenge by DNS, which is not supported; request that certificate with another program, for tls.folder")
		case CheckHost(name) != nil || !strings.Contains(name, ".") || isAddress(name):
			bad(key, Show(name)+" is not a public host name; want one such as www.example.com")
		case slices.Contains(a.Names[:i], lower):
			bad(key, Show(name)+" is listed twice")
		}
		a.Names[i] = lower
	}
	file("acme.folder", a.Folder, "/var/lib/holdfast/acme")
	if !a.AcceptTerms {
		bad("acme.accept_terms", "must be true: the CA requires that you accept its terms of service")
	}
	if i := strings.IndexByte(a.Email, '@'); a.Email != "" && (i < 1 || i == len(a.Email)-1 || strings.ContainsAny(a.Email, " ,:<>\r\n")) {
		bad("acme.email", Show(a.Email)+" is not an address; want one such as admin@example.com")
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		bad("acme.directory", Show(a.Directory)+" is not an https URL; want one such as "+LetsEncrypt)
	}
	if a.CAFile != "" {
		file("acme.ca_file", a.CAFile, "/etc/ssl/ca.pem")
	}
}

func isAddress(host string) bool {
	_, err := ParsePrefix(host)
	return err == nil
}

// validHSTS reports whether s is a max-age and, after it, known directives (RFC 6797 §6.1, and preload).
func validHSTS(s string) bool {
	age := false
	for i, part := range strings.Split(s, ";") {
		switch part = strings.TrimSpace(part); {
		case i == 0:
			seconds, ok := strings.CutPrefix(part, "max-age=")
			age = ok && seconds != "" && len(seconds) < 11 && strings.Trim(seconds, "0123456789") == ""
		case part != "includeSubDomains" && part != "preload":
			return false
		}
	}
	return age
}
