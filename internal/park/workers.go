package park

import (
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// workerIdle is how long a worker waits for more work before it ends.
const workerIdle = 2 * time.Second

// workers is a bounded pool of goroutines for work that may block.
type workers struct {
	p     *Poller
	limit int
	queue int

	mu      sync.Mutex // guards what follows
	waiting []func()
	idle    []chan func() // one per idle worker, the latest last; buffered, closed by close
	running int
	closed  bool
	wg      sync.WaitGroup
}

// Go runs f on a worker, or queues it if all are busy. It returns false, and drops f, if the queue is full or the
// poller is shut down.
func (p *Poller) Go(f func()) bool { return p.workers.start(f) }

// Pool has workers besides those of Poller.Go, for work that may keep all of them busy for long. It ends with its
// Poller.
type Pool struct{ workers workers }

// NewPool returns a pool of at most limit workers and a queue of at most queue calls. Without work it costs nothing.
func (p *Poller) NewPool(limit, queue int) *Pool {
	pool := &Pool{workers{limit: limit, queue: queue, p: p}}
	p.mu.Lock()
	defer p.mu.Unlock()
	pool.workers.closed = p.closed
	p.pools = append(p.pools, pool)
	return pool
}

// allPools returns the pools that there are.
func (p *Poller) allPools() []*Pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pools)
}

// Go is like Poller.Go. Queued calls run in order.
func (p *Pool) Go(f func()) bool { return p.workers.start(f) }

// Waiting returns how many calls wait for a worker.
func (p *Pool) Waiting() int {
	_, waiting := p.workers.count()
	return waiting
}

func (w *workers) start(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return false
	case len(w.idle) > 0:
		last := len(w.idle) - 1
		w.idle[last] <- f
		w.idle = w.idle[:last]
	case w.running < w.limit:
		w.running++
		w.wg.Add(1)
		go w.work(f)
	case len(w.waiting) < w.queue:
		w.waiting = append(w.waiting, f)
	default:
		return false
	}
	return true
}

func (w *workers) work(f func()) {
	defer w.wg.Done()
	workc := make(chan func(), 1)
	timer := time.NewTimer(workerIdle)
	defer timer.Stop()
	for f != nil {
		w.run(f)
		f = w.next(workc, timer)
	}
}

// next returns the next piece of work, or nil when the worker is to end.
func (w *workers) next(workc chan func(), timer *time.Timer) func() {
	w.mu.Lock()
	if len(w.waiting) > 0 {
		f := w.waiting[0]
		w.waiting[0] = nil
		w.waiting = w.waiting[1:]
		w.mu.Unlock()
		return f
	}
	if w.closed {
		w.running--
		w.mu.Unlock()
		return nil
	}
	w.idle = append(w.idle, workc)
	w.mu.Unlock()

	timer.Reset(workerIdle)
	select {
	case f := <-workc:
		return f
	case <-timer.C:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, c := range w.idle {
		if c == workc {
			w.idle = append(w.idle[:i], w.idle[i+1:]...)
			w.running--
			return nil
		}
	}
	return <-workc // work arrived when the timer fired
}

// run calls f; a panic in it does not end the process.
func (w *workers) run(f func()) {
	defer func() {
		if r := recover(); r != nil {
			w.p.panics.Add(1)
			w.p.opts.Log.Error("panic in a worker", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	f()
}

func (w *workers) count() (running, waiting int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running, len(w.waiting)
}

// close lets queued work finish and idle workers end.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	for _, c := range w.idle {
		w.running--
		c <- nil
	}
	w.idle = nil
}

func (w *workers) wait() { w.wg.Wait() }
