package server

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"

	"holdfast/internal/config"
)

// serve runs a server with a configuration. shutDown begins its end, and stop waits for that too; the test's end does so.
func serve(t *testing.T, text string, log io.Writer, prepare ...func(*Server)) (s *Server, shutDown, stop func()) {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = New(c, slog.New(slog.NewTextHandler(log, nil))); err != nil {
		t.Fatal(err)
	}
	for _, f := range prepare {
		f(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	donec := make(chan error, 1)
	go func() { donec <- s.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-donec; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s, cancel, stop
}
