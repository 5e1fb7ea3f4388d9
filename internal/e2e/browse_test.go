//go:build e2e && linux

package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// visitor is an HTTP client with a cookie jar and no opinion: it follows no redirect and unpacks
// no compression by itself.
type visitor struct {
	t    *testing.T
	base string
	http *http.Client
}

func newVisitor(t *testing.T, base string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t: t, base: base, http: &http.Client{
		Jar:       jar,
		Transport: transport,
		Timeout:   patience,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// answer is a response whose body has been read.
type answer struct {
	*http.Response
	body string
}

func (v *visitor) do(method, path string, header http.Header, body io.Reader) answer {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res, string(data)}
}

// get fetches path and wants 200.
func (v *visitor) get(path string) answer {
	v.t.Helper()
	a := v.do(http.MethodGet, path, nil, nil)
	a.want(v.t, http.StatusOK)
	return a
}

// post sends a form.
func (v *visitor) post(path string, form url.Values) answer {
	v.t.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return v.do(http.MethodPost, path, header, strings.NewReader(form.Encode()))
}

func (a answer) want(t *testing.T, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: %s, want %d\n%s", a.Request.Method, a.Request.URL, a.Status, status, a.body)
	}
}

// wantText wants each of these strings in the body.
func (a answer) wantText(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(a.body, w) {
			t.Errorf("%s %s: no %q in the answer\n%s", a.Request.Method, a.Request.URL, w, a.body)
		}
	}
}
