package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"runtime/debug"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"holdfast/internal/metric"
	"holdfast/internal/render"
)

const (
	maxViewers = 32
	slowViewer = 10 * time.Second // how long a write may take
	window     = 10               // samples; rates are about the time from the oldest to the newest
	processAge = 5                // how many samples share what is known of the process: counting its descriptors takes time
)

// viewer is an open page.
type viewer struct {
	wakec chan struct{} // holds one: there is a new state
	endc  chan struct{} // closed by disconnectLocked
	ended bool          // guarded by Page.mu: it is
	seq   uint64        // of the last line of the log that it has; owned by its goroutine
}

// Live responds with a stream of events. One has a state, or lines of the log, as JSON. The connection ends with the
// stream. admitted reports whether who has asked may still see the page, as it may be about to change; see Disconnect.
func (p *Page) Live(ctx *fasthttp.RequestCtx, admitted func() bool) error {
	p.mu.Lock()
	closed, full := p.closed, len(p.viewers) >= maxViewers
	p.mu.Unlock()
	switch {
	case closed || p.moved():
		ctx.SetConnectionClose() // the next request is for the other process
		return ErrClosed
	case full:
		return ErrFull
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) { p.serve(c, admitted) })
	return nil
}

func (p *Page) moved() bool { return p.o.Moved != nil && p.o.Moved() }

// Viewers returns how many pages are open.
func (p *Page) Viewers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.viewers)
}

// Disconnect ends all streams: who may see the page has changed. Browsers that still may connect again.
func (p *Page) Disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disconnectLocked()
}

func (p *Page) disconnectLocked() {
	for v, c := range p.viewers {
		if !v.ended {
			v.ended = true
			close(v.endc)
			_ = c.SetWriteDeadline(time.Now()) // fasthttp closes c when its handler returns, and not before
		}
	}
}

// Close ends all streams, and waits until they have.
func (p *Page) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.endc)
	}
	p.disconnectLocked()
	p.mu.Unlock()
	p.group.Wait()
}

// serve sends states on c until the viewer leaves.
func (p *Page) serve(c net.Conn, admitted func() bool) {
	v := &viewer{wakec: make(chan struct{}, 1), endc: make(chan struct{})}
	if err := p.join(v, c, admitted); err != nil {
		head, body := render.Refusal(fasthttp.StatusServiceUnavailable, err.Error(), "Connection: close\r\n")
		_ = c.SetWriteDeadline(time.Now().Add(slowViewer))
		_, _ = c.Write(append(head, body...))
		return
	}
	defer p.leave(v)
	defer p.recovered("panic while a page was shown")
	b := append(render.StreamHead("text/event-stream", "X-Content-Type-Options: nosniff\r\n"), render.RetryHint()...)
	for {
		if !p.beginWrite(v, c) {
			return
		}
		if _, err := c.Write(b); err != nil { // the viewer has left, or is too slow
			return
		}
		select {
		case <-v.wakec:
		case <-v.endc:
			return
		}
		p.mu.Lock()
		frame := p.frame
		p.mu.Unlock()
		if frame == nil { // the collector has ended
			return
		}
		b = p.appendLines(render.AppendEvent(b[:0], frame), v)
	}
}

// beginWrite limits the time of the next write, and reports whether there is to be one. Under the mutex, so that it does not
// replace the limit of disconnectLocked.
func (p *Page) beginWrite(v *viewer, c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !v.ended && c.SetWriteDeadline(time.Now().Add(slowViewer)) == nil
}

// appendLines appends the lines that the viewer does not have.
func (p *Page) appendLines(b []byte, v *viewer) []byte {
	lines, seq := p.o.Lines.since(v.seq)
	v.seq = seq
	if len(lines) == 0 {
		return b
	}
	text, err := json.Marshal(struct {
		Log []*Line `json:"log"`
	}{lines})
	if err != nil {
		panic(err) // texts and numbers
	}
	return render.AppendEvent(b, text)
}

// join adds a viewer. The first one starts collect.
func (p *Page) join(v *viewer, c net.Conn, admitted func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case !admitted():
		return errChanged
	case len(p.viewers) >= maxViewers:
		return ErrFull
	}
	p.viewers[v] = c
	p.group.Add(1)
	if p.frame != nil {
		v.wakec <- struct{}{}
	}
	if !p.running {
		p.running = true
		p.group.Go(p.collect)
	}
	return nil
}

func (p *Page) leave(v *viewer) {
	p.mu.Lock()
	delete(p.viewers, v)
	p.mu.Unlock()
	p.group.Done()
}

// recovered ends a goroutine that has panicked, and not the process, which holds clients.
func (p *Page) recovered(event string) {
	if v := recover(); v != nil {
		p.o.Log.Error(event, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	}
}

// collect makes states until nobody looks any more.
func (p *Page) collect() {
	alone := false // nobody looks, which show has noted
	defer func() {
		if !alone {
			p.stop()
		}
	}()
	defer p.recovered("panic while the page's state was collected")
	tick := time.NewTicker(p.o.Every)
	defer tick.Stop()
	var samples []*sample
	var process []byte
	for n := 0; ; n++ {
		if n%processAge == 0 {
			process = processMetrics()
		}
		now, before := p.sample(process), (*sample)(nil)
		if len(samples) > 0 {
			before = samples[0]
		}
		frame := p.state(now, before).render()
		if samples = append(samples, now); len(samples) > window {
			samples = samples[1:]
		}
		if alone = !p.show(frame); alone || p.moved() {
			return
		}
		select {
		case <-tick.C:
		case <-p.endc:
			return
		}
	}
}

// show has the viewers get a state, and reports whether there are any. If not, the next one starts collect again.
func (p *Page) show(frame []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.viewers) == 0 {
		p.running, p.frame = false, nil
		return false
	}
	p.frame = frame
	for v := range p.viewers {
		select {
		case v.wakec <- struct{}{}:
		default: // it has not shown the one before
		}
	}
	return true
}

// stop ends the streams, as there are no more states. Their browsers reconnect.
func (p *Page) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.frame = false, nil
	for v := range p.viewers {
		select {
		case v.wakec <- struct{}{}:
		default:
		}
	}
}

// processMetrics returns the metrics of the process, which may be slow to get with many descriptors.
func processMetrics() []byte {
	var b bytes.Buffer
	metrics.WriteProcMetrics(&b)
	if open, limit, ok := metric.Descriptors(); ok {
		fmt.Fprintf(&b, "process_open_fds %d\nprocess_max_fds %d\n", open, limit)
	}
	return b.Bytes()
}
