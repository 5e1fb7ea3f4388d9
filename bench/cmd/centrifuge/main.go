// Command centrifuge is a small server around the Centrifuge library, as its documentation builds one: WebSocket
// and SSE, subscriptions made by the server, no history and no presence. Its documented savings of memory are on
// where they cost no latency: a pool of write buffers, a read buffer of 512 bytes, commands off the read loop.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/centrifugal/centrifuge"
)

const heartbeat = 10 * time.Second // as for every peer

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: centrifuge ADDRESS")
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, serve(os.Args[1]))
	os.Exit(1)
}

func serve(listen string) error {
	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelNone})
	if err != nil {
		return err
	}
	node.OnConnecting(func(_ context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		var wants struct{ Channel string }
		if err := json.Unmarshal(e.Data, &wants); err != nil {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectBadRequest
		}
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Subscriptions: map[string]centrifuge.SubscribeOptions{wants.Channel: {}},
		}, nil
	})
	node.OnConnect(func(*centrifuge.Client) {})
	if err := node.Run(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin:    func(*http.Request) bool { return true },
		ReadBufferSize: 512, UseWriteBufferPool: true, ProcessCommandsOffReadLoop: true,
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: heartbeat, PongTimeout: heartbeat / 2},
	}))
	mux.Handle("/sse", centrifuge.NewSSEHandler(node, centrifuge.SSEConfig{
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: heartbeat, PongTimeout: -1},
	}))
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			body, _ = json.Marshal(string(body))
			_, err = node.Publish(r.URL.Query().Get("channel"), body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /goroutines", func(w http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory() // what is measured next is what is held, not garbage
		fmt.Fprintf(w, "go_goroutines %d\n", runtime.NumGoroutine())
	})
	server := http.Server{Addr: listen, Handler: mux}
	return server.ListenAndServe()
}
