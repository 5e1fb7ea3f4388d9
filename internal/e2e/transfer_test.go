//go:build e2e && linux

package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	bigSize       = 1_000_000_000
	bigMostMemory = 64_000_000 // resident at any time, program text included
)

// bigStream is bigSize bytes that are made as they are read, no two blocks of which are equal.
type bigStream struct{ at int64 }

func (s *bigStream) Read(p []byte) (int, error) {
	left := bigSize - s.at
	if left == 0 {
		return 0, io.EOF
	}
	n := min(len(p)&^7, int(left))
	if n == 0 {
		return 0, io.ErrShortBuffer
	}
	for i := 0; i < n; i += 8 {
		x := uint64(s.at) + uint64(i)
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(p[i:i+8], x^x>>31)
	}
	s.at += int64(n)
	return n, nil
}

var bigHash = sync.OnceValue(func() string {
	h := sha256.New()
	io.CopyBuffer(h, &bigStream{}, make([]byte, 64<<10))
	return sum(h)
})

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// bigApp takes an upload and answers with its length and hash, or sends a big download. It stores
// nothing.
type bigApp struct {
	sent atomic.Int64 // bytes of downloads that Holdfast has taken
}

func (app *bigApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf := make([]byte, 64<<10)
	switch r.Method {
	case http.MethodPost:
		h := sha256.New()
		n, err := io.CopyBuffer(h, r.Body, buf)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%d %s", n, sum(h))
	case http.MethodGet:
		if r.URL.Query().Get("length") == "known" {
			w.Header().Set("Content-Length", strconv.Itoa(bigSize))
		}
		io.CopyBuffer(io.MultiWriter(w, (*countWriter)(&app.sent)), &bigStream{}, buf)
	}
}

type countWriter atomic.Int64

func (c *countWriter) Write(p []byte) (int, error) {
	(*atomic.Int64)(c).Add(int64(len(p)))
	return len(p), nil
}

// TestCostBigTransfer passes 1 GB in both directions and in both framings, over TCP and over a
// unix socket, in bounded memory.
func TestCostBigTransfer(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		addr := "127.0.0.1:0"
		if network == "unix" {
			addr = filepath.Join(t.TempDir(), "app.sock")
		}
		t.Run(network, func(t *testing.T) {
			app := new(bigApp)
			h := startHoldfast(t, serveApp(t, network, addr, app), "")
			for _, length := range []string{"known", "chunked"} {
				t.Run("upload, length "+length, func(t *testing.T) { testBigUpload(t, h, length == "known") })
				t.Run("download, length "+length, func(t *testing.T) { testBigDownload(t, h, length) })
			}
			if network == "tcp" {
				t.Run("download by a client that stops reading", func(t *testing.T) {
					upstream := serveApp(t, network, addr, app)
					streaming := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
						return fmt.Sprintf(`{listen: %q, upstream: %q, hooks: {listen: %q}, buffers: {temp_dir: none}}`, listen, upstream, hooks)
					})
					testStalledDownload(t, streaming, app)
					wantBounded(t, streaming)
				})
			}
			wantBounded(t, h)
		})
	}
}

// wantBounded wants that the process has never used much memory.
func wantBounded(t *testing.T, h *holdfast) {
	t.Helper()
	peak := h.peakMemory(t)
	t.Logf("at most %d kB were resident", peak>>10)
	if peak >= bigMostMemory {
		t.Errorf("the process used %d B of memory, want less than %d", peak, bigMostMemory)
	}
}

func testBigUpload(t *testing.T, h *holdfast, lengthKnown bool) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/upload", &bigStream{})
	if err != nil {
		t.Fatal(err)
	}
	if lengthKnown {
		req.ContentLength = bigSize
	}
	res, err := patientVisitor(t, h).http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d %s", bigSize, bigHash()); string(body) != want {
		t.Errorf("the app had %q, want %q", body, want)
	}
}

func testBigDownload(t *testing.T, h *holdfast, length string) {
	res := startBigDownload(t, h, length)
	if length == "known" && res.ContentLength != bigSize {
		t.Errorf("Content-Length is %d", res.ContentLength)
	}
	wantRest(t, res.Body, sha256.New(), 0)
}

func startBigDownload(t *testing.T, h *holdfast, length string) *http.Response {
	t.Helper()
	res, err := patientVisitor(t, h).http.Get(h.url + "/download?length=" + length)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func patientVisitor(t *testing.T, h *holdfast) *visitor {
	v := newVisitor(t, h.url)
	v.http.Timeout = 5 * patience
	return v
}

// wantRest reads to the end of a big download, of which have bytes are in hash already.
func wantRest(t *testing.T, body io.Reader, hash hash.Hash, have int64) {
	t.Helper()
	n, err := io.CopyBuffer(hash, body, make([]byte, 64<<10))
	if err != nil {
		t.Fatalf("after %d bytes: %v", have+n, err)
	}
	if have+n != bigSize || sum(hash) != bigHash() {
		t.Errorf("received %d bytes with hash %s, want %d with %s", have+n, sum(hash), bigSize, bigHash())
	}
}

// testStalledDownload wants that what the client does not take stays with the app, where no temporary file takes it.
func testStalledDownload(t *testing.T, h *holdfast, app *bigApp) {
	app.sent.Store(0)
	res := startBigDownload(t, h, "known")
	hash := sha256.New()
	const head = 1 << 20
	if _, err := io.CopyN(hash, res.Body, head); err != nil {
		t.Fatal(err)
	}
	still := 0
	for last := int64(-1); still < 10; time.Sleep(100 * time.Millisecond) {
		sent := app.sent.Load()
		if sent == last {
			still++
		} else {
			last, still = sent, 0
		}
	}
	// Socket buffers of two connections, and what Holdfast has in hand.
	if sent := app.sent.Load(); sent > 64<<20 {
		t.Errorf("the app has got rid of %d bytes for a client that has taken %d", sent, head)
	}
	wantRest(t, res.Body, hash, head)
}
