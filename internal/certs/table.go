package certs

import (
	"crypto/tls"
	"slices"
	"strings"
	"time"
)

// table finds certificates. It does not change.
type table struct {
	exact    map[string][]*tls.Certificate
	below    map[string][]*tls.Certificate // of wildcards, by the domain
	fallback []*tls.Certificate            // for other names, and clients that send none
}

// newTable returns a table of certificates. The first is the default.
func newTable(list []*tls.Certificate) *table {
	t := &table{exact: map[string][]*tls.Certificate{}, below: map[string][]*tls.Certificate{}}
	for _, cert := range list {
		for _, name := range namesOf(cert.Leaf) {
			if domain, wild := strings.CutPrefix(name, "*."); wild {
				t.below[domain] = insert(t.below[domain], cert)
			} else {
				t.exact[name] = insert(t.exact[name], cert)
			}
		}
	}
	if len(list) == 0 {
		return t
	}
	t.fallback = list[:1]
	if names := namesOf(list[0].Leaf); len(names) > 0 { // with its like of another kind of key
		if domain, wild := strings.CutPrefix(names[0], "*."); wild {
			t.fallback = t.below[domain]
		} else {
			t.fallback = t.exact[names[0]]
		}
	}
	return t
}

// insert adds a certificate of a name: before one with the same kind of key that ends sooner, such as the one that it
// replaces in another directory of certbot.
func insert(list []*tls.Certificate, cert *tls.Certificate) []*tls.Certificate {
	for i, other := range list {
		if other == cert {
			return list // it has the name twice
		}
		if other.Leaf.PublicKeyAlgorithm == cert.Leaf.PublicKeyAlgorithm && cert.Leaf.NotAfter.After(other.Leaf.NotAfter) {
			return slices.Insert(slices.Clone(list), i, cert)
		}
	}
	return append(list, cert)
}

// choice is certificates in the order in which they are offered.
type choice [2][]*tls.Certificate

// find returns the certificates for a server name as a client sends it: those of the name itself, and those of the wildcard
// above it; or the default.
func (t *table) find(name string) (list choice) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	list[0] = t.exact[name]
	if i := strings.IndexByte(name, '.'); i > 0 {
		list[1] = t.below[name[i+1:]]
	}
	if list.len() == 0 {
		list[0] = t.fallback
	}
	return list
}

func (x *choice) len() int { return len(x[0]) + len(x[1]) }

// best returns the first that the client can use and that is valid now. Without one, it prefers what the client can use;
// nil: there is none.
func (x *choice) best(hello *tls.ClientHelloInfo, now time.Time) (cert *tls.Certificate) {
	const usable, valid = 2, 1
	most := -1
	for _, list := range x {
		for _, c := range list {
			if x.len() == 1 {
				return c
			}
			score := 0
			if hello.SupportsCertificate(c) == nil {
				score += usable
			}
			if !now.Before(c.Leaf.NotBefore) && !now.After(c.Leaf.NotAfter) {
				score += valid
			}
			if score > most {
				cert, most = c, score
			}
			if score == usable+valid {
				return c
			}
		}
	}
	return cert
}
