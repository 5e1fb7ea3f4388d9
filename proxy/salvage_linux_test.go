//go:build !park_plain

package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"holdfast/internal/wiretest"
)

// A connection that takes no more bytes, and on which a response was found all the same, is not used again. The loop sees
// the client's bytes first, as they came first.
func TestConnectionThatTakesNoMoreIsNotReused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	began, goOn, written := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		first, err := ln.Accept()
		if err != nil {
			return
		}
		defer first.Close()
		r := bufio.NewReader(first)
		if req, err := http.ReadRequest(r); err != nil || req.Method != "PUT" {
			return
		}
		io.ReadFull(r, make([]byte, 5))
		close(began)
		<-goOn
		first.(*net.UnixConn).CloseRead()
		first.Write(ok("enough"))
		close(written)
		second, err := ln.Accept()
		if err != nil {
			return
		}
		defer second.Close()
		if _, err := http.ReadRequest(bufio.NewReader(second)); err == nil {
			second.Write(ok("second"))
			io.Copy(io.Discard, second)
		}
	}()
	addr, p := start(t, path, func(o *Options) { o.Upstreams[0].Network = "unix" })
	c := wiretest.Dial(t, addr)
	c.Send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n01234")
	<-began
	held, release := make(chan struct{}, len(p.fronts)), make(chan struct{})
	goRound := sync.OnceFunc(func() { close(release) })
	defer goRound()
	for _, f := range p.fronts {
		f.loop.Post(func() {
			f.loop.Later(func() { // when what happened before has been told
				f.loop.Later(func() {
					held <- struct{}{}
					<-release
				})
			})
		})
	}
	for range p.fronts {
		<-held
	}
	c.Send("56789")
	close(goOn)
	<-written
	goRound()
	if resp, body := c.Response("PUT"); resp.StatusCode != 200 || body != "enough" {
		t.Fatalf("status %d, %q", resp.StatusCode, body)
	}
	c.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
	if resp, body := c.Response("POST"); resp.StatusCode != 200 || body != "second" {
		t.Errorf("status %d, %q; want 200 of a second connection", resp.StatusCode, body)
	}
}
