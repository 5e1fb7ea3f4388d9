package tlsconn

import "testing"

// TestRecent: a hundred connections in use keep their ciphers, however far apart their descriptors are.
func TestRecent(t *testing.T) {
	for stride := 1; stride <= 16; stride++ {
		g, conns := new(group), make([]conn, 100)
		lost := 0
		for round := range 3 {
			for i := range conns {
				e := g.place(g.set(20+i*stride), &conns[i])
				if e.c != &conns[i] && round == 2 {
					lost++
				}
				*e = recent{&conns[i], true}
			}
		}
		if lost > 5 {
			t.Errorf("%d of 100 connections with descriptors %d apart have lost their place", lost, stride)
		}
	}
}
