// Command mercure is the Mercure hub in the smallest server: its in-memory transport, anonymous subscribers, and
// publishers that show a signed token.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/dunglas/mercure"
)

const heartbeat = 10 * time.Second // as for every peer

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: mercure ADDRESS KEY")
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, serve(os.Args[1], os.Args[2]))
	os.Exit(1)
}

func serve(listen, key string) error {
	selectors, err := mercure.NewTopicSelectorStoreCache(mercure.DefaultTopicSelectorStoreCacheMaxEntriesPerShard,
		mercure.DefaultTopicSelectorStoreCacheShardCount)
	if err != nil {
		return err
	}
	hub, err := mercure.NewHub(context.Background(),
		mercure.WithAnonymous(),
		mercure.WithPublisherJWT([]byte(key), "HS256"),
		mercure.WithHeartbeat(heartbeat),
		mercure.WithWriteTimeout(0),
		mercure.WithLogger(slog.New(slog.DiscardHandler)),
		mercure.WithTopicSelectorStore(selectors),
		mercure.WithTransport(mercure.NewLocalTransport(mercure.NewSubscriberList(mercure.DefaultSubscriberListCacheSize))),
	)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/.well-known/mercure", hub)
	mux.HandleFunc("GET /goroutines", func(w http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory() // what is measured next is what is held, not garbage
		fmt.Fprintf(w, "go_goroutines %d\n", runtime.NumGoroutine())
	})
	server := http.Server{Addr: listen, Handler: mux}
	return server.ListenAndServe()
}
