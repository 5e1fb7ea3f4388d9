//go:build e2e && linux

package e2e

import (
	"bytes"
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// crowd is a great many clients: raw sockets in one epoll set, driven by the goroutine that calls
// its methods. They do what a browser does by itself: read what comes, and answer pings.
type crowd struct {
	t       *testing.T
	addr    syscall.Sockaddr
	epoll   int
	clients []*crowdClient
	byFD    map[int]*crowdClient
	waiting int  // clients whose want has not come
	narrow  bool // those that are opened from now on have a small receive buffer, and segments as on Ethernet
	buf     []byte
}

type crowdClient struct {
	number int
	fd     int            // -1 when closed
	out    []byte         // to be sent
	in     []byte         // what came since the last send or forget
	want   []byte         // waits for in to have this; nil if for nothing
	ws     bool           // in is a sequence of WebSocket frames
	frames int            // as far as this, the frames in in have been looked at
	take   func(b []byte) // gets what comes, instead of in; nil: in does
}

func newCrowd(t *testing.T, addr string) *crowd {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < many+1000 {
		t.Fatalf("this process may open %d files, and the test needs %d (ulimit -n)", limit.Cur, many+1000)
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{
		t: t, epoll: epoll, byFD: make(map[int]*crowdClient), buf: make([]byte, 64<<10),
		addr: &syscall.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())},
	}
	t.Cleanup(c.close)
	return c
}

// atOnce bounds the requests that are under way together: a rush, but less than a listen queue,
// and than the files that are left for connections to the app.
const atOnce = 256

// open adds n clients. Each sends request and is open once what it received has want in it.
func (c *crowd) open(n int, request, want func(i int) string) {
	c.t.Helper()
	for i := range n {
		for c.waiting >= atOnce {
			c.step(time.Second)
		}
		c.connect(i, request(i), want(i))
	}
	c.waitAll()
}

func (c *crowd) connect(i int, request, want string) {
	c.t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	client := &crowdClient{number: i, fd: fd}
	c.clients = append(c.clients, client)
	c.byFD[fd] = client
	if c.narrow { // else the sender's kernel takes megabytes for a client that does not read
		for _, o := range [...][3]int{
			{syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4 << 10}, {syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400},
		} {
			if err := syscall.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	if err := syscall.Connect(fd, c.addr); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
		c.t.Fatalf("client %d: connect: %v", i, err)
	}
	c.expect(client, request, want)
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT, Fd: int32(fd)}
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		c.t.Fatal(err)
	}
}

// expect makes the client send request and wait for want. If it waits for nothing, it waits until
// the request has been sent.
func (c *crowd) expect(client *crowdClient, request, want string) {
	client.out, client.in, client.want = []byte(request), nil, []byte(want)
	c.waiting++
}

// send makes each client send request and waits until each has received want.
func (c *crowd) send(request, want func(i int) string) {
	c.t.Helper()
	for _, client := range c.clients {
		for c.waiting >= atOnce {
			c.step(time.Second)
		}
		c.expect(client, request(client.number), want(client.number))
		c.write(client)
	}
	c.waitAll()
}

// forget drops what came so far.
func (c *crowd) forget() {
	for _, client := range c.clients {
		client.in, client.frames = nil, 0
	}
}

// wait waits until each client has received want.
func (c *crowd) wait(want func(i int) string) {
	c.t.Helper()
	for _, client := range c.clients {
		client.want = []byte(want(client.number))
		c.waiting++
		c.settle(client)
	}
	c.waitAll()
}

func (c *crowd) waitAll() {
	c.t.Helper()
	deadline := time.Now().Add(2 * patience)
	for c.waiting > 0 {
		if time.Now().After(deadline) {
			for _, client := range c.clients {
				if client.want != nil {
					c.t.Fatalf("%d clients still wait; client %d for %q, and has %q", c.waiting, client.number, client.want, client.in)
				}
			}
		}
		c.step(time.Second)
	}
}

// stall makes a client read nothing, and let it read again.
func (c *crowd) stall(client *crowdClient) {
	c.t.Helper()
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_DEL, client.fd, nil); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crowd) readAgain(client *crowdClient) {
	c.t.Helper()
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(client.fd)}
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, client.fd, &event); err != nil {
		c.t.Fatal(err)
	}
}

// pass lets d go by.
func (c *crowd) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return
		}
		c.step(left)
	}
}

// step handles what is ready, and waits for at most d until something is.
func (c *crowd) step(d time.Duration) {
	c.t.Helper()
	var events [512]syscall.EpollEvent
	n, err := syscall.EpollWait(c.epoll, events[:], int(d.Milliseconds()))
	if errors.Is(err, syscall.EINTR) {
		return
	}
	if err != nil {
		c.t.Fatal(err)
	}
	for _, event := range events[:n] {
		client := c.byFD[int(event.Fd)]
		if event.Events&syscall.EPOLLOUT != 0 {
			c.write(client)
		}
		if event.Events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			c.read(client)
		}
	}
}

func (c *crowd) write(client *crowdClient) {
	c.t.Helper()
	n, err := syscall.Write(client.fd, client.out)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOTCONN) {
		return
	}
	if err != nil {
		c.t.Fatalf("client %d: write: %v", client.number, err)
	}
	client.out = client.out[n:]
	if len(client.out) > 0 {
		return
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(client.fd)}
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_MOD, client.fd, &event); err != nil {
		c.t.Fatal(err)
	}
	c.settle(client)
}

func (c *crowd) read(client *crowdClient) {
	c.t.Helper()
	n, err := syscall.Read(client.fd, c.buf)
	if errors.Is(err, syscall.EAGAIN) {
		return
	}
	if err != nil || n == 0 {
		if client.want != nil {
			c.t.Fatalf("client %d: the connection ended (%v) before %q came; it has %q", client.number, err, client.want, client.in)
		}
		delete(c.byFD, client.fd)
		syscall.Close(client.fd)
		client.fd = -1
		return
	}
	if client.take != nil {
		client.take(c.buf[:n])
		return
	}
	client.in = append(client.in, c.buf[:n]...)
	if client.ws {
		c.answerPings(client)
	}
	c.settle(client)
}

// answerPings looks at the frames that have come, which are as a server sends them: unmasked, and
// here all short.
func (c *crowd) answerPings(client *crowdClient) {
	c.t.Helper()
	const ping, maskedPong = 0x89, 0x8a
	for {
		frames := client.in[client.frames:]
		if len(frames) < 2 {
			return
		}
		length := int(frames[1])
		if length > 125 {
			c.t.Fatalf("client %d: unexpected frame % x", client.number, frames)
		}
		if len(frames) < 2+length {
			return
		}
		if frames[0] == ping {
			pong := []byte{maskedPong, 0x80 | frames[1], 0, 0, 0, 0} // a mask of zeros leaves data as it is
			if _, err := syscall.Write(client.fd, append(pong, frames[2:2+length]...)); err != nil {
				c.t.Fatalf("client %d: pong: %v", client.number, err)
			}
		}
		client.frames += 2 + length
	}
}

// settle notes whether what the client waits for has come.
func (c *crowd) settle(client *crowdClient) {
	if client.want == nil || len(client.out) > 0 || !bytes.Contains(client.in, client.want) {
		return
	}
	client.want = nil
	c.waiting--
	if bytes.HasPrefix(client.in, []byte("HTTP/1.1 101 ")) {
		_, client.in, _ = bytes.Cut(client.in, []byte("\r\n\r\n"))
		client.ws = true
	}
}

// alive returns the number of clients whose connection is open.
func (c *crowd) alive() int {
	c.step(0)
	return len(c.byFD)
}

// close hangs up. It may be called again.
func (c *crowd) close() {
	for fd := range c.byFD {
		syscall.Close(fd)
	}
	clear(c.byFD)
	c.clients = nil
	if c.epoll >= 0 {
		syscall.Close(c.epoll)
		c.epoll = -1
	}
}
