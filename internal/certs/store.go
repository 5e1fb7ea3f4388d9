package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Store.
type Options struct {
	Pairs  []Pair // the first is for clients that ask for no name, or for one that no certificate has
	Folder string // each directory in it with fullchain.pem and privkey.pem is a pair; empty: none
	Log    *slog.Logger
}

// Store has certificates and keeps them up to date.
type Store struct {
	o     Options
	table atomic.Pointer[table]
	wants chan struct{} // filled when a certificate is new that wants an OCSP response

	mu       sync.Mutex // guards what follows
	entries  []*entry   // in the order of precedence
	added    []Pair
	loads    int64
	failures int64
	folder   complaint
	staples  stapler
}

// entry is one pair.
type entry struct {
	Pair
	seen  stamp
	cert  *tls.Certificate // the last one that was fit; nil: none yet
	bad   complaint
	ends  time.Time // when to warn again of its end
	ocsp  staple
	fresh bool // cert is not in the table
}

// Look is how often Serve looks for changes.
const Look = time.Minute

// ErrNone is returned for a handshake while there is no certificate at all.
var ErrNone = errors.New("there is no certificate yet")

// Open reads all certificates. It returns an error if one of Pairs is not fit; one in the folder is reported in the log.
func Open(o Options) (*Store, error) {
	s := &Store{o: o, wants: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if err := Readable(o.Pairs, o.Folder); err != nil {
		return nil, err
	}
	s.lookLocked(now)
	return s, nil
}

// Readable returns why one of the pairs is not fit, or the folder can't be read; nil if all can be used.
func Readable(pairs []Pair, folder string) error {
	for _, p := range pairs {
		if _, err := Load(p); err != nil {
			return err
		}
	}
	if folder == "" {
		return nil
	}
	_, err := PairsIn(folder)
	return err
}

// Use takes other pairs and another folder, and looks for changes.
func (s *Store) Use(pairs []Pair, folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Pairs, s.o.Folder = pairs, folder
	s.lookLocked(time.Now())
}

// Empty reports whether there is no certificate.
func (s *Store) Empty() bool { return len(s.table.Load().fallback) == 0 }

// Certificate returns the certificate for a handshake, for tls.Config.GetCertificate.
func (s *Store) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	list := s.table.Load().find(hello.ServerName)
	if cert := list.best(hello, time.Now()); cert != nil {
		return cert, nil
	}
	return nil, ErrNone
}

// Add makes a pair one of the store's, if it is not, and looks for changes.
func (s *Store) Add(p Pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.added, p) {
		s.added = append(s.added, p)
	}
	s.lookLocked(time.Now())
}

// Reload looks for changes now. Any goroutine may call it.
func (s *Store) Reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookLocked(time.Now())
}

// Serve looks for changes, and fetches OCSP responses, until ctx ends.
func (s *Store) Serve(ctx context.Context) {
	tick := time.NewTicker(Look)
	defer tick.Stop()
	for {
		s.staple(ctx)
		select {
		case <-ctx.Done():
			return
		case <-s.wants:
		case <-tick.C:
			s.Reload()
		}
	}
}

// lookLocked brings the store up to date with the files.
func (s *Store) lookLocked(now time.Time) {
	pairs := s.pairsLocked(now)
	var entries []*entry
	changed := false
	for _, p := range pairs {
		i := slices.IndexFunc(s.entries, func(e *entry) bool { return e.Pair == p })
		e := &entry{Pair: p}
		if i >= 0 {
			e = s.entries[i]
		}
		s.read(e, now)
		changed = changed || e.fresh
		entries = append(entries, e)
		s.warnOfEnd(e, now)
	}
	for _, e := range s.entries {
		if !slices.Contains(entries, e) && e.cert != nil {
			changed = true
			s.o.Log.Info("certificate removed", "certificate", e.Cert, "names", namesOf(e.cert.Leaf))
		}
	}
	s.entries = entries
	if changed || s.table.Load() == nil {
		s.publishLocked()
	}
}

// publishLocked makes a table of the certificates.
func (s *Store) publishLocked() {
	var list []*tls.Certificate
	for _, e := range s.entries {
		if e.cert != nil {
			list = append(list, e.cert)
		}
		e.fresh = false
	}
	s.table.Store(newTable(list))
}

// pairsLocked returns all pairs in the order of precedence. If the folder can't be read, those in it stay.
func (s *Store) pairsLocked(now time.Time) []Pair {
	pairs := slices.Clone(s.o.Pairs)
	if s.o.Folder != "" {
		found, err := PairsIn(s.o.Folder)
		if err != nil {
			s.failures++
			if s.folder.due(err, now) {
				s.o.Log.Error("directory of certificates not read; those in it stay", "directory", s.o.Folder, "error", err)
			}
			for _, e := range s.entries {
				if filepath.Dir(filepath.Dir(e.Cert)) == filepath.Clean(s.o.Folder) && !slices.Contains(pairs, e.Pair) {
					found = append(found, e.Pair)
				}
			}
		} else {
			s.folder = complaint{}
		}
		pairs = append(pairs, found...)
	}
	for _, p := range s.added {
		if !slices.Contains(pairs, p) {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// PairsIn returns the pairs in a folder as certbot makes it, by name.
func PairsIn(folder string) (pairs []Pair, err error) {
	list, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		p := Pair{filepath.Join(folder, d.Name(), "fullchain.pem"), filepath.Join(folder, d.Name(), "privkey.pem")}
		if _, err := os.Stat(p.Cert); err == nil {
			pairs = append(pairs, p)
		} else if !errors.Is(err, os.ErrNotExist) && d.IsDir() {
			pairs = append(pairs, p) // Load says why it can't be read
		}
	}
	return pairs, nil
}

// read loads the pair of an entry if its files have changed, or if they were not fit.
func (s *Store) read(e *entry, now time.Time) {
	seen := stampOf(e.Pair)
	if e.cert != nil && e.bad.text == "" && seen.same(e.seen) {
		return
	}
	e.seen = seen
	cert, err := Load(e.Pair)
	if err == nil && now.After(cert.Leaf.NotAfter) && e.cert != nil && e.cert.Leaf.NotAfter.After(cert.Leaf.NotAfter) {
		err = fmt.Errorf("%s: %w, on %s", e.Cert, ErrExpired, day(cert.Leaf.NotAfter))
	}
	if err != nil {
		s.failures++
		if e.bad.due(err, now) {
			event := "certificate not loaded; still serving the old one"
			if e.cert == nil {
				event = "certificate not loaded"
			}
			s.o.Log.Error(event, "certificate", e.Cert, "error", err)
		}
		return
	}
	e.bad = complaint{}
	if e.cert != nil && slices.EqualFunc(e.cert.Certificate, cert.Certificate, slices.Equal) {
		return // touched, or written again
	}
	e.cert, e.fresh, e.ends = cert, true, time.Time{}
	e.ocsp = staple{wanted: mustStaple(cert.Leaf)}
	if e.ocsp.wanted {
		select {
		case s.wants <- struct{}{}:
		default:
		}
	}
	s.loads++
	s.o.Log.Info("certificate loaded", "certificate", e.Cert, "names", namesOf(cert.Leaf), "expires", day(cert.Leaf.NotAfter))
}

// warnOfEnd logs, once a day, that a certificate has expired or expires soon.
func (s *Store) warnOfEnd(e *entry, now time.Time) {
	if e.cert == nil || now.Before(e.ends) {
		return
	}
	left := e.cert.Leaf.NotAfter.Sub(now)
	if left >= ExpiresSoon {
		return
	}
	e.ends = now.Add(24 * time.Hour)
	if left <= 0 {
		s.o.Log.Error("certificate has expired: clients refuse it", "certificate", e.Cert, "names", namesOf(e.cert.Leaf), "expired", day(e.cert.Leaf.NotAfter))
		return
	}
	s.o.Log.Warn("certificate expires soon and was not replaced", "certificate", e.Cert, "names", namesOf(e.cert.Leaf), "expires", day(e.cert.Leaf.NotAfter))
}

// complaint is the last reason why something was not fit.
type complaint struct {
	text string
	next time.Time // no line before, for the same reason
}

// due reports whether to log an error: a new one, or the same again after an hour.
func (c *complaint) due(err error, now time.Time) bool {
	if c.text == err.Error() && now.Before(c.next) {
		return false
	}
	c.text, c.next = err.Error(), now.Add(time.Hour)
	return true
}

// Stats are counts for metrics.
type Stats struct {
	Certificates []Info
	Loads        int64 // certificates that were loaded, the first time and again
	Failures     int64 // looks at a pair, or at the folder, that found nothing fit
	StapleErrors int64
}

// Info is one certificate in use.
type Info struct {
	Pair
	Names   []string
	Expires time.Time
}

// Stats may be called from any goroutine.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := Stats{Loads: s.loads, Failures: s.failures, StapleErrors: s.staples.errors}
	for _, e := range s.entries {
		if e.cert != nil {
			x.Certificates = append(x.Certificates, Info{e.Pair, namesOf(e.cert.Leaf), e.cert.Leaf.NotAfter})
		}
	}
	return x
}

// Find returns the certificate of a pair; nil: it has none that is fit.
func (s *Store) Find(p Pair) *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.Pair == p {
			return e.cert
		}
	}
	return nil
}
