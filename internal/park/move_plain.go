//go:build !linux || park_plain

package park

import "errors"

// Connections do not move here: these are for Linux.

func Descriptor(*Conn) int { return -1 }

func (l *Loop) Adopt(int, Moving) (*Conn, error) { return nil, errors.ErrUnsupported }

func Release(c *Conn) { c.Close() }

func (p *Poller) ListenerDescriptors() []int { return nil }

func (p *Poller) ReleaseListeners(int) {}
