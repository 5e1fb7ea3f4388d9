package peer

import "testing"

func TestMemoryAdd(t *testing.T) {
	const rollup = `55d0c0000000-7ffe00000000 ---p 00000000 00:00 0                          [rollup]
Rss:               10240 kB
Pss:                6144 kB
Pss_Dirty:          4000 kB
Shared_Clean:       4096 kB
Private_Clean:      2048 kB
Private_Dirty:      3072 kB
`
	var m Memory
	m.add(rollup)
	m.add(rollup)
	if m.Private != 2*5120<<10 || m.Dirty != 2*3072<<10 || m.Pss != 2*6144<<10 {
		t.Errorf("got %+v", m)
	}
}

// What ends before it accepts is not taken for a server.
func TestProcess(t *testing.T) {
	addr, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	if p, err := start(addr, "false"); err == nil {
		p.Stop()
		t.Error("a command that ends at once was taken for a server")
	}
}

func TestPeers(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range All() {
		if seen[p.Name] || ByName(p.Name) == nil || len(p.Kinds) == 0 {
			t.Errorf("%q: named twice, not found or without kinds", p.Name)
		}
		seen[p.Name] = true
		for _, kind := range p.Kinds {
			push := kind != Proxied && kind != KeepAlive && kind != Cached && kind != Secure
			if push && (p.hold == nil || p.publish == nil) {
				t.Errorf("%s has %s and cannot hold or publish", p.Name, kind)
			}
		}
	}
	if ByName("apache") != nil {
		t.Error("a peer that is none was found")
	}
}
