package measure

import (
	"fmt"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/peer"
)

const pending = 128 // connections being made at once

// crowd is connections of one kind that are held by the server.
type crowd struct {
	c         *cell
	subs      []*load.Subscriber // all but keep-alive
	idle      []*load.Requester  // keep-alive
	waiting   int                // begun, and not held yet
	err       error              // the first failure
	onMessage func(s *load.Subscriber, number uint32)
	onAnswer  func()
}

func (c *cell) channel(i int) string {
	if c.Each {
		return fmt.Sprintf("public.c%d", i)
	}
	return "public.a"
}

// size is the number of connections.
func (w *crowd) size() int { return len(w.subs) + len(w.idle) }

func (w *crowd) failed(err error) {
	w.waiting--
	if w.err == nil {
		if err == nil {
			err = fmt.Errorf("the server ended a connection")
		}
		w.err = err
	}
}

// grow opens connections until there are n, and waits until the server holds them.
func (w *crowd) grow(n int, options ...load.Option) error {
	for w.size() < n && w.err == nil {
		if err := w.open(w.size(), options); err != nil {
			return err
		}
		if w.c.Kind == peer.LongPoll && w.size()%pending == 0 { // there is nothing to see of a poll that waits
			w.c.loop.Pass(8 * time.Millisecond)
		}
		if w.waiting >= pending {
			w.c.loop.Run(10*time.Second, func() bool { return w.waiting < pending/2 || w.err != nil })
		}
	}
	if !w.c.loop.Run(20*time.Second, func() bool { return w.waiting <= 0 || w.err != nil }) && w.err == nil {
		w.err = fmt.Errorf("%d of %d are not held after 20 s", w.waiting, n)
	}
	if w.c.Kind == peer.LongPoll {
		w.c.quiet()
	}
	if w.err != nil {
		return fmt.Errorf("after %d connections: %w", w.size(), w.err)
	}
	return nil
}

func (w *crowd) open(i int, options []load.Option) error {
	w.waiting++
	if w.c.Kind == peer.KeepAlive {
		r := &load.Requester{
			Done: func(*load.Requester, time.Duration) []byte {
				w.waiting--
				return nil
			},
			Failed: func(_ *load.Requester, err error) { w.failed(err) },
			Index:  i,
		}
		w.idle = append(w.idle, r)
		return r.Dial(w.c.loop, w.c.server.Addr, get(w.c, "/s"), options...)
	}
	s := &load.Subscriber{
		Held: func(*load.Subscriber) { w.waiting-- },
		Message: func(s *load.Subscriber, number uint32) {
			if w.onMessage != nil {
				w.onMessage(s, number)
			}
		},
		Failed: func(_ *load.Subscriber, err error) { w.failed(err) },
		Answered: func(*load.Subscriber) []byte {
			if w.onAnswer != nil {
				w.onAnswer()
			}
			return nil
		},
		Poll:     w.c.Kind == peer.LongPoll,
		JSONPing: w.c.Peer == "centrifuge",
		Index:    i,
	}
	s.Request, s.After = w.c.server.Hold(w.c.Kind, w.c.channel(i))
	w.subs = append(w.subs, s)
	return s.Dial(w.c.loop, w.c.server.Addr, options...)
}

// close hangs up every connection.
func (w *crowd) close() {
	for _, s := range w.subs {
		s.Conn.Close()
	}
	for _, r := range w.idle {
		r.Conn.Close()
	}
	w.subs, w.idle = nil, nil
}

func get(c *cell, path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + c.server.Addr.String() + "\r\n\r\n")
}

// publishers are connections that publish.
type publishers struct {
	c    *cell
	all  []*load.Requester
	done int // answers
	err  error
	next func(r *load.Requester) []byte // what a publisher sends after an answer
}

func (c *cell) publishers(n int) (*publishers, error) {
	p := &publishers{c: c}
	for i := range n {
		r := &load.Requester{Index: i}
		r.Done = func(r *load.Requester, _ time.Duration) []byte {
			p.done++
			if r.Response.Status < 200 || r.Response.Status > 299 {
				p.err = fmt.Errorf("publish answered with %d", r.Response.Status)
				return nil
			}
			if p.next != nil {
				return p.next(r)
			}
			return nil
		}
		r.Failed = func(_ *load.Requester, err error) { p.err = fmt.Errorf("publisher: %w", orEnded(err)) }
		if err := r.Dial(c.loop, c.server.Publish, nil); err != nil {
			return nil, err
		}
		if err := c.loop.Hasten(r.Conn); err != nil {
			return nil, err
		}
		p.all = append(p.all, r)
	}
	c.loop.Pass(50 * time.Millisecond)
	return p, p.err
}

func orEnded(err error) error {
	if err == nil {
		return fmt.Errorf("the server ended the connection")
	}
	return err
}
