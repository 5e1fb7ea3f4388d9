//go:build e2e && linux

package e2e

import (
	"syscall"
	"testing"
)

// TestClientLight takes a picture of the status light in each state.
func TestClientLight(t *testing.T) {
	s := startServer(t, startApp(t, pageApp(nil)), "")
	m := startMiddleman(t, s.addr)
	b := startBrowser(t)
	b.resize(420, 240, false)
	page := pageAt(m.url, "public.n", nil)

	shot := func(state string) {
		t.Helper()
		b.waitFor("the light is "+state, "push.state === '"+state+"' && document.getElementById('light').className === '"+state+"'")
		b.screenshot("client-light-" + state + ".png")
	}
	b.open(page)
	shot("live")
	first := b.currentTab()
	b.tab(page)
	b.resize(420, 240, false)
	b.waitFor("the other tab shares", "push.state === 'live' && push.shared")
	b.screenshot("client-light-live-shared.png")
	b.closeTab()
	b.turnTo(first)

	// Stopped, Holdfast accepts and says nothing: the client is connecting for as long as it has patience.
	s.signal(t, syscall.SIGSTOP)
	t.Cleanup(func() { s.signal(t, syscall.SIGCONT) })
	m.cut()
	b.waitFor("the client connects", "push.state === 'connecting'")
	shot("connecting")
	s.signal(t, syscall.SIGCONT)
	b.waitLive("")

	m.set(func() { m.down = true })
	m.cut()
	shot("waiting")
	m.set(func() { m.down = false })
	b.waitLive("")

	b.cdp("Network.enable", map[string]any{})
	b.cdp("Network.emulateNetworkConditions", map[string]any{
		"offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
	})
	shot("offline")
}
