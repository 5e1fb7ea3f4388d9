package config

import (
	"strings"
	"testing"
)

func TestTLSErrors(t *testing.T) {
	const listen = "listen: [{address: ':443', tls: true}]\n"
	const folder = "tls: {folder: /a, "
	const acme = "tls: {acme: {folder: /a, accept_terms: true, names: "
	check(t, []errorCase{
		{"no certificate", "listen:\n- ':80'\n- address: ':443'\n  tls: true", "4:8: listen[1].tls: needs a certificate: set tls.certificates, tls.folder or tls.acme"},
		{"no listener", "tls: {folder: /a}", "1:6: tls: has certificates, but no entry of listen has \"tls: true\": add one, such as {address: \":443\", tls: true}"},
		{"no listener for HSTS", "tls: {hsts: max-age=1}", "1:13: tls.hsts: has no effect without an entry of listen with \"tls: true\"; let the TLS terminator send the header"},
		{"redirect and TLS", "listen: [{address: ':443', tls: true, redirect_https: true}, ':80']\ntls: {folder: /a}", "1:55: listen[0].redirect_https: has no effect on an address with \"tls: true\"; want one of the two"},
		{"no key", listen + "tls: {certificates: [{cert: /a}]}", "2:22: tls.certificates[0].key: missing; want a path such as /etc/ssl/private/app.key"},
		{"relative file", listen + "tls: {certificates: [{cert: a, key: /b}]}", `2:29: tls.certificates[0].cert: "a" is not an absolute path; want one such as /etc/ssl/app.pem`},
		{"certificate twice", listen + "tls: {certificates: [{cert: /a, key: /b}, {cert: /a, key: /b}]}", `2:43: tls.certificates[1]: "/a" is listed twice`},
		{"relative folder", listen + "tls: {folder: live}", `2:15: tls.folder: "live" is not an absolute path; want one such as /etc/letsencrypt/live`},
		{"version", listen + folder + "min_version: 1.1}", `2:32: tls.min_version: unknown "1.1"; want 1.2 or 1.3`},
		{"HSTS without age", listen + folder + "hsts: includeSubDomains}", `2:25: tls.hsts: "includeSubDomains" is not a value of Strict-Transport-Security; want one such as max-age=31536000, which is in seconds`},
		{"HSTS that would end the field", listen + folder + "hsts: \"max-age=1\\r\\nA: b\"}", `2:25: tls.hsts: "max-age=1\r\nA: b" is not a value of Strict-Transport-Security; want one such as max-age=31536000, which is in seconds`},
		{"no names", listen + "tls: {folder: /a, acme: {email: a@b.c}}", "2:25: tls.acme.names: is empty, so no certificate is requested; want the host names of this server"},
		{"wildcard by ACME", listen + acme + "['*.a.test']}}", `2:54: tls.acme.names[0]: "*.a.test" needs a challenge by DNS, which is not supported; request that certificate with another program, for tls.folder`},
		{"address by ACME", listen + acme + "[10.0.0.1]}}", `2:54: tls.acme.names[0]: "10.0.0.1" is not a public host name; want one such as www.example.com`},
		{"short name", listen + acme + "[localhost]}}", `2:54: tls.acme.names[0]: "localhost" is not a public host name; want one such as www.example.com`},
		{"name twice", listen + acme + "[a.test, A.test]}}", `2:62: tls.acme.names[1]: "A.test" is listed twice`},
		{"terms", listen + "tls: {acme: {folder: /a, names: [a.test]}}", "2:13: tls.acme.accept_terms: must be true: the CA requires that you accept its terms of service"},
		{"no folder", listen + "tls: {acme: {accept_terms: true, names: [a.test]}}", "2:13: tls.acme.folder: missing; want a path such as /var/lib/holdfast/acme"},
		{"email", listen + acme + "[a.test], email: admin}}", `2:70: tls.acme.email: "admin" is not an address; want one such as admin@example.com`},
		{"directory", listen + acme + "[a.test], directory: http://ca.test}}", `2:74: tls.acme.directory: "http://ca.test" is not an https URL; want one such as https://acme-v02.api.letsencrypt.org/directory`},
	})
	for _, fit := range []string{
		listen + "tls: {folder: /a, min_version: '1.3', hsts: max-age=63072000; includeSubDomains; preload}",
		listen + acme + "[a.test, www.A.test]}}",
		"listen: [{address: ':443', tls: true}, {address: ':80', redirect_https: true}]\ntls: {certificates: [{cert: /a, key: /a}]}",
	} {
		c, err := Parse("c.yaml", []byte(fit))
		if err != nil {
			t.Errorf("%q: %v", fit, err)
		} else if names := strings.Join(c.TLS.ACME.Names, " "); names != strings.ToLower(names) {
			t.Errorf("names are %s", names)
		}
	}
}
