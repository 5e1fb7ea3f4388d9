// Command bare is the floor of the push measures: it takes WebSockets and event streams, knows one channel, and
// for each publish writes the same bytes to every descriptor in one loop of write(2). It checks nothing, keeps
// nothing for a slow reader and sends no heartbeat, so no useful server can cost less per delivery on one thread.
package main

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"syscall"

	"holdfast/bench/internal/wire"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bare ADDRESS")
		os.Exit(2)
	}
	var b bare
	fmt.Fprintln(os.Stderr, wire.Serve(os.Args[1], b.serve, b.gone))
	os.Exit(1)
}

type bare struct {
	sockets, streams list
}

// list is a set of descriptors, dense.
type list struct {
	fds []int32
	at  []int32 // by descriptor: its place in fds, plus one
}

func (l *list) add(fd int) {
	for len(l.at) <= fd {
		l.at = append(l.at, 0)
	}
	l.fds = append(l.fds, int32(fd))
	l.at[fd] = int32(len(l.fds))
}

func (l *list) remove(fd int) {
	if fd >= len(l.at) || l.at[fd] == 0 {
		return
	}
	at, last := l.at[fd]-1, l.fds[len(l.fds)-1]
	l.fds[at] = last
	l.at[last] = at + 1
	l.at[fd] = 0
	l.fds = l.fds[:len(l.fds)-1]
}

func (l *list) write(data []byte) {
	for _, fd := range l.fds {
		syscall.Write(int(fd), data) // a short write is the client's loss: this is a floor, not a server
	}
}

func (b *bare) gone(c *wire.Conn) {
	b.sockets.remove(c.FD)
	b.streams.remove(c.FD)
}

func (b *bare) serve(r *wire.Request) []byte {
	switch {
	case r.Method == "POST":
		b.sockets.write(frame(r.Body))
		b.streams.write([]byte("data: " + string(r.Body) + "\n\n"))
		return []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	case wire.Field(r.Head, "Sec-WebSocket-Key") != nil:
		b.sockets.add(r.Conn.FD)
		r.Conn.Take()
		sum := sha1.Sum([]byte(string(wire.Field(r.Head, "Sec-WebSocket-Key")) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		return []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
			base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
	case strings.Contains(string(wire.Field(r.Head, "Accept")), "event-stream"):
		b.streams.add(r.Conn.FD)
		r.Conn.Take()
		return []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
	}
	return []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
}

func frame(data []byte) []byte {
	if len(data) < 126 {
		return append([]byte{0x81, byte(len(data))}, data...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(len(data))), data...)
}
