package hooks

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/internal/apigate"
	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
)

// TestHeldRequestsGoOn checks that requests wait while the API is held, are made once when the hold ends, and that those
// about the process do not wait.
func TestHeldRequestsGoOn(t *testing.T) {
	a := start(t, "tcp", Options{})
	if err := Gate(a.Server).Hold(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	answers := make(chan answer, 3)
	for range cap(answers) {
		go func() { answers <- a.raw(request("POST /publish?channel=a", "", "x")) }()
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if got := a.raw(request("GET "+path, "", "")); got.status != 200 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if n := a.published(); n > 0 {
		t.Errorf("%d were published while the API was held", n)
	}
	Gate(a.Server).Release(nil)
	for range cap(answers) {
		if got := <-answers; got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if n := a.published(); n != 3 {
		t.Errorf("%d were published; want 3", n)
	}
}

// TestMovedRequestsArePassedOn checks that a caller with a connection to the first process gets the response of the second.
func TestMovedRequestsArePassedOn(t *testing.T) {
	first, second := start(t, "tcp", Options{Live: Live{Token: "0123456789abcdef"}}), start(t, "unix", Options{Live: Live{Token: "0123456789abcdef"}})
	const token = "Authorization: Bearer 0123456789abcdef\r\n"
	c := first.dial()
	br := bufio.NewReader(c)
	publish := func() {
		t.Helper()
		if _, err := io.WriteString(c, request("POST /publish?channel=a&event=e", token, "x")); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	if got := first.read(br, false); got.status != 200 || got.closes || first.published() != 1 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if err := Gate(first.Server).Hold(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	publish()
	Gate(first.Server).Release(&apigate.Successor{Dial: func() (net.Conn, error) { return second.dial(), nil }})
	if got := first.read(br, false); got.status != 200 || !got.closes || !strings.Contains(got.body, `"id"`) {
		t.Errorf("%+v", got)
	}
	if got := first.raw(request("GET /channels/a/messages", token, "")); got.status != 200 || !strings.Contains(got.body, `"event":"e"`) || !got.closes {
		t.Errorf("%+v", got)
	}
	if got := first.raw(request("GET /channels/none", token, "")); got.status != 404 {
		t.Errorf("%+v", got)
	}
	if first.published() != 1 || second.published() != 1 {
		t.Errorf("%d and %d were published", first.published(), second.published())
	}
	Gate(first.Server).Release(&apigate.Successor{Dial: func() (net.Conn, error) { return nil, errors.New("gone") }})
	got := first.raw(request("POST /publish?channel=a", token, "x"))
	if got.status != 503 || got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, "taken over, and does not respond") {
		t.Errorf("%+v", got)
	}
}

// TestWaitingRequestsAreVouchedFor: a request that has waited is accepted by an API with another token and other hosts, and
// a later one, whose token was wrong when it came, is not.
func TestWaitingRequestsAreVouchedFor(t *testing.T) {
	for _, next := range []string{"", "fedcba9876543210"} {
		first := start(t, "tcp", Options{Live: Live{Token: "0123456789abcdef", Hosts: []string{"api.test"}}})
		second := start(t, "tcp", Options{Live: Live{Token: next}})
		const token = "Authorization: Bearer 0123456789abcdef\r\n"
		if err := Gate(first.Server).Hold(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		answers := make(chan answer, 1)
		published := strings.Replace(request("POST /publish?channel=a", token, "x"), "Host: ", "Host: api.test\r\nX-Was: ", 1)
		go func() { answers <- first.raw(published) }()
		wiretest.Eventually(t, "the request waits", func() bool { return Gate(first.Server).Waiting() == 1 })
		Gate(first.Server).Release(&apigate.Successor{Dial: func() (net.Conn, error) { return second.dial(), nil }, Vouch: apigate.Voucher(next)})
		if got := <-answers; got.status != 200 || second.published() != 1 {
			t.Errorf("%+v", got)
		}
		if got := first.raw(published); got.status/100 != 4 || second.published() != 1 {
			t.Errorf("a later request: %+v", got)
		}
	}
}

// TestKeysMove checks that what was published with a key before is not published again by another process.
func TestKeysMove(t *testing.T) {
	old, next := start(t, "tcp", Options{}), New(Options{Hub: start(t, "tcp", Options{}).hub})
	first := old.publishWith("k", "?channel=a", "x")
	many := old.raw(request("POST /publish", "", `[{"channel":"a","data":1,"idempotency_key":"1"},{"channel":"a","data":2}]`))
	if first.status != 200 || many.status != 200 {
		t.Fatal(first, many)
	}
	b := ExportKeys(old.Server, nil)
	a := start(t, "tcp", Options{}, func(s *Server) {
		if err := ImportKeys(s, b); err != nil {
			t.Error(err)
		}
	})
	again := a.publishWith("k", "?channel=a", "x")
	if again.status != 200 || again.body != first.body || again.header.Get(replayedHeader) != "true" {
		t.Errorf("%+v; want %+v", again, first)
	}
	if got := a.publishWith("k", "?channel=a", "other"); got.status != 422 {
		t.Errorf("%+v", got)
	}
	a.raw(request("POST /publish", "", `[{"channel":"a","data":1,"idempotency_key":"1"},{"channel":"a","data":3}]`))
	if n := a.published(); n != 1 {
		t.Errorf("%d were published; want the one without a key", n)
	}
	for n := range b {
		if err := ImportKeys(next, b[:n]); err == nil {
			t.Fatalf("%d of %d bytes are read", n, len(b))
		}
	}
}

// TestPublishAfterTheMove: a message that reaches a hub whose channels another process has is refused, with the reason, and
// when to send it again.
func TestPublishAfterTheMove(t *testing.T) {
	a := start(t, "tcp", Options{})
	hub.ImageOf(a.hub).Moved()
	for _, r := range []string{
		request("POST /publish?channel=a", "", "x"), request("POST /publish", "Content-Type: application/json\r\n", `{"channel":"a","data":1,"idempotency_key":"k"}`),
	} {
		got := a.raw(r)
		if got.status != 503 || got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, "another process has taken over the channels") {
			t.Errorf("%+v", got)
		}
	}
	if n := a.published(); n != 0 {
		t.Errorf("%d were published", n)
	}
}
