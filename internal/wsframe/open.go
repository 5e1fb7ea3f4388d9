package wsframe

import (
	"github.com/gobwas/ws"

	"holdfast/internal/heldrecord"
)

// Record returns what is unfinished: the bytes that were not read as frames, and the message whose fragments have come,
// nil if there is none. Both have parts of the parser's memory.
func (f *Parser) Record() (unread []byte, open *heldrecord.Open) {
	if f.op != 0 {
		open = &heldrecord.Open{Op: byte(f.op), Received: f.sum, Whole: f.Whole, Body: f.body, Tail: f.tail, Deflated: f.deflated}
	}
	return f.buf[f.at:], open
}

// Restore makes a new parser continue with what Record has returned. It reports false if it can't: the message would be
// returned whole, and its fragments were not kept.
func (f *Parser) Restore(unread []byte, open *heldrecord.Open) bool {
	f.buf = unread
	if open == nil {
		return true
	}
	f.op, f.sum, f.body, f.tail, f.deflated = ws.OpCode(open.Op), open.Received, open.Body, open.Tail, open.Deflated
	return len(f.body) == f.sum || !f.Whole && !f.deflated
}
