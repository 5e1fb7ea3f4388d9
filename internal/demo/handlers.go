package demo

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

const (
	maxForm   = 4 << 10 // bytes of body of a move
	pollEvery = 3 * time.Second
)

//go:embed page.html page.css page.js
var files embed.FS

var page = template.Must(template.New("page.html").
	Funcs(template.FuncMap{"inc": func(i int) int { return i + 1 }}).
	ParseFS(files, "page.html"))

// errStatus is a move to a state that a parcel does not have.
var errStatus = errors.New("demo: no such status")

// The page needs nothing from anywhere else, and is in nobody's frame.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (a *App) routes() http.Handler {
	assets := http.FileServerFS(files)
	moves := http.NewCrossOriginProtection()
	moves.SetDenyHandler(http.HandlerFunc(a.refuseCrossOrigin))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.getPage)
	mux.Handle("GET /page.css", asset(assets, "text/css; charset=utf-8"))
	mux.Handle("GET /page.js", asset(assets, "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /{pane}/status", a.getStatus)
	mux.Handle("POST /parcels/{parcel}/move", moves.Handler(http.HandlerFunc(a.postMove)))
	return mux
}

// asset serves a file of the page. A client asks before it uses a copy: a new binary brings new files under
// the same names. The type is given, as the one that this machine knows for a name may be another.
func asset(h http.Handler, contentType string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
	})
}

func (a *App) getPage(w http.ResponseWriter, _ *http.Request) {
	body, err := a.page()
	if err != nil {
		a.log.Error("demo page", "error", err)
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // the page counts from what is in it
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body) // fails when the client has gone
}

func (a *App) page() ([]byte, error) {
	atLoad := a.answer()
	atLoadJSON, err := json.Marshal(atLoad)
	if err != nil {
		return nil, err
	}
	views := paneViews
	for i := range views {
		views[i].Now, views[i].Steps = atLoad.State, steps[:]
	}
	var body bytes.Buffer
	err = page.Execute(&body, struct {
		Now                        state
		AtLoad                     string
		PushPath, Channel, Watched string
		PollEvery, StatusDelay     time.Duration
		AutoMove                   time.Duration
		Panes                      []paneView
	}{
		Now: atLoad.State, AtLoad: string(atLoadJSON),
		PushPath: a.options.PushPath, Channel: channel, Watched: watched,
		PollEvery: pollEvery, StatusDelay: a.options.StatusDelay, AutoMove: a.options.AutoMove,
		Panes: views[:],
	})
	return body.Bytes(), err
}

// status is what the app answers to a poll. The page takes the costs from the answers to pane 0, which all come from the app.
type status struct {
	State state `json:"state"`
	costs
}

func (a *App) answer() status { return status{a.parcel.state(), a.ledger.costs()} }

// getStatus is slow first and looks then, so what it says is fresh: polling is shown at its best.
func (a *App) getStatus(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	p := pane(r.PathValue("pane"))
	if !a.ledger.has(p) {
		refuse(w, http.StatusNotFound, "no such pane")
		return
	}
	work := time.NewTimer(a.options.StatusDelay)
	defer work.Stop()
	select {
	case <-work.C:
	case <-r.Context().Done():
		return // the client has gone: there is nobody to answer
	}
	a.ledger.charge(p, time.Since(begin))
	if p == paneShim { // whose page polls again once it is answered, so a poll may wait
		w.Header().Set("Push-Channel", channel+"; hold=10")
	}
	writeJSON(w, http.StatusOK, a.answer())
}

func (a *App) postMove(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("parcel") != parcelID {
		refuse(w, http.StatusNotFound, "no such parcel; there is "+parcelID)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	now, subscribers, err := a.move(r.PostForm.Get("status"))
	if errors.Is(err, errStatus) {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("no such status; there are %s", strings.Join(steps[:], ", ")))
		return
	}
	answer := struct {
		state
		Published   bool   `json:"published"`
		Subscribers int    `json:"subscribers"` // whom the message is on its way to
		Error       string `json:"error,omitempty"`
	}{state: now, Published: err == nil, Subscribers: subscribers}
	if err != nil {
		answer.Error = err.Error()
	}
	writeJSON(w, http.StatusOK, answer)
}

// move moves the parcel and publishes where it is. With errStatus nothing has happened; with any other
// error the parcel has moved, and only the pages that poll will know. It does not end with a request: a
// client that hangs up does not stop the message of a parcel that has moved.
func (a *App) move(status string) (now state, subscribers int, err error) {
	a.moving.Lock()
	defer a.moving.Unlock()
	now, ok := a.parcel.move(status, time.Now())
	if !ok {
		return state{}, 0, errStatus
	}
	subscribers, err = a.publish(now)
	if err != nil {
		a.log.Warn("demo parcel has moved, but that was not published", "status", now.Status, "error", err)
		return now, 0, err
	}
	a.log.Debug("demo parcel has moved", "status", now.Status, "subscribers", subscribers)
	return now, subscribers, nil
}

func (a *App) refuseCrossOrigin(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusForbidden, "pages of other origins do not move parcels")
}

func refuse(w http.ResponseWriter, status int, reason string) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{reason})
}

// writeJSON ends the answer with a newline, for those who read it in a terminal.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails when the client has gone
}
