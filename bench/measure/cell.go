// Package measure has one file per measure. A cell is one measure of one peer in one round: it runs in a process of
// its own, so that no cell inherits another's descriptors, garbage or errors.
package measure

import (
	"fmt"
	"strings"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/peer"
)

// Spec says what a cell measures.
type Spec struct {
	Measure string // idle, leave, fanout, latency, proxy, tail, cross, churn, hits, tls
	Peer    string
	Kind    string // of the connections, where the measure has several
	Each    bool   // a channel for each connection, not one for all
	Sizes   []int  // idle: numbers of connections, ascending
	Bins    string // folder of the programs
	Quick   bool
}

func (s Spec) String() string {
	text := s.Measure + " " + s.Peer
	if s.Kind != "" {
		text += " " + s.Kind
	}
	if s.Each {
		text += ", a channel each"
	}
	return text
}

// Figure is one number of a cell. Section and Row name it in the tables.
type Figure struct {
	Section, Row, Unit string
	Value              float64
}

// cell is what every measure works with.
type cell struct {
	Spec
	loop    *load.Loop
	server  *peer.Server
	figures []Figure
}

// Run starts the peer, measures, and stops it. started, if not nil, hears of the running server, so that it can be
// stopped from another goroutine.
func Run(spec Spec, started func(*peer.Server)) ([]Figure, error) {
	p := peer.ByName(spec.Peer)
	if p == nil {
		return nil, fmt.Errorf("no peer is named %q", spec.Peer)
	}
	measures := map[string]func(*cell) error{
		"idle": idle, "fanout": fanout, "latency": latency, "proxy": proxy, "churn": churn, "leave": leave,
		"tail": tail, "cross": cross, "hits": hits, "tls": secure,
	}
	f, ok := measures[spec.Measure]
	if !ok {
		return nil, fmt.Errorf("no measure is named %q", spec.Measure)
	}
	conns := held + held/10
	if n := len(spec.Sizes); n > 0 {
		conns = spec.Sizes[n-1]
	}
	loop, err := load.NewLoop()
	if err != nil {
		return nil, err
	}
	defer loop.Close()
	server, err := p.Start(peer.Options{Bins: spec.Bins, Conns: conns})
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	if started != nil {
		started(server)
	}
	c := &cell{Spec: spec, loop: loop, server: server}
	if err := f(c); err != nil {
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	return c.figures, nil
}

// held is the number of connections where a measure has only one.
const held = 10_000

func (c *cell) add(section, row, unit string, value float64) {
	c.figures = append(c.figures, Figure{section, row, unit, value})
}

// length is d, or half of it in a quick run.
func (c *cell) length(d time.Duration) time.Duration {
	if c.Quick {
		return d / 2
	}
	return d
}

// quiet waits until the server has had nothing to do for a while: so a poll, which shows no sign of being held, is.
func (c *cell) quiet() {
	const step = 100 * time.Millisecond
	for range 100 {
		before := c.server.CPU()
		c.loop.Pass(step)
		if c.server.CPU()-before < step/50 {
			return
		}
	}
}

// settled lets the server come to rest and returns its memory: the least seen until it has not fallen for a while.
func (c *cell) settled() (peer.Memory, error) {
	const step = 500 * time.Millisecond
	quiet := 3 // steps without a fall
	if strings.HasPrefix(c.Peer, "holdfast") {
		quiet = 24 // it gives garbage back every five seconds, and text at the second of them
	}
	c.server.Goroutines()
	least, err := c.server.Memory()
	for i, still := 0, 0; i < 60 && still < quiet && err == nil; i++ {
		c.loop.Pass(step)
		var now peer.Memory
		now, err = c.server.Memory()
		if now.Private < least.Private-32<<10 {
			least, still = now, 0
		} else {
			still++
		}
	}
	return least, err
}
