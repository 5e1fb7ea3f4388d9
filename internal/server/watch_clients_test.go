package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/wiretest"
)

// TestWatchManyClients: clients of several loops come and go, and hold several channels each, while the app fails now and then.
// In the end nobody is asked for, and the state that a last client receives is the newest.
func TestWatchManyClients(t *testing.T) {
	a := newPolledApp(t)
	var n atomic.Int64
	a.responds(func(w http.ResponseWriter, r *http.Request) {
		switch i := n.Add(1); i % 10 {
		case 0:
			w.WriteHeader(http.StatusInternalServerError)
		case 1:
			panic(http.ErrAbortHandler)
		default:
			fmt.Fprint(w, i)
		}
	})
	s, _, _ := serveWatch(t, a, `
push: {watch_channels: 10, watch_in_flight: 3}
channels: [{match: "**", access: public}]
watch: [{channel: "parcel.{id}", url: "/status.php?id={id}", every: 100ms}]
`)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 40 {
				one, two := fmt.Sprint("parcel.", rand.IntN(15)), fmt.Sprint("parcel.", rand.IntN(15))
				st := hold(t, s, "", one, two, "news")
				if rand.IntN(3) == 0 {
					st.until(`"data"`)
				}
				_ = st.Close()
			}
		})
	}
	group.Wait()
	wiretest.Eventually(t, "nobody is asked for", func() bool {
		x := s.watcher.Stats()
		return x.Channels == 0 && x.InFlight == 0 && x.Waiting == 0 && x.Failing <= 15
	})
	a.responds(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the end") })
	hold(t, s, "", "parcel.3").until(`"data":"the end"`)
}
