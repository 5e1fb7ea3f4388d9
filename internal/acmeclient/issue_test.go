package acmeclient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// issuer is a CA for which every name is authorized already.
type issuer struct {
	*httptest.Server
	begins, ends time.Time // of the next certificate
	issued       int
	chain        []byte
}

// always is for Options.HTTP.
func always() bool { return true }

// newIssuer runs an issuer, and a manager of a.test with it.
func newIssuer(t *testing.T, o Options) (*issuer, *Manager, func() string) {
	t.Helper()
	ca := &issuer{}
	ca.Server = httptest.NewTLSServer(http.HandlerFunc(ca.serve))
	t.Cleanup(ca.Close)
	o.Names, o.Directory, o.Roots, o.HTTP = []string{"a.test"}, ca.URL+"/dir", x509.NewCertPool(), always
	o.Roots.AddCert(ca.Certificate())
	m, log := newManager(t, o)
	return ca, m, log.String
}

func (ca *issuer) serve(w http.ResponseWriter, r *http.Request) {
	order := map[string]any{"status": "ready", "authorizations": []string{ca.URL + "/authorization"}, "finalize": ca.URL + "/finalize"}
	w.Header().Set("Replay-Nonce", "bm9uY2U")
	switch r.URL.Path {
	case "/dir":
		json.NewEncoder(w).Encode(map[string]string{"newNonce": ca.URL + "/nonce", "newAccount": ca.URL + "/account", "newOrder": ca.URL + "/new"})
	case "/account":
		w.Header().Set("Location", ca.URL+"/account/1")
		w.WriteHeader(http.StatusCreated)
		w.Write([]byte(`{"status":"valid"}`))
	case "/new":
		w.Header().Set("Location", ca.URL+"/order")
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(order)
	case "/order":
		json.NewEncoder(w).Encode(order)
	case "/authorization":
		w.Write([]byte(`{"status":"valid","identifier":{"type":"dns","value":"a.test"}}`))
	case "/finalize":
		ca.issue(r)
		order["status"], order["certificate"] = "valid", ca.URL+"/certificate"
		json.NewEncoder(w).Encode(order)
	case "/certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		w.Write(ca.chain)
	}
}

func (ca *issuer) issue(r *http.Request) {
	var signed struct{ Payload string }
	var request struct{ CSR string }
	_ = json.NewDecoder(r.Body).Decode(&signed)
	b, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	_ = json.Unmarshal(b, &request)
	der, _ := base64.RawURLEncoding.DecodeString(request.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		panic(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: csr.DNSNames, NotBefore: ca.begins, NotAfter: ca.ends}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, csr.PublicKey, key)
	if err != nil {
		panic(err)
	}
	ca.issued++
	ca.chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
}

// TestIssue: a certificate is requested once. One that is due again as soon as it is there, because this machine's clock is
// wrong or the CA's, is used, but the next is not requested before the pause of a failure: the CA limits how many there are.
func TestIssue(t *testing.T) {
	var files []string
	ca, m, log := newIssuer(t, Options{Issued: func(file string) { files = append(files, file) }})
	n := m.names[0]
	now := time.Now()
	ca.begins, ca.ends = now.Add(-80*24*time.Hour), now.Add(10*24*time.Hour)
	for range 3 {
		m.attend(t.Context(), n)
	}
	if ca.issued != 1 || len(files) != 1 || files[0] != m.file("a.test") {
		t.Fatalf("%d certificates are issued, the files are %v", ca.issued, files)
	}
	if n.pause != minPause || !strings.Contains(log(), "is due again") || !strings.Contains(log(), "clock") {
		t.Errorf("the pause is %s, and the log has:\n%s", n.pause, log())
	}
	for _, want := range []time.Duration{2 * minPause, 4 * minPause} {
		n.next = time.Time{}
		if m.attend(t.Context(), n); n.pause != want {
			t.Errorf("the pause is %s; want %s", n.pause, want)
		}
	}
	ca.begins, ca.ends = now, now.Add(90*24*time.Hour)
	for range 3 {
		n.next = time.Time{}
		m.attend(t.Context(), n)
	}
	if ca.issued != 4 || n.pause != 0 || m.Stats().Issued != 4 || m.Stats().Failures != 3 {
		t.Errorf("%d are issued, the pause is %s, counts %+v", ca.issued, n.pause, m.Stats())
	}
}

// TestUnsaved: a certificate that can't be written is not lost, and no other one is requested.
func TestUnsaved(t *testing.T) {
	issued := 0
	ca, m, log := newIssuer(t, Options{Issued: func(string) { issued++ }})
	n := m.names[0]
	ca.begins, ca.ends = time.Now(), time.Now().Add(90*24*time.Hour)
	if err := os.RemoveAll(m.folder); err != nil {
		t.Fatal(err)
	}
	if m.attend(t.Context(), n); ca.issued != 0 || !strings.Contains(log(), "account key not saved") || strings.Count(log(), "tls.acme.folder must be writable") != 1 {
		t.Errorf("without a folder: %d certificates are issued; log:\n%s", ca.issued, log())
	}
	inTheWay := filepath.Join(m.file("a.test"), "directory")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n.next = time.Time{}
		m.attend(t.Context(), n)
	}
	if ca.issued != 1 || issued != 0 || strings.Count(log(), "certificate not saved") != 2 || !strings.Contains(log(), "tls.acme.folder must be writable") {
		t.Fatalf("%d certificates are issued; log:\n%s", ca.issued, log())
	}
	if err := os.RemoveAll(m.file("a.test")); err != nil {
		t.Fatal(err)
	}
	n.next = time.Time{}
	m.attend(t.Context(), n)
	if due, _ := m.due("a.test", time.Now()); due || ca.issued != 1 || issued != 1 || n.pause != 0 {
		t.Errorf("it is due: %v, %d certificates are issued, the pause is %s", due, ca.issued, n.pause)
	}
}
