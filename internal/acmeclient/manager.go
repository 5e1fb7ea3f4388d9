package acmeclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
)

// Options of a Manager.
type Options struct {
	Names     []string // in lower case
	Directory string   // URL
	Folder    string   // made with mode 0700 if it is missing
	Email     string   // empty: none
	Roots     *x509.CertPool
	HTTP      func() bool       // reports whether a listener takes the challenges of HTTP; nil: none does
	TLS       bool              // whether one takes those of TLS
	Issued    func(file string) // a file has a new certificate and its key
	Log       *slog.Logger
}

// Manager has the certificates of some names.
type Manager struct {
	o      Options
	folder string // of this directory's certificates
	client *http.Client

	names   []*name           // of Serve's goroutine
	unsaved map[string][]byte // certificates that could not be written, by name; of Serve's goroutine

	mu         sync.Mutex                  // guards what follows
	responses  map[string][]byte           // of HTTP-01, by path
	challenges map[string]*tls.Certificate // of TLS-ALPN-01, by name

	issued, failures, answered atomic.Int64
}

// name is one host name.
type name struct {
	host  string
	next  time.Time // no attempt before
	pause time.Duration
}

const (
	look         = time.Minute // how often Serve looks at what is due
	attemptTime  = 5 * time.Minute
	minPause     = 5 * time.Minute // Let's Encrypt allows five failures an hour
	maxPause     = 12 * time.Hour
	maxLimit     = 7 * 24 * time.Hour // if the CA says so
	renewalParts = 3                  // a certificate is renewed when one part of so many is left of its lifetime
)

// New returns a manager. It makes the folder, and reports one that others can read.
func New(o Options) (*Manager, error) {
	u, err := url.Parse(o.Directory)
	if err != nil {
		return nil, err
	}
	m := &Manager{o: o, folder: filepath.Join(o.Folder, u.Hostname()), unsaved: map[string][]byte{}, responses: map[string][]byte{}, challenges: map[string]*tls.Certificate{}}
	m.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: o.Roots}, DisableKeepAlives: true,
	}}
	if err := os.MkdirAll(m.folder, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(o.Folder)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, and others must not read the keys in it: chmod 0700", o.Folder, info.Mode().Perm())
	}
	for _, host := range o.Names {
		m.names = append(m.names, &name{host: host})
	}
	return m, nil
}

// Files returns the files that have certificates already.
func (m *Manager) Files() (files []string) {
	for _, n := range m.names {
		if _, err := os.Stat(m.file(n.host)); err == nil {
			files = append(files, m.file(n.host))
		}
	}
	return files
}

// file is where the certificate of a name and its key are.
func (m *Manager) file(host string) string { return filepath.Join(m.folder, host+".pem") }

// Serve requests what is missing or about to end, one after the other, until ctx ends.
func (m *Manager) Serve(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		for _, n := range m.names {
			m.attend(ctx, n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// attend requests the certificate of a name, if that is due.
func (m *Manager) attend(ctx context.Context, n *name) {
	now := time.Now()
	if now.Before(n.next) || ctx.Err() != nil {
		return
	}
	due, ends := m.due(n.host, now)
	if !due {
		return
	}
	m.o.Log.Info("requesting a certificate", "name", n.host, "directory", m.o.Directory)
	attempt, cancel := context.WithTimeout(ctx, attemptTime)
	err := m.obtain(attempt, n.host)
	cancel()
	if ctx.Err() != nil && err != nil {
		return
	}
	if err == nil {
		m.issued.Add(1)
		m.o.Issued(m.file(n.host))
		if due, ends = m.due(n.host, now); !due {
			n.pause = 0
			return
		}
		err = errDueAgain
	}
	m.failures.Add(1)
	n.pause = min(max(2*n.pause, minPause), maxPause)
	if after, limited := limited(err); limited {
		n.pause = min(max(after, n.pause), maxLimit)
	}
	n.next = now.Add(n.pause + rand.N(n.pause/8))
	fields := []any{"name", n.host, "error", err, "hint", m.hint(err), "retry_in", n.pause}
	if !ends.IsZero() {
		fields = append(fields, "expires", ends.UTC().Format(time.DateOnly))
	}
	m.o.Log.Error("certificate not issued", fields...)
}

// errDueAgain keeps a manager from requesting one certificate after the other.
var errDueAgain = errors.New("the certificate that was issued is due again at once")

// due reports whether the certificate of a name is missing, unfit or in the last part of its lifetime, and when it ends.
func (m *Manager) due(host string, now time.Time) (due bool, ends time.Time) {
	cert, err := tls.LoadX509KeyPair(m.file(host), m.file(host))
	if err != nil || cert.Leaf.VerifyHostname(host) != nil {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			m.o.Log.Error("file of a certificate is not fit; requesting another one", "file", m.file(host), "error", err)
		}
		return true, time.Time{}
	}
	ends = cert.Leaf.NotAfter
	return ends.Sub(now) < ends.Sub(cert.Leaf.NotBefore)/renewalParts, ends
}

// hint returns what is likely wrong if a request fails with err.
func (m *Manager) hint(err error) string {
	var challenge *challengeError
	var problem *acme.Error
	switch _, ok := limited(err); {
	case ok:
		return "the CA limits requests: try out a configuration with its staging directory, tls.acme.directory"
	case errors.As(err, &challenge) && challenge.kind == httpChallenge:
		return "the CA must reach port 80 of this name, and there an entry of listen without tls"
	case errors.As(err, &challenge):
		return "the CA must reach port 443 of this name, and there an entry of listen with tls"
	case errors.Is(err, errDueAgain):
		return "is the clock of this machine right?"
	case errors.Is(err, errNotSaved):
		return "tls.acme.folder must be writable, and its disk not full"
	case errors.As(err, &problem):
		return "see what the CA says; is tls.acme right?"
	}
	return "is tls.acme.directory reachable from here, and its certificate trusted (tls.acme.ca_file)?"
}

// limited reports whether the CA has refused a request as one too many, and for how long it does so; 0: it has not said.
func limited(err error) (time.Duration, bool) {
	var problem *acme.Error
	if !errors.As(err, &problem) {
		return 0, false
	}
	return acme.RateLimit(problem)
}

// Stats are counts for metrics.
type Stats struct {
	Issued, Failures, Challenges int64
}

// Stats may be called from any goroutine.
func (m *Manager) Stats() Stats {
	return Stats{Issued: m.issued.Load(), Failures: m.failures.Load(), Challenges: m.answered.Load()}
}
