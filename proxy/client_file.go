package proxy

import (
	"errors"

	"holdfast/internal/sendbuf"
)

// errTempFile is the reason in the log of a response that ended because of its temporary file.
var errTempFile = errors.New("a temporary file could not be read (buffers.temp_dir)")

// useFile begins to buffer the response in a temporary file. It reports whether it does.
func (c *clientLeg) useFile() bool {
	if c.file == nil && c.x.answered && !c.unbuffered && c.x.p.files.Fits(-1) {
		c.file = c.x.p.files.New(c.x.f.loop, c.x.run)
	}
	return c.file != nil
}

// fileFull reports whether the file may not take more for now.
func (c *clientLeg) fileFull() bool {
	return len(c.fileTail) > 0 || !c.file.TakesMore()
}

// writeFile appends bytes for the client to the file.
func (c *clientLeg) writeFile(a, b []byte) {
	c.fileTail = append(append(c.fileTail, a...), b...)
	if c.file.Writing() || c.file.Broken() || len(c.fileTail) == 0 {
		c.x.count()
		return
	}
	p := c.fileTail
	c.fileTail = nil
	c.x.count()
	c.file.Write(p, func(err error) {
		if err != nil {
			c.fileTail = append(p, c.fileTail...)
		} else if len(c.fileTail) > 0 {
			c.writeFile(nil, nil)
		}
		if c.out == nil && !c.drainFile() {
			return
		}
		if !c.full() {
			c.x.goOn()
		}
	})
}

// drainFile sends from the file after the bytes in memory. It reports whether the exchange continues.
func (c *clientLeg) drainFile() bool {
	s := c.file
	switch {
	case c.out != nil || s.Reading():
	case s.Len() > 0:
		s.Read(func(b []byte, err error) {
			if err != nil {
				c.x.cut(errTempFile)
				return
			}
			if err := sendbuf.Send(c.conn, &c.out, b, nil); err != nil {
				c.x.clientGone()
				return
			}
			if c.out != nil && !c.await() {
				return
			}
			c.drainFile()
		})
	case s.Writing():
	case len(c.fileTail) > 0: // the file could not be written
		b := c.fileTail
		c.fileTail = nil
		if err := sendbuf.Send(c.conn, &c.out, b, nil); err != nil {
			c.x.clientGone()
			return false
		}
		if c.out != nil {
			return c.await()
		}
		return c.drainFile()
	default:
		s.Close()
		c.file = nil
		c.conn.SetDeadline(0)
		c.x.count()
		if c.x.completed && c.x.passed() {
			c.x.finish()
			return false
		}
		c.x.later(c.x.goOn)
	}
	return true
}
