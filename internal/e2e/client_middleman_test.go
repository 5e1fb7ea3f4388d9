//go:build e2e && linux

package e2e

import (
	"net"
	"sync"
	"testing"
	"time"
)

// middleman is a network between clients and a server that a test can make bad.
type middleman struct {
	addr, url string
	target    string
	done      sync.WaitGroup

	mu      sync.Mutex
	wake    sync.Cond
	conns   map[net.Conn]bool
	stalled bool          // no byte moves, and no connection ends
	down    bool          // new connections are reset
	delay   time.Duration // of each piece, either way
	brought int64         // bytes of the server for clients

	// ends says how long after these bytes of a client their connection is cut; 0: not by them.
	ends func(b []byte) time.Duration
}

func startMiddleman(t *testing.T, target string) *middleman {
	t.Helper()
	l, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	m := &middleman{addr: l.Addr().String(), url: "http://" + l.Addr().String(), target: target, conns: map[net.Conn]bool{}}
	m.wake.L = &m.mu
	m.done.Add(1)
	go m.accept(l)
	t.Cleanup(func() {
		l.Close()
		m.set(func() { m.down, m.stalled = true, false })
		m.cut()
		m.done.Wait()
	})
	return m
}

func (m *middleman) accept(l net.Listener) {
	defer m.done.Done()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		m.done.Add(1)
		go m.carry(c)
	}
}

func (m *middleman) carry(c net.Conn) {
	defer m.done.Done()
	m.mu.Lock()
	down := m.down
	m.mu.Unlock()
	s, err := net.Dial("tcp", m.target)
	if err != nil || down {
		if err == nil {
			s.Close()
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		return
	}
	m.mu.Lock()
	m.conns[c], m.conns[s] = true, true
	m.mu.Unlock()
	m.done.Add(1)
	go func() {
		defer m.done.Done()
		m.copy(c, s, false)
	}()
	m.copy(s, c, true)
}

// copy carries one way; the end of one is the end of both, once it may be noticed.
func (m *middleman) copy(to, from net.Conn, fromClient bool) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		m.mu.Lock()
		for m.stalled {
			m.wake.Wait()
		}
		delay := m.delay
		if !fromClient {
			m.brought += int64(n)
		}
		if fromClient && m.ends != nil {
			if life := m.ends(b[:n]); life > 0 {
				defer time.AfterFunc(life, func() { to.Close(); from.Close() }).Stop()
			}
		}
		m.mu.Unlock()
		time.Sleep(delay)
		if n > 0 {
			if _, werr := to.Write(b[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			break
		}
	}
	to.Close()
	from.Close()
	m.mu.Lock()
	delete(m.conns, to)
	delete(m.conns, from)
	m.mu.Unlock()
}

// set changes the network.
func (m *middleman) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	m.wake.Broadcast()
}

// cut resets every connection.
func (m *middleman) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}
