package measure

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/bench/peer"
)

const (
	sectionTLSIdle = "TLS 1.3: private memory per connection"
	sectionTLSLoad = "TLS 1.3: load"
)

// secure measures what TLS costs: of connections that wait, of requests, of handshakes and of large answers. Its clients
// are crypto/tls with a goroutine each.
func secure(c *cell) error {
	s := &secureClients{c: c, config: &tls.Config{
		InsecureSkipVerify: true, // each server made its certificate a moment ago
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   []tls.CurveID{tls.X25519}, // which all of them have
	}}
	defer s.close()
	if c.Kind != peer.Secure {
		return s.waiting()
	}
	if err := s.handshakes("handshakes, 32 clients", s.config); err != nil {
		return err
	}
	resuming := s.config.Clone()
	resuming.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	if err := s.handshakes("resumed handshakes, 32 clients", resuming); err != nil {
		return err
	}
	for _, conns := range []int{1, 8, 64} {
		if err := s.requests(fmt.Sprintf("128 B, %d connections", conns), conns, "/s", 128); err != nil {
			return err
		}
	}
	return s.requests("10 MB, 8 connections", 8, "/10m", 10<<20)
}

// waiting holds 10,000 connections, after the same warming up as for those without TLS.
func (s *secureClients) waiting() error {
	var base peer.Memory
	for _, n := range []int{100, 1200} {
		if err := s.grow(n); err != nil {
			return err
		}
		s.close()
		now, err := s.c.settled()
		if err != nil {
			return err
		}
		if base.Private == 0 || now.Private < base.Private {
			base = now
		}
	}
	if err := s.grow(held); err != nil {
		return err
	}
	now, err := s.c.settled()
	if err != nil {
		return err
	}
	if n := s.lost.Load(); n > 0 {
		return fmt.Errorf("%d of %d connections were lost", n, held)
	}
	s.c.add(sectionTLSIdle, s.c.Kind+", "+thousands(held), "B", float64(now.Private-base.Private)/held)
	return nil
}

// secureClients are connections with TLS.
type secureClients struct {
	c      *cell
	config *tls.Config

	mu   sync.Mutex
	all  []*tls.Conn
	lost atomic.Int64 // ended by the server
}

func (s *secureClients) dial(config *tls.Config) (*tls.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: config}
	conn, err := d.Dial("tcp", s.c.server.Addr.String())
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

// grow opens connections, 32 at a time, until there are n.
func (s *secureClients) grow(n int) error {
	return s.parallel(32, func(i int) error {
		for range (n-len(s.all))/32 + min(1, max(0, (n-len(s.all))%32-i)) {
			if err := s.open(); err != nil {
				return err
			}
		}
		return nil
	})
}

// open makes a connection that waits: after a response, or as a WebSocket that answers pings.
func (s *secureClients) open() error {
	conn, err := s.dial(s.config)
	if err != nil {
		return err
	}
	request, after := get(s.c, "/s"), []byte(nil)
	if s.c.Kind == peer.WebSocket {
		request, after = s.c.server.Hold(peer.WebSocket, s.c.channel(0))
	}
	r := bufio.NewReaderSize(conn, 512)
	status, err := exchange(conn, r, append(request, after...))
	if want := map[bool]int{false: 200, true: 101}[s.c.Kind == peer.WebSocket]; err != nil || status != want {
		conn.Close()
		return fmt.Errorf("answer %d: %v", status, err)
	}
	s.mu.Lock()
	s.all = append(s.all, conn)
	s.mu.Unlock()
	go func() {
		err := answerPings(conn, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, x := range s.all { // those that close has closed are not there
			if x == conn && err != nil {
				s.lost.Add(1)
			}
		}
	}()
	return nil
}

// answerPings reads the frames of a WebSocket until the connection ends. Nothing else comes on one that waits.
func answerPings(conn *tls.Conn, r *bufio.Reader) error {
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		n := int(head[1])
		if n == 126 {
			var long [2]byte
			if _, err := io.ReadFull(r, long[:]); err != nil {
				return err
			}
			n = int(binary.BigEndian.Uint16(long[:]))
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(r, payload); err != nil {
			return err
		}
		if head[0]&0x0f == 9 {
			if _, err := conn.Write(append([]byte{0x8a, 0x80 | byte(n), 0, 0, 0, 0}, payload...)); err != nil {
				return err
			}
		}
	}
}

func (s *secureClients) close() {
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for _, conn := range all {
		conn.Close()
	}
}

// exchange sends a request and reads its response.
func exchange(conn io.Writer, r *bufio.Reader, request []byte) (status int, err error) {
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.StatusCode, nil
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// parallel runs f in n goroutines, and returns the first error.
func (s *secureClients) parallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = f(i) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// during runs f over and over in n goroutines, for a quarter of span to warm up and then for span. f returns how often it
// was done.
func (s *secureClients) during(n int, span time.Duration, f func(i int) error) (count int64, elapsed, cpu time.Duration, err error) {
	var done atomic.Int64
	var stop atomic.Bool
	errc := make(chan error, 1)
	go func() {
		errc <- s.parallel(n, func(i int) error {
			for !stop.Load() {
				if err := f(i); err != nil {
					stop.Store(true)
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}()
	time.Sleep(span / 4)
	before, begun, first := s.c.server.CPU(), time.Now(), done.Load()
	time.Sleep(span)
	count, elapsed, cpu = done.Load()-first, time.Since(begun), s.c.server.CPU()-before
	stop.Store(true)
	if err := <-errc; err != nil {
		return 0, 0, 0, err
	}
	if count == 0 {
		return 0, 0, 0, fmt.Errorf("nothing was done in %v", elapsed)
	}
	return count, elapsed, cpu, nil
}

// handshakes connects, makes one request, and hangs up.
func (s *secureClients) handshakes(row string, config *tls.Config) error {
	request := get(s.c, "/s")
	count, elapsed, cpu, err := s.during(32, s.c.length(4*time.Second), func(int) error {
		conn, err := s.dial(config)
		if err != nil {
			return err
		}
		defer conn.Close()
		status, err := exchange(conn, bufio.NewReaderSize(conn, 512), request)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("answer %d", status)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", row, err)
	}
	s.c.add(sectionTLSLoad, row+": per second", "/s", float64(count)/elapsed.Seconds())
	s.c.add(sectionTLSLoad, row+": CPU each, with a request", "µs", cpu.Seconds()*1e6/float64(count))
	return nil
}

// requests keeps so many connections busy.
func (s *secureClients) requests(row string, conns int, path string, size int) error {
	request := get(s.c, path)
	type client struct {
		*tls.Conn
		r    *bufio.Reader
		body []byte
	}
	clients := make([]client, conns)
	for i := range clients {
		conn, err := s.dial(s.config)
		if err != nil {
			return err
		}
		defer conn.Close()
		clients[i] = client{conn, bufio.NewReaderSize(conn, 32<<10), make([]byte, min(size, 32<<10))}
	}
	count, elapsed, cpu, err := s.during(conns, s.c.length(4*time.Second), func(i int) error {
		c := &clients[i]
		if _, err := c.Write(request); err != nil {
			return err
		}
		return readAnswer(c.r, c.body, size)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", row, err)
	}
	if size >= 1<<20 {
		mb := float64(count) * float64(size) / 1e6
		s.c.add(sectionTLSLoad, row+": throughput", "MB/s", mb/elapsed.Seconds())
		s.c.add(sectionTLSLoad, row+": CPU per MB", "µs", cpu.Seconds()*1e6/mb)
		return nil
	}
	s.c.add(sectionTLSLoad, row+": requests per second", "/s", float64(count)/elapsed.Seconds())
	s.c.add(sectionTLSLoad, row+": CPU per request", "µs", cpu.Seconds()*1e6/float64(count))
	return nil
}

// readAnswer reads a response 200 of size bytes, with as little work as it takes.
func readAnswer(r *bufio.Reader, buf []byte, size int) error {
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("answer %q", line)
		}
		if len(line) == 2 {
			break
		}
	}
	for size > 0 {
		n, err := r.Read(buf[:min(size, len(buf))])
		if err != nil {
			return err
		}
		size -= n
	}
	return nil
}
