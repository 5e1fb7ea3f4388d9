package acmeclient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

func newManager(t *testing.T, o Options) (*Manager, *wiretest.Log) {
	t.Helper()
	log := new(wiretest.Log)
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	if o.Folder == "" {
		o.Folder = filepath.Join(t.TempDir(), "acme")
	}
	if o.Directory == "" {
		o.Directory = "https://ca.test/dir"
	}
	if o.Issued == nil {
		o.Issued = func(string) { t.Error("issued") }
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m, log
}

// selfSigned returns a certificate of a time for names, and its key.
func selfSigned(t *testing.T, begins, ends time.Time, names ...string) ([][]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: begins, NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{der}, key
}

// TestDue: what is missing, unfit, of another name, or in the last third of its lifetime.
func TestDue(t *testing.T) {
	m, log := newManager(t, Options{Names: []string{"a.test"}})
	now := time.Now()
	if due, _ := m.due("a.test", now); !due || log.String() != "" {
		t.Errorf("a missing certificate is due: %v; log:\n%s", due, log)
	}
	chain, key := selfSigned(t, now.Add(-59*time.Hour), now.Add(31*time.Hour), "a.test")
	if err := m.store("a.test", chain, key); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{0: false, 59 * time.Minute: false, 61 * time.Minute: true, 100 * time.Hour: true} {
		if due, ends := m.due("a.test", now.Add(after)); due != want || ends.Sub(now).Round(time.Hour) != 31*time.Hour {
			t.Errorf("after %s it is due: %v, ends %s", after, due, ends)
		}
	}
	if files := m.Files(); len(files) != 1 || files[0] != m.file("a.test") {
		t.Errorf("files are %v", files)
	}
	if err := os.WriteFile(m.file("a.test"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if due, _ := m.due("a.test", now); !due || !strings.Contains(log.String(), "file of a certificate is not fit") {
		t.Errorf("a file that is no certificate is due: %v; log:\n%s", due, log)
	}
}

// TestStore: what the CA sends is written only if it is for the name and the key.
func TestStore(t *testing.T) {
	m, _ := newManager(t, Options{Names: []string{"a.test"}})
	now := time.Now()
	chain, key := selfSigned(t, now, now.Add(time.Hour), "a.test")
	other, otherKey := selfSigned(t, now, now.Add(time.Hour), "b.test")
	for _, tt := range []struct {
		chain [][]byte
		key   *ecdsa.PrivateKey
	}{{chain, otherKey}, {other, otherKey}, {nil, key}, {[][]byte{{1, 2}}, key}} {
		if err := m.store("a.test", tt.chain, tt.key); err == nil {
			t.Error("stored")
		}
	}
	if files := m.Files(); len(files) > 0 {
		t.Errorf("files are %v", files)
	}
	if err := m.store("a.test", chain, key); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(m.folder)
	if err != nil || len(list) != 1 {
		t.Errorf("the folder has %v, %v", list, err)
	}
	if info, err := os.Stat(m.file("a.test")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestFailures: each is in the log with what the CA says; the pause doubles, and is the CA's if that is longer. A name that
// is not configured is never asked for.
func TestFailures(t *testing.T) {
	var status int
	var problem string
	var after string
	asked := 0
	var ca *httptest.Server
	ca = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Replay-Nonce", "bm9uY2U")
		switch r.URL.Path {
		case "/dir":
			json.NewEncoder(w).Encode(map[string]string{"newNonce": ca.URL + "/nonce", "newAccount": ca.URL + "/account", "newOrder": ca.URL + "/order"})
		case "/account":
			w.Header().Set("Location", ca.URL+"/account/1")
			w.WriteHeader(http.StatusCreated)
			w.Write([]byte(`{"status":"valid"}`))
		case "/order":
			asked++
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(map[string]any{"type": problem, "detail": "no order today", "status": status})
		}
	}))
	defer ca.Close()
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	m, log := newManager(t, Options{Names: []string{"a.test"}, Directory: ca.URL + "/dir", Roots: roots, HTTP: always, TLS: true})
	n := m.names[0]
	status, problem = 403, "urn:ietf:params:acme:error:rejectedIdentifier"
	for i, want := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute} {
		n.next = time.Time{}
		m.attend(t.Context(), n)
		if n.pause != want || m.Stats().Failures != int64(i+1) {
			t.Errorf("attempt %d: the pause is %s, %d failures", i, n.pause, m.Stats().Failures)
		}
	}
	if asked != 3 { // another challenge does not help
		t.Errorf("%d orders", asked)
	}
	if text := log.String(); strings.Count(text, "certificate not issued") != 3 || !strings.Contains(text, "no order today") || !strings.Contains(text, "retry_in=20m") {
		t.Errorf("log:\n%s", text)
	}
	m.attend(t.Context(), n)
	if asked != 3 {
		t.Error("asked again before the pause is over")
	}
	for range 10 {
		n.next = time.Time{}
		m.attend(t.Context(), n)
	}
	if n.pause != maxPause {
		t.Errorf("the longest pause is %s", n.pause)
	}
	if err := m.obtain(t.Context(), "b.test"); err == nil || !strings.Contains(err.Error(), "not in tls.acme.names") || asked != 13 {
		t.Errorf("another name: %v", err)
	}
	ca.Close()
	n.next = time.Time{}
	m.attend(t.Context(), n)
	if text := log.String(); !strings.Contains(text, "is tls.acme.directory reachable") {
		t.Errorf("log:\n%s", text)
	}
}

func TestLimited(t *testing.T) {
	problem := &acme.Error{ProblemType: "urn:ietf:params:acme:error:rateLimited", Header: http.Header{"Retry-After": {"7200"}}}
	for _, err := range []error{problem, &challengeError{httpChallenge, problem}} {
		if after, ok := limited(err); !ok || after != 2*time.Hour {
			t.Errorf("%v: %s, %v", err, after, ok)
		}
	}
	if _, ok := limited(os.ErrNotExist); ok {
		t.Error("limited by a file")
	}
}

// TestFolder: made for this user alone; one that others can read is refused.
func TestFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "acme")
	m, _ := newManager(t, Options{Folder: folder, Directory: "https://ca.test:14000/dir"})
	for _, name := range []string{folder, filepath.Join(folder, "ca.test")} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	first, err := m.accountKey()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.accountKey(); err != nil || !first.Public().(*ecdsa.PublicKey).Equal(again.Public()) {
		t.Errorf("the key of the account changes: %v", err)
	}
	if err := os.WriteFile(filepath.Join(m.folder, accountFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.accountKey(); err == nil || !strings.Contains(err.Error(), "remove it for a new account") {
		t.Errorf("a broken key: %v", err)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Folder: folder, Directory: "https://ca.test/dir"}); err == nil || !strings.Contains(err.Error(), "mode 0755") {
		t.Errorf("an open folder: %v", err)
	}
}

// TestChallenges: answered while an order is in progress, for the exact path and name, and to handshakes of ACME only.
func TestChallenges(t *testing.T) {
	m, _ := newManager(t, Options{Names: []string{"a.test"}})
	key, err := m.accountKey()
	if err != nil {
		t.Fatal(err)
	}
	client := &acme.Client{Key: key}
	path := ChallengePath + "token"
	withdrawHTTP, err := m.present(client, &acme.Challenge{Type: httpChallenge, Token: "token"}, "a.test")
	if err != nil {
		t.Fatal(err)
	}
	withdrawTLS, err := m.present(client, &acme.Challenge{Type: tlsChallenge, Token: "token"}, "a.test")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.Response([]byte(path))); !strings.HasPrefix(got, "token.") {
		t.Errorf("the response is %q", got)
	}
	for _, other := range []string{"/", path + "/", path + "2", ChallengePath, "/.well-known/acme-challenge", strings.ToUpper(path)} {
		if got := m.Response([]byte(other)); got != nil {
			t.Errorf("%s: %q", other, got)
		}
	}
	hello := func(name string, protos ...string) *tls.ClientHelloInfo {
		return &tls.ClientHelloInfo{ServerName: name, SupportedProtos: protos}
	}
	if cert, challenge := m.Certificate(hello("A.test", "acme-tls/1")); cert == nil || !challenge {
		t.Error("no certificate for the challenge")
	}
	for _, h := range []*tls.ClientHelloInfo{hello("a.test"), hello("a.test", "http/1.1"), hello("a.test", "acme-tls/1", "http/1.1")} {
		if cert, challenge := m.Certificate(h); cert != nil || challenge {
			t.Errorf("%v counts as a challenge", h.SupportedProtos)
		}
	}
	if cert, challenge := m.Certificate(hello("b.test", "acme-tls/1")); cert != nil || !challenge {
		t.Error("a challenge for another name is answered")
	}
	withdrawHTTP()
	withdrawTLS()
	if cert, _ := m.Certificate(hello("a.test", "acme-tls/1")); cert != nil || m.Response([]byte(path)) != nil {
		t.Error("answered after the order")
	}
	if n := m.Stats().Challenges; n != 2 {
		t.Errorf("%d challenges are counted", n)
	}
}
