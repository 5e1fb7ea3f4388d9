package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/config"
)

// TestBlockedLogOutput: a full pipe behind standard error holds nothing up, and the lost lines are counted in the log.
func TestBlockedLogOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := NewLogWriter(w)
	c, err := config.Parse("c.yaml", []byte("listen: 127.0.0.1:0\nhooks: {listen: 127.0.0.1:0}\nlog: {level: info}\n"))
	if err != nil {
		t.Fatal(err)
	}
	log, _ := NewLog(c, l)
	s, err := New(c, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	donec := make(chan error, 1)
	go func() { donec <- s.Serve(ctx) }()
	for range 3 * logQueue / 100 { // more than waits, is being written, and fits into the pipe
		fmt.Fprintln(l, strings.Repeat("x", 99))
	}
	for range 20 { // each of them is refused with a line in the log
		resp, err := http.Get("http://" + s.Addr().String() + "/_push")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	cancel()
	if err := <-donec; err != nil {
		t.Error(err)
	}
	var all bytes.Buffer
	var group sync.WaitGroup
	group.Go(func() { io.Copy(&all, r) })
	l.Close()
	<-l.donec // on a busy machine Close may give up before
	w.Close()
	group.Wait()
	r.Close()
	if !strings.Contains(all.String(), "log lines dropped") {
		t.Errorf("nothing is said of what was lost, in %d bytes", all.Len())
	}
}

// TestLogIsFlushed: what was logged last, which says why it went down, is there.
func TestLogIsFlushed(t *testing.T) {
	var b bytes.Buffer
	l := NewLogWriter(&b)
	var want strings.Builder
	for i := range 1000 {
		fmt.Fprintln(l, i)
		fmt.Fprintln(&want, i)
	}
	l.Close()
	if b.String() != want.String() {
		t.Errorf("%d bytes are written; want %d", b.Len(), want.Len())
	}
}
