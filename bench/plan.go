package main

import (
	"slices"

	"holdfast/bench/measure"
	"holdfast/bench/peer"
)

// measures in the order of the tables.
var measures = []string{"idle", "leave", "fanout", "latency", "proxy", "tail", "cross", "churn", "hits", "tls"}

// together are the measures of memory: their cells may run at the same time.
var together = []string{"idle", "leave"}

// plan lists the cells of one round of a measure.
func plan(name string, round int, o options) []measure.Spec {
	var specs []measure.Spec
	add := func(p *peer.Peer, s measure.Spec) {
		s.Measure, s.Peer, s.Quick = name, p.Name, o.quick
		specs = append(specs, s)
	}
	for _, p := range peer.All() {
		if len(o.peers) > 0 && !slices.Contains(o.peers, p.Name) {
			continue
		}
		switch name {
		case "idle":
			if round > 1 {
				continue // memory does not vary like time
			}
			for _, s := range idleCells(p, round, o.quick) {
				add(p, s)
			}
		case "leave":
			if round > 0 || o.quick { // a minute is a minute
				continue
			}
			for _, kind := range []string{peer.KeepAlive, peer.WebSocket} {
				if p.Can(kind) && p.Name != "bare write(2)" {
					add(p, measure.Spec{Kind: kind})
				}
			}
		case "fanout":
			for _, kind := range []string{peer.WebSocket, peer.SSE, peer.LongPoll} {
				if p.Can(kind) {
					add(p, measure.Spec{Kind: kind})
				}
			}
		case "latency":
			if p.Name == "bare write(2)" {
				continue // it knows one channel
			}
			for _, kind := range []string{peer.WebSocket, peer.SSE} {
				if p.Can(kind) && !(kind == peer.SSE && p.Can(peer.WebSocket)) {
					add(p, measure.Spec{Kind: kind})
				}
			}
		case "proxy":
			if p.Can(peer.Proxied) {
				add(p, measure.Spec{})
			}
		case "tail":
			if p.Can(peer.Proxied) {
				add(p, measure.Spec{})
			}
		case "cross":
			for _, kind := range []string{peer.WebSocket, peer.SSE} {
				if p.Can(kind) && p.Can(peer.Beside) {
					add(p, measure.Spec{Kind: kind})
				}
			}
		case "churn":
			if p.Can(peer.Proxied) {
				add(p, measure.Spec{})
			}
		case "hits":
			if p.Can(peer.Cached) {
				add(p, measure.Spec{})
			}
		case "tls":
			if p.Can(peer.Secure) {
				add(p, measure.Spec{Kind: peer.Secure})
			}
			if p.Can(peer.Secure) && round < 2 {
				add(p, measure.Spec{Kind: peer.KeepAlive})
			}
			if p.Can(peer.SecurePush) && round < 2 {
				add(p, measure.Spec{Kind: peer.WebSocket})
			}
		}
	}
	return specs
}

// idleCells are all sizes in the first round. The others look at 10,000 again, with limits of the servers that fit
// just these, and at what they cost in CPU.
func idleCells(p *peer.Peer, round int, quick bool) []measure.Spec {
	sizes := []int{10_000}
	if round == 0 && !quick {
		sizes = []int{1_000, 5_000, 10_000, 19_000}
	}
	var specs []measure.Spec
	for _, each := range []bool{false, true} {
		for _, kind := range []string{peer.KeepAlive, peer.WebSocket, peer.SSE, peer.LongPoll} {
			if !p.Can(kind) || each && (kind == peer.KeepAlive || p.Name == "bare write(2)") {
				continue
			}
			specs = append(specs, measure.Spec{Kind: kind, Each: each, Sizes: sizes})
		}
	}
	return specs
}
