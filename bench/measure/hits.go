package measure

import (
	"fmt"
	"time"

	"holdfast/bench/load"
)

const sectionHits = "Hits: answered from memory"

// browserFields are what a browser sends with a poll.
const browserFields = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept: */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n" +
	"Referer: http://www.example.com/parcels/42\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n" +
	"Cookie: theme=dark; sid=8f14e45fceea167a5a36dedd4bea2543; seen=1732950000\r\n"

// hits asks for what is stored. The app is stopped before: nobody can have it answer.
func hits(c *cell) error {
	poll := func(path, fields string) []byte {
		return []byte("GET " + path + " HTTP/1.1\r\nHost: " + c.server.Addr.String() + "\r\n" + fields + "\r\n")
	}
	small, large, session := poll("/cached/s", ""), poll("/cached/64k", ""), poll("/session/s", browserFields)
	for _, request := range [][]byte{small, large, session} {
		if err := c.once(request); err != nil {
			return err
		}
	}
	c.server.StopApp()
	second := c.length(2 * time.Second)
	for _, r := range []struct {
		row     string
		conns   int
		request []byte
		size    int64
	}{
		{"128 B, 1 connection", 1, small, 128},
		{"128 B, 64 connections", 64, small, 128},
		{"128 B, 512 connections", 512, small, 128},
		{"64 KB, 64 connections", 64, large, 64 << 10},
		{"128 B of a session, a browser's request, 64 connections", 64, session, 128},
	} {
		if err := c.requestsIn(sectionHits, r.row, r.conns, r.request, r.size, second); err != nil {
			return err
		}
	}
	return nil
}

// once sends one request and waits for its answer.
func (c *cell) once(request []byte) error {
	var failed error
	done := false
	r := &load.Requester{}
	r.Done = func(r *load.Requester, _ time.Duration) []byte {
		if done = true; r.Response.Status != 200 {
			failed = fmt.Errorf("answer %d", r.Response.Status)
		}
		r.Conn.Close()
		return nil
	}
	r.Failed = func(_ *load.Requester, err error) { failed = orEnded(err) }
	if err := r.Dial(c.loop, c.server.Addr, request); err != nil {
		return err
	}
	if !c.loop.Run(10*time.Second, func() bool { return done || failed != nil }) {
		return fmt.Errorf("no answer to the first request")
	}
	return failed
}
