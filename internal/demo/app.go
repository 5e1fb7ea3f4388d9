package demo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ErrClosed is what Serve returns after Shutdown.
var ErrClosed = errors.New("demo: closed")

// Options of an App. The zero value means what the comments say.
type Options struct {
	HooksURL    string        // where Holdfast's API listener is; http://127.0.0.1:9090
	PushPath    string        // push.path of the Holdfast in front; /_push
	StatusDelay time.Duration // how long a status takes; 400ms
	AutoMove    time.Duration // the parcel moves by itself when it has stood still for so long; 0 is never
	Log         *slog.Logger  // nil is silence
}

// App is the demo app. Its state lives as long as it does.
type App struct {
	options Options
	log     *slog.Logger
	handler http.Handler
	server  http.Server
	client  http.Client
	parcel  *parcel
	ledger  *ledger

	// moving is held from a change until it is published, so that the messages of a parcel leave in the
	// order of its changes. The parcel's own lock is not: a status does not wait for the API listener.
	moving sync.Mutex

	conns sync.WaitGroup // connections of server

	// life is what works for no client lives in, the mover and publishing; kill ends it.
	life context.Context
	kill context.CancelFunc
}

// New returns an App that has started nothing.
func New(o Options) *App {
	if o.HooksURL == "" {
		o.HooksURL = "http://127.0.0.1:9090"
	}
	if o.PushPath == "" {
		o.PushPath = "/_push"
	}
	if o.StatusDelay == 0 {
		o.StatusDelay = 400 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.HooksURL = strings.TrimRight(o.HooksURL, "/")
	a := &App{
		options: o,
		log:     o.Log,
		parcel:  newParcel(time.Now()),
		ledger:  newLedger(time.Now()),
	}
	a.life, a.kill = context.WithCancel(context.Background())
	a.handler = a.routes()
	a.client = newClient()
	a.server = http.Server{
		Handler:           a.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute, // longer than Holdfast keeps a connection, see upstream_pool in config.yaml
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
		ConnState:         a.connState,
	}
	return a
}

// Handler is the app without a server, and without AutoMove.
func (a *App) Handler() http.Handler { return a.handler }

// Serve answers requests on ln, and moves the parcel if AutoMove says so. It returns ErrClosed after
// Shutdown, or why ln broke; by then ln is closed and everything that Serve began has ended. An App
// serves once.
func (a *App) Serve(ln net.Listener) error {
	var mover sync.WaitGroup
	if a.options.AutoMove > 0 {
		mover.Go(a.autoMove)
	}
	err := a.server.Serve(ln)
	if errors.Is(err, http.ErrServerClosed) {
		<-a.life.Done() // until then requests in progress have their time
		err = ErrClosed
	}
	a.kill()
	_ = a.server.Close() // only says that ln is closed already
	mover.Wait()
	a.conns.Wait()
	return err
}

// Shutdown makes Serve return. Requests in progress have until the end of ctx; then they are cut, and
// Shutdown returns the ctx's error.
func (a *App) Shutdown(ctx context.Context) error {
	defer a.kill()
	return a.server.Shutdown(ctx)
}

// connState counts connections. The server announces a new one from within Serve, so none is added any
// more when Serve waits for the last.
func (a *App) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		a.conns.Add(1)
	case http.StateClosed: // nothing here hijacks
		a.conns.Done()
	}
}

// autoMove moves the parcel whenever it has stood still for AutoMove.
func (a *App) autoMove() {
	timer := time.NewTimer(a.options.AutoMove)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-a.life.Done():
			return
		}
		rest := a.options.AutoMove - time.Since(a.parcel.changed())
		if rest <= 0 { // nobody else has moved it in the meantime
			_, _, _ = a.move("")
			rest = a.options.AutoMove
		}
		timer.Reset(rest)
	}
}
