package value

import "path/filepath"

// UpstreamTLS says how upstreams with https are verified, and what they verify.
type UpstreamTLS struct {
	Verify bool   `yaml:"verify"`
	Name   string `yaml:"server_name" eg:"app.internal"`
	CAFile string `yaml:"ca_file" eg:"/etc/ssl/app-ca.pem"`
	Cert   string `yaml:"cert" eg:"/etc/ssl/holdfast.pem"`
	Key    string `yaml:"key" eg:"/etc/ssl/private/holdfast.key"`
}

// DefaultUpstreamTLS has the defaults of all keys.
func DefaultUpstreamTLS() UpstreamTLS { return UpstreamTLS{Verify: true} }

// Only returns the values whose keys has reports, and the defaults of all others.
func (t UpstreamTLS) Only(has func(key string) bool) UpstreamTLS {
	only := DefaultUpstreamTLS()
	if has("verify") {
		only.Verify = t.Verify
	}
	for key, p := range map[string]struct{ to, from *string }{
		"server_name": {&only.Name, &t.Name}, "ca_file": {&only.CAFile, &t.CAFile}, "cert": {&only.Cert, &t.Cert}, "key": {&only.Key, &t.Key},
	} {
		if has(key) {
			*p.to = *p.from
		}
	}
	return only
}

// Check calls bad with each key, below that of t, whose value is not fit, and why.
func (t *UpstreamTLS) Check(bad func(key, problem string)) {
	for _, f := range [...]struct{ key, path, example string }{
		{"ca_file", t.CAFile, "/etc/ssl/app-ca.pem"}, {"cert", t.Cert, "/etc/ssl/holdfast.pem"}, {"key", t.Key, "/etc/ssl/private/holdfast.key"},
	} {
		if f.path != "" && !filepath.IsAbs(f.path) {
			bad(f.key, Show(f.path)+" is not an absolute path; want one such as "+f.example)
		}
	}
	if t.Name != "" {
		if err := CheckHost(t.Name); err != nil {
			bad("server_name", err.Error()+"; want one such as app.internal")
		}
	}
	switch {
	case t.Cert != "" && t.Key == "":
		bad("key", "missing; want that of cert")
	case t.Key != "" && t.Cert == "":
		bad("cert", "missing; want that of key")
	}
	if !t.Verify && t.CAFile != "" {
		bad("ca_file", "has no effect with verify: false")
	}
}
