package balance

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"
)

// An app that writes without end, and never ends a line, is unhealthy at once.
func TestCheckReadsNoEndlessLine(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for junk := make([]byte, 64<<10); err == nil; {
			_, err = c.Write(junk)
		}
	}()
	set := NewSet(Options{
		CheckPath: "/", CheckEvery: time.Minute, ConnectTime: time.Minute, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	set.Add([]Upstream{{Network: "tcp", Address: ln.Addr().String()}}, nil)
	if err := set.check(context.Background(), set.servers[0]); !errors.Is(err, bufio.ErrBufferFull) {
		t.Errorf("got %v; want %v", err, bufio.ErrBufferFull)
	}
}
