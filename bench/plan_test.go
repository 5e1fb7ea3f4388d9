package main

import (
	"slices"
	"testing"

	"holdfast/bench/peer"
)

// Every measure has cells, every cell a peer that can do it, and a choice of peers is kept to.
func TestPlan(t *testing.T) {
	for _, quick := range []bool{false, true} {
		for _, name := range measures {
			specs := plan(name, 0, options{quick: quick})
			if len(specs) == 0 && !(quick && name == "leave") {
				t.Errorf("%s has no cells, quick %v", name, quick)
			}
			for _, s := range specs {
				p := peer.ByName(s.Peer)
				able := p != nil && (s.Kind == "" || p.Can(s.Kind) || name == "tls" && p.Can(secureKind(s.Kind)))
				if !able || s.Measure != name || s.Quick != quick {
					t.Errorf("%s plans %+v", name, s)
				}
				if !slices.IsSorted(s.Sizes) {
					t.Errorf("%s: sizes %v", s, s.Sizes)
				}
			}
			for _, s := range plan(name, 0, options{peers: []string{"nginx"}}) {
				if s.Peer != "nginx" {
					t.Errorf("%s was planned although only nginx was asked for", s)
				}
			}
		}
	}
}

// The first round has the ladder, later ones the size that is measured with limits to fit.
func TestIdleCells(t *testing.T) {
	for round, want := range map[int]int{0: 4, 1: 1} {
		for _, s := range idleCells(peer.ByName("holdfast"), round, false) {
			if len(s.Sizes) != want {
				t.Errorf("round %d: sizes %v", round, s.Sizes)
			}
		}
	}
	if n := len(idleCells(peer.ByName("holdfast"), 0, true)); n != 7 {
		t.Errorf("holdfast has %d kinds of idle cells, want keep-alive and three kinds with one channel and with one each", n)
	}
}

// secureKind returns what a peer of the measure tls can do that holds connections of a kind.
func secureKind(kind string) string {
	if kind == peer.WebSocket {
		return peer.SecurePush
	}
	return peer.Secure
}
