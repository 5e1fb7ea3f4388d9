package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/crypto/ocsp"
)

// staple is the OCSP response that goes with a certificate.
type staple struct {
	wanted bool      // the certificate must have one
	until  time.Time // it is valid; zero: there is none
	next   time.Time // no request before
	pause  time.Duration
	bad    complaint
}

type stapler struct{ errors int64 }

const (
	stapleTimeout = 10 * time.Second
	maxStaple     = 64 << 10 // bytes of a response
	minPause      = 5 * time.Minute
	maxPause      = time.Hour
	minRefresh    = time.Hour
)

// tlsFeature is the extension by which a certificate says what its server does (RFC 7633), and statusRequest that it
// staples.
var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

const statusRequest = 5

func mustStaple(leaf *x509.Certificate) bool {
	for _, e := range leaf.Extensions {
		var features []int
		if e.Id.Equal(tlsFeature) {
			if rest, err := asn1.Unmarshal(e.Value, &features); err == nil && len(rest) == 0 {
				for _, f := range features {
					if f == statusRequest {
						return true
					}
				}
			}
		}
	}
	return false
}

// staple requests what is due, one after the other.
func (s *Store) staple(ctx context.Context) {
	now := time.Now()
	for _, e := range s.staplesDue(now) {
		cert := s.Find(e)
		if cert == nil {
			continue
		}
		response, until, err := fetchStaple(ctx, cert, now)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		s.stapledLocked(e, cert, response, until, err, now)
		s.mu.Unlock()
	}
}

func (s *Store) staplesDue(now time.Time) (list []Pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.cert != nil && e.ocsp.wanted && !now.Before(e.ocsp.next) {
			list = append(list, e.Pair)
		}
	}
	return list
}

// stapledLocked takes the result of a request for cert, unless that was replaced meanwhile. Without a new response the old
// one is used to its end.
func (s *Store) stapledLocked(p Pair, cert *tls.Certificate, response []byte, until time.Time, err error, now time.Time) {
	for _, e := range s.entries {
		if e.Pair != p || e.cert != cert {
			continue
		}
		x := &e.ocsp
		if err != nil {
			s.staples.errors++
			x.pause = min(max(2*x.pause, minPause), maxPause)
			x.next = now.Add(x.pause)
			if x.bad.due(err, now) {
				s.o.Log.Error("OCSP response not fetched, which the certificate says it has", "certificate", e.Cert, "error", err, "retry_in", x.pause)
			}
			if x.until.IsZero() || now.Before(x.until) {
				return
			}
			x.until, response = time.Time{}, nil
		} else {
			x.until, x.pause, x.bad = until, 0, complaint{}
			x.next = now.Add(max(until.Sub(now)/2, minRefresh))
		}
		stapled := *cert // handshakes use the old one
		stapled.OCSPStaple = response
		e.cert = &stapled
		s.publishLocked()
	}
}

var errNoResponder = errors.New("the certificate names no OCSP responder, or its file has no issuer")

// fetchStaple returns a response that says that cert is good, and until when.
func fetchStaple(ctx context.Context, cert *tls.Certificate, now time.Time) ([]byte, time.Time, error) {
	if len(cert.Leaf.OCSPServer) == 0 || len(cert.Certificate) < 2 {
		return nil, time.Time{}, errNoResponder
	}
	issuer, err := x509.ParseCertificate(cert.Certificate[1])
	if err != nil {
		return nil, time.Time{}, err
	}
	request, err := ocsp.CreateRequest(cert.Leaf, issuer, nil)
	if err != nil {
		return nil, time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, stapleTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, cert.Leaf.OCSPServer[0], bytes.NewReader(request))
	if err != nil {
		return nil, time.Time{}, err
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStaple+1))
	switch {
	case err != nil:
		return nil, time.Time{}, err
	case resp.StatusCode != http.StatusOK:
		return nil, time.Time{}, fmt.Errorf("%s: status %d", r.URL, resp.StatusCode)
	case len(body) > maxStaple:
		return nil, time.Time{}, fmt.Errorf("%s: more than %d bytes", r.URL, maxStaple)
	}
	answer, err := ocsp.ParseResponseForCert(body, cert.Leaf, issuer)
	switch {
	case err != nil:
		return nil, time.Time{}, fmt.Errorf("%s: %w", r.URL, err)
	case answer.Status != ocsp.Good:
		return nil, time.Time{}, fmt.Errorf("%s: the certificate is revoked or not known", r.URL)
	case now.Before(answer.ThisUpdate.Add(-time.Hour)), !now.Before(answer.NextUpdate):
		return nil, time.Time{}, fmt.Errorf("%s: valid from %s to %s", r.URL, answer.ThisUpdate, answer.NextUpdate)
	}
	return body, answer.NextUpdate, nil
}
