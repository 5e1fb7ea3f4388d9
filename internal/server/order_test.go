package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/wiretest"
)

const (
	orderSeeds    = 10
	orderClients  = 200
	orderChannels = 8
	orderRestarts = 4    // of each run
	orderPiece    = 1000 // messages that clients read, at least, between two restarts
	orderBatch    = 10   // messages of one publish, every 10 ms: 1,000 a second
)

// TestEveryRecordIsInOrderOrShowsItsGap: numbered messages are published to 200 clients of every kind that
// come and go, while Holdfast is started again on the same port and a middleman cuts connections in the
// middle of what they carry. What a client has of a channel is in order and without a hole or a repetition,
// but where it was told of a gap, and in the end it is up to date. In every other run history is on disk, and then no
// client is told of a gap of a channel that keeps everything.
func TestEveryRecordIsInOrderOrShowsItsGap(t *testing.T) {
	first := rand.Uint64()
	for i := range uint64(orderSeeds) {
		name, file := fmt.Sprintf("seed %d", first+i), ""
		if i%2 == 1 {
			name += ", on disk"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a run mostly sleeps
			if i%2 == 1 {
				file = filepath.Join(t.TempDir(), "history")
			}
			newOrder(t, first+i, file).run(t)
		})
	}
}

// order is one run: the server of the moment, and what was published.
type order struct {
	seed        uint64
	app         string
	file        string // of history; empty: none
	addr, hooks string // set by the first start
	stop        func() // of the server of the moment
	middleman   *middleman

	mu     sync.Mutex
	acked  [orderChannels]int // newest number that was acknowledged
	failed map[string]bool    // "channel/number" of which nobody knows whether it was published
	target [orderChannels]int // what every client has to come to; set when late
	late   atomic.Bool        // no more restarts and cuts; clients may end

	sum struct{ messages, resumes, gaps, cuts, restarts atomic.Int64 }
}

func newOrder(t *testing.T, seed uint64, file string) *order {
	o := &order{seed: seed, file: file, app: newApp(t), failed: map[string]bool{}, addr: "127.0.0.1:0", hooks: "127.0.0.1:0"}
	o.start(t)
	o.middleman = newMiddleman(t, o)
	return o
}

// start serves on the ports of the server before.
func (o *order) start(t *testing.T) {
	c, err := config.Parse("test.yaml", fmt.Appendf(nil, `
listen: %s
upstream: %s
hooks: {listen: "%s"}
timeouts: {drain: 100ms}
push: {history_file: %q}
channels:
  - {match: "few.**", access: public, history: {messages: 20}}
  - {match: "all.**", access: public, history: {messages: 100000, bytes: 64MB}}
`, o.addr, o.app, o.hooks, o.file))
	if err != nil {
		t.Fatal(err)
	}
	var s *Server
	wiretest.Eventually(t, "the ports are free again", func() bool {
		s, err = New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
		return err == nil
	})
	if o.stop == nil {
		o.addr, o.hooks = s.Addr().String(), s.HooksAddr().String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	donec := make(chan error, 1)
	go func() { donec <- s.Serve(ctx) }()
	o.stop = func() {
		cancel()
		if err := <-donec; err != nil {
			t.Error(err)
		}
	}
}

func (o *order) run(t *testing.T) {
	var clients, publisher sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	publisher.Go(func() { o.publish(ctx) })
	for i := range orderClients {
		c := &orderClient{order: o, random: rand.New(rand.NewPCG(o.seed, uint64(100+i))), kind: []string{"websocket", "websocket v1", "sse", "sse v1", "longpoll"}[i%5]}
		clients.Go(func() {
			if err := c.run(ctx); err != nil {
				t.Errorf("client %d, %s with %v: %v", i, c.kind, c.channels, err)
			}
		})
	}
	random := rand.New(rand.NewPCG(o.seed, 1))
	for i := range int64(orderRestarts) { // by what has happened, not by time: a loaded machine does less in a second
		piece := o.sum.messages.Load() + orderPiece + random.Int64N(orderPiece)
		wiretest.Eventually(t, "clients read, and are cut", func() bool {
			return o.sum.messages.Load() >= piece && o.sum.cuts.Load() > i
		})
		o.stop()
		o.start(t)
		o.sum.restarts.Add(1)
	}
	o.mu.Lock()
	o.target = o.acked
	o.mu.Unlock()
	o.late.Store(true)
	// Messages go on, so that a client without an id to resume from becomes up to date too.
	donec := make(chan struct{})
	go func() { clients.Wait(); close(donec) }()
	select {
	case <-donec:
	case <-time.After(3 * wiretest.Timeout):
		t.Errorf("not every client came up to date")
	}
	cancel()
	o.middleman.close()
	clients.Wait()
	publisher.Wait()
	o.stop()
	s := &o.sum
	t.Logf("%v published; %d messages read, %d resumes, %d gaps, %d cuts, %d restarts", o.acked, s.messages.Load(), s.resumes.Load(), s.gaps.Load(), s.cuts.Load(), s.restarts.Load())
	if s.messages.Load() == 0 || s.resumes.Load() == 0 || s.gaps.Load() == 0 && o.file == "" || s.cuts.Load() == 0 {
		t.Error("the run did not exercise everything")
	}
}

func orderChannel(i int) string {
	if i%2 == 0 {
		return fmt.Sprint("few.", i)
	}
	return fmt.Sprint("all.", i)
}

// publish publishes until ctx ends. What was not answered is not published again: nobody knows whether it was.
func (o *order) publish(ctx context.Context) {
	random := rand.New(rand.NewPCG(o.seed, 2))
	var next [orderChannels]int
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	tick := time.NewTicker(orderBatch * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		var body bytes.Buffer
		var batch []string
		before := next
		for range orderBatch {
			i := random.IntN(orderChannels)
			next[i]++
			batch = append(batch, fmt.Sprintf("%s/%d", orderChannel(i), next[i]))
			fmt.Fprintf(&body, `{"channel":%q,"data":%q}`+"\n", orderChannel(i), batch[len(batch)-1])
		}
		// Before it is asked for: a client may read a message before its answer is here.
		o.note(batch, true)
		resp, err := client.Post("http://"+o.hooks+"/publish", "application/x-ndjson", &body)
		if err == nil {
			var answer struct{ Messages []struct{ ID string } }
			err = json.NewDecoder(resp.Body).Decode(&answer)
			resp.Body.Close()
			if err == nil && (resp.StatusCode != 200 || len(answer.Messages) != orderBatch) {
				err = errors.New(resp.Status)
			}
		}
		if err == nil {
			o.note(batch, false)
			o.mu.Lock()
			for i := range next {
				if next[i] > before[i] {
					o.acked[i] = next[i]
				}
			}
			o.mu.Unlock()
		}
		<-tick.C
	}
}

func (o *order) note(batch []string, failed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range batch {
		if failed {
			o.failed[name] = true
		} else {
			delete(o.failed, name)
		}
	}
}

// acknowledged returns a number of channel between the two, without them, that was acknowledged; 0 if none.
func (o *order) acknowledged(channel string, after, before int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := after + 1; n < before; n++ {
		if !o.failed[fmt.Sprintf("%s/%d", channel, n)] {
			return n
		}
	}
	return 0
}
