package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"holdfast/internal/acmeclient"
	"holdfast/internal/certs"
	"holdfast/internal/config"
	"holdfast/internal/metric"
	"holdfast/internal/park"
	"holdfast/internal/proxyheader"
	"holdfast/internal/tlsconn"
)

// tlsState is what the listeners with TLS share. All methods are for nil too: there are none.
type tlsState struct {
	store  *certs.Store
	acme   *acmeclient.Manager // nil: no certificates are requested
	server *tlsconn.Server     // set by listen
}

// newTLS reads the certificates; nil: there is no listener for them.
func newTLS(s *Server, c *config.Config) (x *tlsState, err error) {
	isTLS := func(l config.Listener) bool { return l.TLS }
	if !slices.ContainsFunc(c.Listen, isTLS) {
		return nil, nil
	}
	x = new(tlsState)
	if x.store, err = certs.Open(certs.Options{Pairs: certPairs(c), Folder: c.TLS.Folder, Log: s.log}); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if a := &c.TLS.ACME; len(a.Names) > 0 {
		o := acmeclient.Options{
			Names: a.Names, Directory: a.Directory, Folder: a.Folder, Email: a.Email, Log: s.log, TLS: true,
			HTTP: func() bool {
				return slices.ContainsFunc(s.conf().Listen, func(l config.Listener) bool { return !l.TLS && l.Address.Network == "tcp" })
			},
			Issued: func(file string) { x.store.Add(certs.Pair{Cert: file, Key: file}) },
		}
		if o.Roots, err = certs.Roots(a.CAFile); err != nil {
			return nil, fmt.Errorf("tls.acme.ca_file: %w", err)
		}
		if x.acme, err = acmeclient.New(o); err != nil {
			return nil, fmt.Errorf("tls.acme.folder: %w", err)
		}
		for _, file := range x.acme.Files() {
			o.Issued(file)
		}
	} else if x.store.Empty() {
		return nil, fmt.Errorf("tls.folder: no directory in %s has fullchain.pem and privkey.pem that are fit", c.TLS.Folder)
	}
	return x, nil
}

func certPairs(c *config.Config) (pairs []certs.Pair) {
	for _, p := range c.TLS.Certificates {
		pairs = append(pairs, certs.Pair(p))
	}
	return pairs
}

// listen makes what does the handshakes, and has the server keep the certificates up to date.
func (x *tlsState) listen(s *Server, c *config.Config) {
	if x == nil {
		return
	}
	t := &tls.Config{GetCertificate: x.certificate, MinVersion: tls.VersionTLS12}
	if c.TLS.MinVersion == "1.3" {
		t.MinVersion = tls.VersionTLS13
	}
	if x.acme != nil {
		t.NextProtos = []string{"acme-tls/1"}
	}
	x.server = tlsconn.NewServer(s.poller, tlsconn.Options{Config: t, Log: s.log, Time: time.Duration(c.Timeouts.Handshake), Handshakes: c.Limits.Handshakes})
	s.firstTLS <- x
}

var errNoChallenge = errors.New("a challenge of a CA that is not in progress here")

// certificate returns the certificate for a handshake.
func (x *tlsState) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if x.acme != nil {
		if cert, challenge := x.acme.Certificate(hello); cert != nil {
			return cert, nil
		} else if challenge {
			return nil, errNoChallenge
		}
	}
	return x.store.Certificate(hello)
}

// accept returns what gives connections to the handlers of accept after their handshakes. A PROXY header comes before the
// handshake.
func (x *tlsState) accept(accept func(*park.Loop) park.Handler) func(*park.Loop) park.Handler {
	if x == nil {
		return nil
	}
	plain := x.server.Accept(accept)
	return func(l *park.Loop) park.Handler {
		h := accept(l)
		if header, ok := h.(*proxyheader.Conn); ok {
			header.Owner = &afterHeader{header.Owner, x.server}
			return header
		}
		return plain(l)
	}
}

// afterHeader begins the handshake of a connection whose PROXY header is read.
type afterHeader struct {
	proxyheader.Owner
	server *tlsconn.Server
}

// HeaderRead implements proxyheader.Owner.
func (o *afterHeader) HeaderRead(c *park.Conn, rest []byte) {
	o.server.Begin(c, rest, &afterHandshake{o.Owner})
}

// afterHandshake is the handler that gets such a connection after its handshake.
type afterHandshake struct{ owner proxyheader.Owner }

// Ready implements park.Handler.
func (h *afterHandshake) Ready(c *park.Conn, _ park.Event) { h.owner.HeaderRead(c, nil) }

// serveTLS keeps the certificates up to date, as soon as a listener has TLS, until ctx ends.
func serveTLS(ctx context.Context, s *Server) {
	var x *tlsState
	select {
	case x = <-s.firstTLS:
	case <-ctx.Done():
		return
	}
	var group sync.WaitGroup
	group.Go(func() { x.store.Serve(ctx) })
	if x.acme != nil {
		group.Go(func() { x.acme.Serve(ctx) })
	}
	group.Wait()
}

// use takes other files, and looks for changed certificates now.
func (x *tlsState) use(pairs []certs.Pair, folder string) {
	if x != nil {
		x.store.Use(pairs, folder)
	}
}

func (x *tlsState) drain(p *park.Poller) {
	if x != nil {
		x.server.Drain(p)
	}
}

// challenge returns what answers the challenges of CAs; nil: there are none.
func (x *tlsState) challenge() func(path []byte) []byte {
	if x == nil || x.acme == nil {
		return nil
	}
	return x.acme.Response
}

// strictTransport returns the value of Strict-Transport-Security; empty: none.
func (x *tlsState) strictTransport(c *config.Config) string {
	if x == nil {
		return ""
	}
	return c.TLS.HSTS
}

// write writes the metrics of certificates.
func (x *tlsState) write(w *metric.Writer) {
	if x == nil {
		return
	}
	s := x.store.Stats()
	for _, c := range s.Certificates {
		w.Int("holdfast_tls_certificate_expiry_timestamp_seconds", c.Expires.Unix(), "certificate", c.Cert)
	}
	w.Int("holdfast_tls_certificate_loads_total", s.Loads)
	w.Int("holdfast_tls_certificate_errors_total", s.Failures)
	w.Int("holdfast_tls_ocsp_errors_total", s.StapleErrors)
	if x.acme != nil {
		a := x.acme.Stats()
		w.Int("holdfast_acme_certificates_issued_total", a.Issued)
		w.Int("holdfast_acme_errors_total", a.Failures)
		w.Int("holdfast_acme_challenges_answered_total", a.Challenges)
	}
}

// httpsPort returns the port to which requests are redirected; 0: that of https.
func httpsPort(c *config.Config) uint16 {
	if c.External.Scheme == "https" && c.External.Port > 0 {
		return uint16(c.External.Port)
	}
	for _, l := range c.Listen {
		if _, port, err := net.SplitHostPort(l.Address.Address); l.TLS && l.Address.Network == "tcp" && err == nil {
			n, _ := strconv.ParseUint(port, 10, 16)
			return uint16(n)
		}
	}
	return 0
}

// checkTLS reports a certificate that is there and not fit.
func checkTLS(c *config.Config) error {
	for i, p := range certPairs(c) {
		if _, err := certs.Load(p); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("tls.certificates[%d]: %w", i, err)
		}
	}
	return nil
}
