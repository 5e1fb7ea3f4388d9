package certs

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// TestStaple: only a certificate that asks for it gets one; a responder that fails is asked less and less often, and what it
// said before is used to its end.
func TestStaple(t *testing.T) {
	var status, asked atomic.Int64
	responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		request, err := ocsp.ParseRequest(body)
		if err != nil {
			t.Errorf("%x: %v", body, err)
			return
		}
		template := ocsp.Response{Status: int(status.Load()), SerialNumber: request.SerialNumber, ThisUpdate: time.Now(), NextUpdate: time.Now().Add(10 * time.Hour)}
		switch status.Load() {
		case -1:
			w.WriteHeader(500)
			return
		case -2:
			w.Write(make([]byte, maxStaple+1))
			return
		case -3:
			template.Status, template.NextUpdate = ocsp.Good, time.Now()
		case ocsp.Revoked:
			template.RevokedAt = time.Now()
		}
		response, err := ocsp.CreateResponse(ca().cert, ca().cert, template, ca().key)
		if err != nil {
			t.Error(err)
		}
		w.Write(response)
	}))
	defer responder.Close()
	dir := t.TempDir()
	wants, plain := pairOf(dir, "wants"), pairOf(dir, "plain")
	chain, key := issue(t, nil, soon, withStaple(responder.URL), "wants.test")
	write(t, wants.Cert, chain)
	write(t, wants.Key, key)
	put(t, plain, "plain.test")
	s, log := open(t, Options{Pairs: []Pair{plain, wants}})
	staple := func(name string) []byte {
		cert, err := s.Certificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		return cert.OCSPStaple
	}
	for _, bad := range []int64{-1, -2, -3, ocsp.Revoked} {
		status.Store(bad)
		s.entries[1].ocsp.next = time.Time{}
		s.staple(t.Context())
		if staple("wants.test") != nil {
			t.Errorf("a response of kind %d is stapled", bad)
		}
	}
	if n := s.Stats().StapleErrors; n != 4 || count(log, "OCSP response not fetched") != 4 {
		t.Errorf("%d errors, log:\n%s", n, log)
	}
	if x := s.entries[1].ocsp; x.pause != 40*time.Minute {
		t.Errorf("the next request is after %s", x.pause)
	}
	before := asked.Load()
	s.staple(t.Context())
	if asked.Load() != before {
		t.Error("asked again before the pause is over")
	}
	status.Store(ocsp.Good)
	s.entries[1].ocsp.next = time.Time{}
	s.staple(t.Context())
	if got := staple("wants.test"); len(got) == 0 {
		t.Fatalf("nothing is stapled, log:\n%s", log)
	}
	if staple("plain.test") != nil {
		t.Error("stapled without being asked")
	}
	if len(s.wants) != 1 {
		t.Error("Serve is not told of a new certificate that wants a response")
	}
	s.Reload()
	if len(staple("wants.test")) == 0 {
		t.Error("a look takes the response away")
	}
	status.Store(-1)
	s.entries[1].ocsp.next = time.Time{}
	s.staple(t.Context())
	if len(staple("wants.test")) == 0 {
		t.Error("a failure takes the response away before its end")
	}
	s.mu.Lock()
	s.stapledLocked(wants, s.entries[1].cert, nil, time.Time{}, errNoResponder, time.Now().Add(11*time.Hour))
	s.mu.Unlock()
	if staple("wants.test") != nil {
		t.Error("a response is used after its end")
	}
}
