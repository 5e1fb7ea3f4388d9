package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// UpstreamFiles are what connections to an upstream are secured with, as PEM files.
type UpstreamFiles struct {
	CA   string // with the certificates that may have signed the upstream's; empty: the system's
	Pair        // of Holdfast, for upstreams that ask for one; empty: none
}

// Upstreams keeps what was read of such files up to date.
type Upstreams struct {
	log *slog.Logger

	mu       sync.Mutex // guards what follows
	entries  []*upstreamEntry
	loads    int64
	failures int64
}

type upstreamEntry struct {
	UpstreamFiles
	seen  [3]fileState
	roots *x509.CertPool   // nil: the system's
	cert  *tls.Certificate // nil: none
	bad   complaint
	ends  time.Time // when to warn again of the end of cert
	use   []*upstreamUse
}

// upstreamUse is what gets the files of an entry.
type upstreamUse struct {
	take func(roots *x509.CertPool, cert *tls.Certificate)
}

// NewUpstreams returns one without files.
func NewUpstreams(log *slog.Logger) *Upstreams { return &Upstreams{log: log} }

// Add reads files, and calls use with what they have: at once, and again after each change until forget is called. use must
// not call x. The error begins with the key below upstream_tls that names the file.
func (x *Upstreams) Add(f UpstreamFiles, use func(roots *x509.CertPool, cert *tls.Certificate)) (forget func(), err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := slices.IndexFunc(x.entries, func(e *upstreamEntry) bool { return e.UpstreamFiles == f })
	if i < 0 {
		e := &upstreamEntry{UpstreamFiles: f, seen: f.states()}
		if err := e.read(); err != nil {
			return func() {}, err
		}
		i = len(x.entries)
		x.entries = append(x.entries, e)
		x.warnOfEnd(e, time.Now())
	}
	e, u := x.entries[i], &upstreamUse{use}
	e.use = append(e.use, u)
	use(e.roots, e.cert)
	return func() { x.forget(e, u) }, nil
}

// forget ends a use of an entry, and with the last one the entry.
func (x *Upstreams) forget(e *upstreamEntry, u *upstreamUse) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.use = slices.DeleteFunc(e.use, func(o *upstreamUse) bool { return o == u }); len(e.use) == 0 {
		x.entries = slices.DeleteFunc(x.entries, func(o *upstreamEntry) bool { return o == e })
	}
}

// Reload looks for changed files now. Any goroutine may call it.
func (x *Upstreams) Reload() {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	for _, e := range x.entries {
		x.look(e, now)
		x.warnOfEnd(e, now)
	}
}

// Serve looks for changes until ctx ends.
func (x *Upstreams) Serve(ctx context.Context) {
	tick := time.NewTicker(Look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			x.Reload()
		}
	}
}

// look reads the files of an entry if they have changed, or if they were not fit.
func (x *Upstreams) look(e *upstreamEntry, now time.Time) {
	seen := e.states()
	if e.bad.text == "" && slices.EqualFunc(seen[:], e.seen[:], fileState.same) {
		return
	}
	e.seen = seen
	oldRoots, oldCert := e.roots, e.cert
	err := e.read()
	if err == nil && e.cert != nil && now.After(e.cert.Leaf.NotAfter) && oldCert.Leaf.NotAfter.After(e.cert.Leaf.NotAfter) {
		err = fmt.Errorf("cert: %s: %w, on %s", e.Cert, ErrExpired, day(e.cert.Leaf.NotAfter))
	}
	if err != nil {
		e.roots, e.cert = oldRoots, oldCert
		x.failures++
		if e.bad.due(err, now) {
			x.log.Error("files of upstream_tls not loaded; still using the old ones", "error", err)
		}
		return
	}
	e.bad = complaint{}
	if sameRoots(e.roots, oldRoots) && sameCert(e.cert, oldCert) {
		return // touched, or written again
	}
	e.ends = time.Time{}
	x.loads++
	x.log.Info("files of upstream_tls loaded; new connections use them", "ca_file", e.CA, "cert", e.Cert)
	for _, u := range e.use {
		u.take(e.roots, e.cert)
	}
}

// read changes the entry to what its files have, or returns an error.
func (e *upstreamEntry) read() (err error) {
	if e.roots, err = Roots(e.CA); err != nil {
		return fmt.Errorf("ca_file: %w", err)
	}
	if e.Cert == "" {
		return nil
	}
	if e.cert, err = Load(e.Pair); err != nil {
		return fmt.Errorf("cert: %w", err)
	}
	return nil
}

// warnOfEnd logs, once a day, that a certificate has expired or expires soon.
func (x *Upstreams) warnOfEnd(e *upstreamEntry, now time.Time) {
	if e.cert == nil || now.Before(e.ends) {
		return
	}
	end := e.cert.Leaf.NotAfter
	if end.Sub(now) >= ExpiresSoon {
		return
	}
	e.ends = now.Add(24 * time.Hour)
	if now.After(end) {
		x.log.Error("certificate has expired: upstreams refuse it", "certificate", e.Cert, "expired", day(end))
		return
	}
	x.log.Warn("certificate for upstreams expires soon and was not replaced", "certificate", e.Cert, "expires", day(end))
}

// UpstreamStats are counts for metrics.
type UpstreamStats struct {
	Certificates []Info // of Holdfast
	Loads        int64  // files that had changed
	Failures     int64  // looks that found files that are not fit
}

// Stats may be called from any goroutine.
func (x *Upstreams) Stats() UpstreamStats {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := UpstreamStats{Loads: x.loads, Failures: x.failures}
	for _, e := range x.entries {
		known := func(i Info) bool { return i.Cert == e.Cert }
		if e.cert != nil && !slices.ContainsFunc(s.Certificates, known) {
			s.Certificates = append(s.Certificates, Info{e.Pair, namesOf(e.cert.Leaf), e.cert.Leaf.NotAfter})
		}
	}
	return s
}

func (f *UpstreamFiles) states() [3]fileState {
	return [3]fileState{stateOf(f.CA), stateOf(f.Cert), stateOf(f.Key)}
}

// Roots returns the certificates in a PEM file; nil, for those of the system, without one.
func Roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return pool, nil
}

func sameRoots(a, b *x509.CertPool) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(b)
}

func sameCert(a, b *tls.Certificate) bool {
	return a == nil && b == nil || a != nil && b != nil && slices.EqualFunc(a.Certificate, b.Certificate, slices.Equal)
}
