package balance

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"holdfast/internal/fcgi"
	"holdfast/internal/site"
)

// checkID is the id of a check's request: it is the only one on its connection.
const checkID = 1

// loopback is the client's address in a check: a script may expect a valid one.
var loopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)

// checkFastCGI has a script run for the path of the check and looks at the status of its response.
func (s *Set) checkFastCGI(c net.Conn, server *Server) error {
	request, err := checkRequest(server.site, s.o.CheckPath)
	if err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	var reader fcgi.Reader
	reader.Reset(checkID)
	var out []byte
	buf := make([]byte, 4<<10)
	for {
		n, readErr := c.Read(buf)
		n, _, err := reader.Feed(buf[:n])
		out = append(out, buf[:n]...)
		end, headErr := fcgi.HeadEnd(out, 0)
		switch {
		case headErr != nil:
			return headErr
		case end > 0:
			return checkHead(out[:end])
		case err != nil && !errors.Is(err, fcgi.ErrExtra):
			return err
		case reader.Done:
			return errors.New("the script ended without a head")
		case readErr != nil:
			return fmt.Errorf("response: %w", readErr)
		}
	}
}

// checkRequest is the whole request for a path. If the site has no script for it, the path itself is the script's name,
// as for php-fpm's own ping.path.
func checkRequest(folder *site.Site, target string) ([]byte, error) {
	path, query, _ := strings.Cut(target, "?")
	a, err := folder.Serve(&site.Request{Method: "GET", Path: path, Query: query})
	if err != nil {
		return nil, err
	}
	if a.File != nil {
		a.File.Close()
		return nil, fmt.Errorf("%s is a file, not a script", path)
	}
	script := a.Script
	if script == nil {
		script = &site.Script{Filename: path, Name: path}
	}
	r := fcgi.Request{
		Method: []byte("GET"), Target: []byte(target), Query: []byte(query), Minor: 1, Client: loopback, Software: "holdfast-check",
		Root: script.Root, Filename: script.Filename, ScriptName: script.Name, PathInfo: script.PathInfo, Length: -1,
	}
	stdin := fcgi.Stdin{ID: checkID}
	return stdin.End(r.Append(nil, checkID, false)), nil
}

func checkHead(b []byte) error {
	var h fcgi.Head
	if err := h.Parse(b); err != nil {
		return err
	}
	if h.Status < 200 || h.Status > 399 {
		return fmt.Errorf("answered %.40q", h.Line)
	}
	return nil
}
