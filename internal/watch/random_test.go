package watch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"holdfast/internal/appcall"
)

// TestRandom: random holders, changes, failures and messages against a model of the app. The app is asked for no channel that
// nobody holds, and never for more than InFlight at a time. When it works again, each holder's newest message is its state.
func TestRandom(t *testing.T) {
	for seed := range uint64(20) {
		run(t, Options{InFlight: 3, MaxChannels: 8}, "p.{id} /p?id={id} 5s body", func(w *world) {
			random := rand.New(rand.NewPCG(seed, 14))
			state, failing := map[string]string{}, false
			w.answers(func(path string, known appcall.Validators) (appcall.Page, error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				text, took := path+" "+state[path], time.Duration(random.IntN(300))*time.Millisecond
				w.mu.Unlock()
				time.Sleep(took)
				w.mu.Lock()
				if failing && random.IntN(2) == 0 {
					return appcall.Page{}, []error{appcall.ErrUnreachable, appcall.ErrTimeout, appcall.ErrCut}[random.IntN(3)]
				}
				p := page(200, text)
				if p.Validators.ETag = `"` + text + `"`; p.Validators.ETag == known.ETag {
					return appcall.Page{Status: 304}, nil
				}
				return p, nil
			})
			heldAt := map[string]time.Duration{} // path → the last time when somebody held it
			name := func(i int) (channel, path string) { return fmt.Sprint("p.", i), fmt.Sprint("/p?id=", i) }
			look := func() {
				t.Helper()
				for _, r := range w.requests() {
					if w.members["p."+strings.TrimPrefix(r.path, "/p?id=")] == nil && r.at > heldAt[r.path] {
						t.Fatalf("seed %d: %s is asked for at %v and was held until %v", seed, r.path, r.at, heldAt[r.path])
					}
				}
			}
			for range 2000 {
				channel, path := name(random.IntN(12))
				w.mu.Lock()
				changes, fails := random.IntN(4) == 0, random.IntN(20) == 0
				notes, leaves := random.IntN(20) == 0, random.IntN(3) == 0
				pause := time.Duration(random.IntN(2000)) * time.Millisecond
				switch {
				case changes:
					state[path] = fmt.Sprint(random.IntN(5))
				case fails:
					failing = !failing
				}
				w.mu.Unlock()
				switch m := w.members[channel]; {
				case changes, fails:
				case notes:
					w.publish(channel, "note")
				case m == nil:
					w.hold(channel)
				case leaves:
					w.leave(channel)
					heldAt[path] = time.Since(w.began)
				}
				w.pass(pause)
				look()
			}
			if w.most > 3 {
				t.Errorf("seed %d: %d requests at a time", seed, w.most)
			}
			w.mu.Lock()
			failing = false
			w.mu.Unlock()
			for i := range 12 { // no more than can be watched
				channel, _ := name(i)
				if w.members[channel] != nil && i >= 8 {
					w.leave(channel)
				}
			}
			w.pass(2 * time.Minute)
			for i := range 8 {
				channel, path := name(i)
				w.mu.Lock()
				state[path] += "end"
				w.mu.Unlock()
				if w.members[channel] == nil {
					w.hold(channel)
				}
			}
			w.pass(time.Minute)
			for i := range 8 {
				channel, path := name(i)
				if got := w.members[channel].text(); !strings.HasSuffix(got, path+" "+state[path]) {
					t.Errorf("seed %d: the newest of %s is not %q: %s", seed, channel, state[path], got[max(0, len(got)-60):])
				}
			}
			s := w.watcher.Stats()
			if s.Channels != 8 || s.Waiting != 0 || s.Failing != 0 {
				t.Errorf("seed %d: %+v", seed, s)
			}
		})
	}
}
